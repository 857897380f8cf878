/** What a project has on its cluster is dropped with it, or, when the cluster cannot be reached, when it is back. */
import type { ClusterConnections } from "../../clusters/cluster-connections.ts";
import { dropProjectDatabase } from "../../clusters/project-database.ts";
import { dropProjectRoles } from "../../clusters/project-roles.ts";
import type { Database, Queryable } from "../../database.ts";
import type { Logger } from "../../logger.ts";

export async function dropDatabaseOf(clusters: ClusterConnections, clusterId: string, ref: string): Promise<void> {
  await clusters.withAdmin(clusterId, (client) => dropProjectDatabase(client, ref));
}

export async function dropRolesOf(clusters: ClusterConnections, clusterId: string, ref: string): Promise<void> {
  const connect = (database: string) => clusters.projectAdmin(clusterId, database);
  await clusters.withAdmin(clusterId, (client) => dropProjectRoles(client, connect, ref));
}

export async function recordLeftover(db: Queryable, ref: string, clusterId: string): Promise<void> {
  await db.query(
    "/* recordLeftover */ insert into leftovers (project_ref, cluster_id) values ($1, $2) on conflict do nothing",
    [ref, clusterId],
  );
}

/** Refs, oldest first. */
export async function listLeftovers(db: Queryable, clusterId: string): Promise<string[]> {
  const rows = await db.query<{ ref: string }>(
    "/* listLeftovers */ select project_ref as ref from leftovers where cluster_id = $1 order by created_at, project_ref",
    [clusterId],
  );
  return rows.map(({ ref }) => ref);
}

/**
 * A database that was left behind has logins that somebody knows the passwords of, and no bound counts it: it must not
 * outlive the cluster's absence. A ref is never given again, but what is not a tombstone is not touched in any case.
 */
export async function removeLeftovers(database: Database, clusters: ClusterConnections, logger: Logger): Promise<void> {
  const leftovers = await database.query<{ ref: string; clusterId: string }>(
    `/* removeLeftovers */ select project_ref as ref, cluster_id as "clusterId" from leftovers
     where not exists (select from projects where ref = project_ref and state <> 'DELETED') order by created_at`,
  );
  const unreachable = new Set<string>();
  for (const { ref, clusterId } of leftovers) {
    if (unreachable.has(clusterId)) continue;
    try {
      await dropDatabaseOf(clusters, clusterId, ref);
      await dropRolesOf(clusters, clusterId, ref);
      await database.query("/* removeLeftovers: done */ delete from leftovers where project_ref = $1", [ref]);
      logger.info({ ref, clusterId }, "what a deleted project had left on its cluster was removed");
    } catch (error) {
      unreachable.add(clusterId); // one try for each cluster: the next ones would wait for the same answer
      logger.warn({ err: error, ref, clusterId }, "what a deleted project has left on its cluster is still there");
    }
  }
}
