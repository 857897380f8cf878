/** The two login roles of a shared project. */
import { randomBytes } from "node:crypto";
import pg from "pg";
import type { ClusterRoles } from "./bootstrap.ts";
import { withoutHolders } from "./locks.ts";
import { API_ROLES, projectAuthenticatorName, projectUserName, SERVICE_OWNER_ROLES } from "./names.ts";
import { alterLogins, terminateOnce } from "./project-sessions.ts";
import { scramVerifier } from "./scram.ts";
import type { ConnectToDatabase } from "./template.ts";

export interface ProjectPasswords {
  /** At least 8 printable ASCII characters, as the other. */
  readonly userPassword: string;
  readonly authenticatorPassword: string;
}

/** What one project may take of a shared cluster. Tenants can change none of these, except the timeouts of a session. */
export const ROLE_LIMITS = {
  userConnections: 20,
  authenticatorConnections: 30,
  /** Bytes of temporary files a session may hold: sorts and hashes that do not fit into memory. */
  tempFileLimit: "1GB",
} as const;

/**
 * Makes both logins, or brings existing ones to the same state, passwords included. Idempotent.
 * - `project_<ref>_user`: who the people of the project are in SQL; inherits the postgres group.
 *   BYPASSRLS as Supabase's `postgres` has it: pg_dump and definer functions need it, and inside his own database the
 *   tenant could SET ROLE service_role anyway. It may also become the authenticator, to store `pgrst.*` settings for it.
 * - `project_<ref>_authenticator`: NOINHERIT, may become the API roles and the service owners. It can do nothing as itself.
 * One round trip, about 5 ms. @param client superuser connection to database `postgres`.
 */
export async function ensureProjectRoles(
  client: pg.ClientBase,
  ref: string,
  roles: ClusterRoles,
  passwords: ProjectPasswords,
): Promise<void> {
  const user = projectUserName(ref);
  const authenticator = projectAuthenticatorName(ref);
  const [userVerifier, authenticatorVerifier] = await Promise.all([
    scramVerifier(passwords.userPassword),
    scramVerifier(passwords.authenticatorPassword),
  ]);
  const { rows } = await client.query<{ version: number }>(
    "/* ensureProjectRoles */ select current_setting('server_version_num')::int as version",
  );
  // Before 16 whether a member inherits is the member's attribute alone; from 16 on each grant says it.
  const explicit = (rows[0]?.version ?? 0) >= 160000;
  const inherit = explicit ? "with inherit true" : "";
  const noInherit = explicit ? "with inherit false, set true" : "";
  const powerless = "login nosuperuser nocreaterole nocreatedb noreplication";
  await alterLogins(
    client,
    ref,
    `/* ensureProjectRoles */
    do $do$ begin
      if not exists (select from pg_roles where rolname = '${user}') then create role ${user}; end if;
      if not exists (select from pg_roles where rolname = '${authenticator}') then create role ${authenticator}; end if;
    end $do$;
    alter role ${user} ${powerless} inherit bypassrls connection limit ${ROLE_LIMITS.userConnections} password '${userVerifier}';
    alter role ${authenticator} ${powerless} noinherit nobypassrls connection limit ${ROLE_LIMITS.authenticatorConnections} password '${authenticatorVerifier}';
    grant ${roles.postgresGroup} to ${user} ${inherit};
    grant ${authenticator} to ${user} ${noInherit};
    grant ${[...API_ROLES, ...SERVICE_OWNER_ROLES].join(", ")} to ${authenticator} ${noInherit};
    alter role ${user} set statement_timeout = '2min';
    alter role ${user} set idle_in_transaction_session_timeout = '5min';
    alter role ${user} set temp_file_limit = '${ROLE_LIMITS.tempFileLimit}';
    alter role ${authenticator} set statement_timeout = '8s';
    alter role ${authenticator} set lock_timeout = '8s';
    alter role ${authenticator} set idle_in_transaction_session_timeout = '60s';
    alter role ${authenticator} set temp_file_limit = '${ROLE_LIMITS.tempFileLimit}';`,
  );
}

