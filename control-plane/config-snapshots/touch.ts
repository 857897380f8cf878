/**
 * The one way by which a change becomes visible to gateways and services: whoever changes anything a config snapshot
 * shows calls {@link touchProject} in the same transaction.
 */
import type { Queryable } from "../database.ts";
import { publishEvent } from "../events.ts";

/** Any constant of our own; the other advisory locks of the control plane use other numbers. */
const CONFIG_VERSION_LOCK = 7_305_001;

/**
 * Gives the project the next config version and announces it when the transaction commits. Call it last: it takes a
 * lock, held until then, that makes versions commit in the order of their numbers. So a reader that has seen version n
 * has missed nothing below n, and "all after n" is a complete replay.
 *
 * The project's row is locked first. Everybody else also locks rows before this lock and none after it, hence no deadlock.
 */
export async function touchProject(tx: Queryable, ref: string): Promise<void> {
  await tx.query("/* touchProject: row */ select from projects where ref = $1 for no key update", [ref]);
  await tx.query("/* touchProject: order */ select pg_advisory_xact_lock($1)", [CONFIG_VERSION_LOCK]);
  const [row] = await tx.query<{ version: number }>(
    `/* touchProject */ update projects set config_version = nextval('config_version'), updated_at = now()
     where ref = $1 returning config_version as version`,
    [ref],
  );
  if (!row) throw new Error(`touchProject: there is no project ${ref}`);
  await publishEvent(tx, { topic: "project-config", ref, version: row.version });
}

/** {@link touchProject} for every project on a cluster, whose address changed for instance. */
export async function touchProjectsOfCluster(tx: Queryable, clusterId: string): Promise<void> {
  await tx.query(
    "/* touchProjectsOfCluster: rows */ select from projects where cluster_id = $1 order by ref for no key update",
    [clusterId],
  );
  await tx.query("/* touchProjectsOfCluster: order */ select pg_advisory_xact_lock($1)", [CONFIG_VERSION_LOCK]);
  const rows = await tx.query<{ ref: string; version: number }>(
    `/* touchProjectsOfCluster */ update projects set config_version = nextval('config_version'), updated_at = now()
     where cluster_id = $1 returning ref, config_version as version`,
    [clusterId],
  );
  const newest = rows.toSorted((a, b) => a.version - b.version).at(-1);
  if (newest) await publishEvent(tx, { topic: "project-config", ...newest }); // readers read all after their cursor
}
