/** Statements on roles and databases that tenants try to hold up. */
import pg from "pg";

const LOCK_NOT_AVAILABLE = "55P03";
const ATTEMPTS = 5;

/** A role or a database: objects of the whole cluster, which any tenant may refer to. */
export interface SharedObject {
  readonly catalog: "pg_authid" | "pg_database";
  readonly name: string;
}

/**
 * Runs a statement that needs the object for itself. A tenant can hold it from his own database: an open transaction with
 * `grant select on mine to <role>` or `alter role anon in database <name> set …` in it has locked it. After two seconds
 * the sessions that do so are ended; superusers' are waited for. @throws the statement's error.
 */
export async function withoutHolders(client: pg.ClientBase, object: SharedObject, statement: string): Promise<void> {
  await client.query("/* withoutHolders */ set lock_timeout = '2s'");
  try {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await client.query(statement);
        return;
      } catch (error) {
        const held = error instanceof pg.DatabaseError && error.code === LOCK_NOT_AVAILABLE;
        if (!held || attempt === ATTEMPTS) throw error;
        await client.query(
          `/* withoutHolders */ select pg_terminate_backend(l.pid)
           from pg_locks l join pg_stat_activity a on a.pid = l.pid join pg_roles r on r.oid = a.usesysid
           where l.locktype = 'object' and l.database = 0 and l.granted and not r.rolsuper
             and l.classid = $1::text::regclass
             and l.objid = case $1 when 'pg_authid' then to_regrole($2)::oid else (select oid from pg_database where datname = $2) end`,
          [object.catalog, object.name],
        );
      }
    }
  } finally {
    await client.query("/* withoutHolders */ reset lock_timeout").catch(() => {});
  }
}
