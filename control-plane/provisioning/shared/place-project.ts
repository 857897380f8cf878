/** Chooses the cluster of a new shared project. */
import type { Database } from "../../database.ts";
import { ProvisioningFailure } from "../failure.ts";

/** One placement at a time over all instances: otherwise two would both take the last place. */
const PLACEMENT_LOCK = 7_305_002;

/**
 * Gives the project the active cluster with the fewest projects among those with room left. Does nothing when it has
 * one. @returns the cluster's id. @throws {ProvisioningFailure} no cluster has room.
 */
export async function placeProject(database: Database, ref: string): Promise<string> {
  const clusterId = await database.transaction(async (tx) => {
    await tx.query("/* placeProject: one at a time */ select pg_advisory_xact_lock($1)", [PLACEMENT_LOCK]);
    const [row] = await tx.query<{ clusterId: string | null }>(
      `/* placeProject */
       with load as (
         select c.id, c.capacity, c.created_at, count(p.ref) as projects
         from clusters c left join projects p on p.cluster_id = c.id and p.deleted_at is null
         where c.state = 'active'
         group by c.id
       )
       update projects set cluster_id = coalesce(cluster_id, (
         select id from load where projects < capacity order by projects, created_at, id limit 1
       ))
       where ref = $1 returning cluster_id as "clusterId"`,
      [ref],
    );
    return row?.clusterId ?? null;
  });
  if (!clusterId) throw new ProvisioningFailure("No database cluster has room for another project.");
  return clusterId;
}
