/** Makes a PostgreSQL cluster ready to hold projects: the shared roles and the walls around its databases. */
import type pg from "pg";
import { REPLICATION_ROLE } from "./names.ts";
import { scramVerifier } from "./scram.ts";
import { readSqlFiles, renderSql } from "./sql-files.ts";

/** Any number of our own: one bootstrap or template build at a time on a cluster (held in database `postgres`). */
export const CLUSTER_LOCK = "6063429386164659558";

export interface ClusterRoles {
  /**
   * The group that stands for Supabase's `postgres`: `postgres`, or `supabase_postgres` where a role `postgres` already
   * has powers of its own (a superuser, or the CREATEROLE login of a Supabase installation), which no tenant may inherit.
   */
  readonly postgresGroup: "postgres" | "supabase_postgres";
  /**
   * Databases that are not ours and that PUBLIC may connect to: every tenant of the cluster can enter them with PUBLIC's
   * rights until their owner revokes it. Worth a warning; never changed by us.
   */
  readonly openDatabases: readonly string[];
}

export interface BootstrapOptions {
  /** Sets the password of `supabase_replication_admin`; left out, an existing one stays and a new role cannot log in. */
  readonly replicationPassword?: string;
}

/**
 * Idempotent; several control planes may run it at once. Takes the names of Supabase's shared roles over: an existing
 * `anon` or `supabase_auth_admin` loses its login, its attributes and its memberships, so a cluster must not hold a
 * running Supabase installation besides. Takes about 50 ms the first time, 5 ms afterwards.
 * @param client superuser connection to database `postgres` (ClusterConnections.withAdmin).
 */
export async function bootstrapCluster(client: pg.ClientBase, options: BootstrapOptions = {}): Promise<ClusterRoles> {
  const verifier = options.replicationPassword ? await scramVerifier(options.replicationPassword) : null;
  return withClusterLock(client, async () => {
    const postgresGroup = await choosePostgresGroup(client);
    await client.query("begin");
    try {
      for (const file of readSqlFiles("cluster")) {
        await client.query(renderSql(file.text, { postgres_group: postgresGroup }));
      }
      if (verifier) await client.query(`/* bootstrapCluster */ alter role ${REPLICATION_ROLE} password '${verifier}'`);
      await client.query("commit");
    } catch (error) {
      await client.query("rollback").catch(() => {});
      throw error;
    }
    const open = await client.query<{ datname: string }>(`/* bootstrapCluster */
      select datname from pg_database
      where datallowconn and datname !~ '^(project|supalove_template)_' and has_database_privilege('public', oid, 'connect')
      order by datname`);
    return { postgresGroup, openDatabases: open.rows.map(({ datname }) => datname) };
  });
}

/** Runs `work` while no other control plane bootstraps this cluster or builds its template. */
export async function withClusterLock<T>(client: pg.ClientBase, work: () => Promise<T>): Promise<T> {
  await client.query("/* withClusterLock */ set lock_timeout = 0; set statement_timeout = 0");
  try {
    await client.query("/* withClusterLock */ select pg_advisory_lock($1)", [CLUSTER_LOCK]);
    try {
      return await work();
    } finally {
      // When the connection is gone the server has let go of the lock by itself.
      await client.query("/* withClusterLock */ select pg_advisory_unlock($1)", [CLUSTER_LOCK]).catch(() => {});
    }
  } finally {
    await client.query("/* withClusterLock */ reset lock_timeout; reset statement_timeout").catch(() => {});
  }
}

/**
 * `postgres` may be the group only if it is harmless: a bootstrap of ours made it, or an equally powerless role. Members
 * of the group own what it owns and can become what it can become, so a role that owns a database is out as well.
 */
async function choosePostgresGroup(client: pg.ClientBase): Promise<ClusterRoles["postgresGroup"]> {
  const { rows } = await client.query<{ powerful: boolean }>(`/* choosePostgresGroup */
    select rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolcanlogin
      or exists (select from pg_shdepend where refobjid = r.oid and dbid = 0 and deptype = 'o') as powerful
    from pg_roles r where rolname = 'postgres'`);
  return rows[0]?.powerful ? "supabase_postgres" : "postgres";
}
