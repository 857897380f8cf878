/** A shared project's database through its life: made, opened, paused, dropped. */
import pg from "pg";
import type { ClusterRoles } from "./bootstrap.ts";
import { withoutHolders } from "./locks.ts";
import { projectAuthenticatorName, projectDatabaseName, projectUserName, REPLICATION_ROLE } from "./names.ts";
import { alterLogins, terminateSessions } from "./project-sessions.ts";
import { databaseExists, type Template } from "./template.ts";

/** Client backends of both logins together; superusers and the replication login's walsenders are not counted. */
const CONNECTION_LIMIT = 30;

const OBJECT_IN_USE = "55006";
const DUPLICATE_DATABASE = "42P04";
const CREATE_ATTEMPTS = 5;

/**
 * Copies the template and opens the copy to exactly the project's two logins and the replication login. Idempotent: an
 * existing database is only brought to the same grants and settings.
 *
 * The database stays the superuser's; its user may create in it what he likes. An owner could let others in: with
 * `grant connect on database … to postgres`, or with `reassign owned by … to postgres`, which takes the database along.
 * Every tenant has that role, and no event trigger sees either. He could also close it to us.
 *
 * The copy takes no connections until PUBLIC is shut out: between the two any other tenant could step in and stay, as
 * CONNECT is only asked for at the start of a session. About 50 ms.
 * @param client superuser connection to database `postgres`, not in a transaction; after ensureProjectRoles.
 * @throws pg.DatabaseError with code `3D000` when the template is gone: call ensureTemplate again.
 */
export async function ensureProjectDatabase(client: pg.ClientBase, ref: string, template: Template): Promise<void> {
  const database = projectDatabaseName(ref);
  const user = projectUserName(ref);
  const authenticator = projectAuthenticatorName(ref);
  await dropIfInvalid(client, database);
  if (!(await databaseExists(client, database))) await copyTemplate(client, database, template);
  // One simple query is one transaction: the database opens with all of its walls up, or not at all.
  await client.query(`/* ensureProjectDatabase */
    revoke all on database ${database} from public;
    grant temporary on database ${database} to public;
    grant create on database ${database} to ${user}, ${template.postgresGroup};
    grant connect on database ${database} to ${user}, ${authenticator}, ${REPLICATION_ROLE};
    alter database ${database} set search_path = "$user", public, extensions;
    alter database ${database} set timezone = 'UTC';
    alter database ${database} set "app.settings.jwt_exp" = '3600';
    alter database ${database} with allow_connections true;`);
}

async function copyTemplate(client: pg.ClientBase, database: string, template: Template): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await client.query(`/* copyTemplate */ create database ${database} template ${template.name}
        strategy wal_log connection limit ${CONNECTION_LIMIT} allow_connections false`);
      return;
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) throw error;
      if (error.code === DUPLICATE_DATABASE) return;
      // An autovacuum worker in the template makes PostgreSQL wait 5 s and then refuse.
      if (error.code !== OBJECT_IN_USE || attempt === CREATE_ATTEMPTS) throw error;
    }
  }
}

/** A DROP DATABASE that was cut off leaves a database that nobody can use: `datconnlimit` -2. */
async function dropIfInvalid(client: pg.ClientBase, database: string): Promise<void> {
  const { rowCount } = await client.query(
    "/* dropIfInvalid */ select from pg_database where datname = $1 and datconnlimit = -2",
    [database],
  );
  if (rowCount) await client.query(`/* dropIfInvalid */ drop database if exists ${database}`);
}

/**
 * What only can be said inside the new database, as it names a role the template cannot know: what the project's user
 * makes is open to the postgres group (tools and dumps act as `postgres`), and what he makes in `public` is reachable by
 * the API roles, as what Supabase's `postgres` makes. Idempotent; one round trip.
 * @param session superuser session in the project's database (ClusterConnections.projectAdmin).
 */
export async function grantProject(session: pg.ClientBase, ref: string, roles: ClusterRoles): Promise<void> {
  const user = projectUserName(ref);
  const grantees = `${roles.postgresGroup}, anon, authenticated, service_role`;
  const toGroup = (kind: string) =>
    `alter default privileges for role ${user} grant all on ${kind} to ${roles.postgresGroup};`;
  await session.query(`/* grantProject */
    ${["schemas", "tables", "sequences", "routines", "types"].map(toGroup).join("\n    ")}
    alter default privileges for role ${user} in schema public grant all on tables to ${grantees};
    alter default privileges for role ${user} in schema public grant all on sequences to ${grantees};
    alter default privileges for role ${user} in schema public grant all on functions to ${grantees};`);
}

