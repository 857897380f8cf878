/** Sessions of a project's logins: ended for good, for a moment, or because they are in the way of a change. */
import pg from "pg";
import { projectAuthenticatorName, projectDatabaseName, projectUserName } from "./names.ts";

const TERMINATE_TIMEOUT_MS = 10_000;
const LOCK_NOT_AVAILABLE = "55P03";
const INTERNAL_ERROR = "XX000"; // "tuple concurrently updated": the holder has committed meanwhile
const ALTER_ATTEMPTS = 5;

/**
 * Runs statements on the project's two logins, as one transaction. A tenant may change his own password, so an open
 * transaction of his that did so holds the role: after two seconds his sessions are ended. @throws the statements' error.
 */
export async function alterLogins(client: pg.ClientBase, ref: string, statements: string): Promise<void> {
  const logins = [projectUserName(ref), projectAuthenticatorName(ref)].map((name) => `'${name}'`).join(", ");
  for (let attempt = 1; ; attempt += 1) {
    try {
      // ALTER ROLE gives up when somebody else is faster; a row lock waits for its turn, and then everybody else gives up.
      // Several statements in one simple query are one transaction, so the limit is gone behind it.
      await client.query(
        `set local lock_timeout = '2s';
         /* alterLogins: turn */ select from pg_authid where rolname in (${logins}) order by rolname for update;
         ${statements}`,
      );
      return;
    } catch (error) {
      const code = error instanceof pg.DatabaseError ? error.code : undefined;
      if ((code !== LOCK_NOT_AVAILABLE && code !== INTERNAL_ERROR) || attempt === ALTER_ATTEMPTS) throw error;
      await terminateOnce(client, projectDatabaseName(ref));
    }
  }
}

/**
 * Ends all sessions that are not a superuser's, walsenders and their temporary slots included; new ones may come at
 * once, unless the project is paused. Enough for "restart".
 */
export async function terminateProjectSessions(client: pg.ClientBase, ref: string): Promise<void> {
  await terminateOnce(client, projectDatabaseName(ref));
}

/** Until none is left. @throws when sessions are still there after ten seconds. */
export async function terminateSessions(client: pg.ClientBase, database: string): Promise<void> {
  const deadline = Date.now() + TERMINATE_TIMEOUT_MS;
  for (;;) {
    const left = await terminateOnce(client, database);
    if (left === 0) return;
    if (Date.now() > deadline) throw new Error(`${left} sessions of ${database} do not end`);
    await new Promise((resume) => setTimeout(resume, 10));
  }
}

/** @returns how many sessions were told to end. */
export async function terminateOnce(client: pg.ClientBase, database: string): Promise<number> {
  const { rowCount } = await client.query(
    `/* terminateOnce */ select pg_terminate_backend(a.pid) from pg_stat_activity a join pg_roles r on r.oid = a.usesysid
     where a.datname = $1 and not r.rolsuper`,
    [database],
  );
  return rowCount ?? 0;
}