/** For when the tenant has given the services' login another password than the stored one; open sessions go on. */
export async function setAuthenticatorPassword(client: pg.ClientBase, ref: string, password: string): Promise<void> {
  await setPassword(client, ref, projectAuthenticatorName(ref), password);
}

/** The same for the project's user. */
export async function setUserPassword(client: pg.ClientBase, ref: string, password: string): Promise<void> {
  await setPassword(client, ref, projectUserName(ref), password);
}

async function setPassword(client: pg.ClientBase, ref: string, role: string, password: string): Promise<void> {
  const verifier = await scramVerifier(password);
  await alterLogins(client, ref, `/* setPassword */ alter role ${role} password '${verifier}'`);
}

/** How often another tenant may get in between with a grant to the role before the drop gives up. */
const DROP_ATTEMPTS = 20;
/** From then on it is no accident: the sessions of the database that goes on referring to the role are ended. */
const PATIENT_ATTEMPTS = 2;
const DEPENDENT_OBJECTS_STILL_EXIST = "2BP01";
/** Of whoever refers to the role at the same moment: a lock that he holds, each other's lock, the same catalog row. */
const IN_EACH_OTHERS_WAY = new Set(["55P03", "40P01", "XX000"]);

/**
 * Drops both logins and whatever refers to them anywhere in the cluster: any tenant can write `grant select on mine to
 * project_<ref>_user` in his own database, and PostgreSQL then refuses to drop the role. So the role takes a name that
 * nobody has written down, and who finds it out and goes on loses his sessions. After dropProjectDatabase; idempotent.
 * @param connect as superuser with the pinned options: it enters databases of other tenants.
 */
export async function dropProjectRoles(client: pg.ClientBase, connect: ConnectToDatabase, ref: string): Promise<void> {
  for (const name of [projectUserName(ref), projectAuthenticatorName(ref)]) {
    const renamed = `${name}_gone_${randomBytes(4).toString("hex")}`;
    await alterLogins(
      client,
      ref,
      `/* dropProjectRoles */ do $do$ begin
        if exists (select from pg_roles where rolname = '${name}') then
          alter role ${name} nologin;
          alter role ${name} rename to ${renamed};
        end if;
      end $do$`,
    );
    const { rows } = await client.query<{ role: string }>(
      "/* findRenamedRoles */ select rolname as role from pg_roles where starts_with(rolname, $1)",
      [`${name}_gone_`],
    );
    for (const { role } of rows) await dropRole(client, connect, role);
  }
}

async function dropRole(client: pg.ClientBase, connect: ConnectToDatabase, role: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const statement = `/* dropRole */ drop role if exists ${role}`;
      await withoutHolders(client, { catalog: "pg_authid", name: role }, statement);
      return;
    } catch (error) {
      const dependent = error instanceof pg.DatabaseError && error.code === DEPENDENT_OBJECTS_STILL_EXIST;
      if (!dependent || attempt === DROP_ATTEMPTS) throw error;
      await dropReferences(client, connect, role, attempt > PATIENT_ATTEMPTS);
    }
  }
}

/** DROP OWNED takes away the role's grants, policies and default privileges in a database, and those on shared objects. */
async function dropReferences(
  client: pg.ClientBase,
  connect: ConnectToDatabase,
  role: string,
  endsSessions: boolean,
): Promise<void> {
  const { rows } = await client.query<{ database: string }>(
    `/* dropReferences */ select distinct d.datname as database
     from pg_shdepend s join pg_database d on d.datname = current_database() or d.oid = s.dbid
     where s.refclassid = 'pg_authid'::regclass and s.refobjid = to_regrole($1)::oid`,
    [role],
  );
  for (const { database } of rows) {
    const session = await connect(database);
    try {
      await session.query("/* dropReferences */ set lock_timeout = '2s'");
      if (endsSessions) await terminateOnce(client, database);
      await session.query(`/* dropReferences */ drop owned by ${role} cascade`);
    } catch (error) {
      if (!(error instanceof pg.DatabaseError && IN_EACH_OTHERS_WAY.has(error.code ?? ""))) throw error;
      // Whoever refers to the role right now loses what he holds with his sessions; the next attempt drops the rest.
      await terminateOnce(client, database);
    } finally {
      await session.end();
    }
  }
}