/**
 * Opens to the postgres group what the project's user had made before {@link grantProject} did so. Idempotent. Superuser
 * work in a hostile database: it names objects by their oid's quoted name and runs nothing of theirs.
 */
export async function grantExistingObjects(session: pg.ClientBase, ref: string, roles: ClusterRoles): Promise<void> {
  const owner = pg.escapeLiteral(projectUserName(ref));
  const group = pg.escapeLiteral(roles.postgresGroup);
  await session.query(`/* grantExistingObjects */ do $grants$
    declare
      owned record;
    begin
      for owned in
        select 'schema' as kind, quote_ident(nspname) as name from pg_catalog.pg_namespace where nspowner = ${owner}::regrole
        union all
        select case relkind when 'S' then 'sequence' else 'table' end, oid::regclass::text
        from pg_catalog.pg_class where relowner = ${owner}::regrole and relkind in ('r', 'p', 'v', 'm', 'f', 'S') and relpersistence <> 't'
        union all
        select 'routine', oid::regprocedure::text from pg_catalog.pg_proc where proowner = ${owner}::regrole and prokind in ('f', 'p', 'w')
        union all
        select 'type', oid::regtype::text from pg_catalog.pg_type
        where typowner = ${owner}::regrole and typtype in ('d', 'e', 'r') and typelem = 0
      loop
        execute format('grant all on %s %s to %I', owned.kind, owned.name, ${group});
      end loop;
    end
  $grants$`);
}

/**
 * Shuts the project's database: its logins may not log in, its sessions are ended. Idempotent. Superuser sessions may
 * still enter, for migrations. @throws when sessions are still there after ten seconds.
 */
export async function pauseProject(client: pg.ClientBase, ref: string): Promise<void> {
  const database = projectDatabaseName(ref);
  await alterLogins(
    client,
    ref,
    `/* pauseProject */
    alter role ${projectUserName(ref)} nologin;
    alter role ${projectAuthenticatorName(ref)} nologin;
    revoke connect on database ${database} from ${REPLICATION_ROLE};`,
  );
  await terminateSessions(client, database);
}

/** The opposite of {@link pauseProject}. Idempotent. */
export async function resumeProject(client: pg.ClientBase, ref: string): Promise<void> {
  await alterLogins(
    client,
    ref,
    `/* resumeProject */
    grant connect on database ${projectDatabaseName(ref)} to ${REPLICATION_ROLE};
    alter role ${projectUserName(ref)} login;
    alter role ${projectAuthenticatorName(ref)} login;`,
  );
}

/**
 * Drops the project's database and its replication slots, with whoever is connected. Idempotent, also on a half-made
 * project. The realtime service should have let go of the project, but need not.
 */
export async function dropProjectDatabase(client: pg.ClientBase, ref: string): Promise<void> {
  const database = projectDatabaseName(ref);
  await dropIfInvalid(client, database);
  if (!(await databaseExists(client, database))) return;
  // An active slot stops even DROP … WITH (FORCE): first nobody may come back, then everybody leaves.
  await client.query(`/* dropProjectDatabase */ alter database ${database} with allow_connections false`);
  await terminateSessions(client, database);
  await client.query(
    `/* dropProjectDatabase */ select pg_drop_replication_slot(slot_name) from pg_replication_slots
     where database = $1 and not active`,
    [database],
  );
  await withoutHolders(
    client,
    { catalog: "pg_database", name: database },
    `/* dropProjectDatabase */ drop database if exists ${database} with (force)`,
  );
}

/**
 * Everything in the cluster that bears the project's name: `database …`, `role …`, `slot …`, `session …`.
 * Empty after a complete deletion; for tests and for the operator.
 */
export async function projectLeftovers(client: pg.ClientBase, ref: string): Promise<string[]> {
  const { rows } = await client.query<{ leftover: string }>(
    `/* projectLeftovers */
     select 'database ' || datname as leftover from pg_database where datname = $1
     union all select 'role ' || rolname from pg_roles where starts_with(rolname, $3)
     union all select 'slot ' || slot_name from pg_replication_slots where database = $1
     union all select 'session ' || usename || '/' || datname from pg_stat_activity
       where datname = $1 or usename = any ($2)
     order by 1`,
    [projectDatabaseName(ref), [projectUserName(ref), projectAuthenticatorName(ref)], `${projectDatabaseName(ref)}_`],
  );
  return rows.map(({ leftover }) => leftover);
}
