/** Takes a project's logins back from whoever has given them passwords of his own or has sessions open. */
import type pg from "pg";
import { projectAuthenticatorName, projectDatabaseName, projectUserName } from "./names.ts";
import type { ProjectPasswords } from "./project-roles.ts";
import { alterLogins, terminateSessions } from "./project-sessions.ts";
import { isVerifierOf, scramVerifier } from "./scram.ts";

/**
 * Sets both passwords and ends all sessions, walsenders included; requests under way fail once. Nobody can log in while
 * the sessions end: one of them could otherwise set a password, be ended, and be back by it. Idempotent.
 * Who was in the middle of logging in meanwhile is not seen yet: {@link endEarlierLogins} has to follow.
 * @param opens Whether people and services may log in afterwards; not where the project is closed anyway.
 * @returns When the logins were opened again, by the server's clock, in ISO 8601 with microseconds.
 */
export async function resetLogins(
  client: pg.ClientBase,
  ref: string,
  passwords: ProjectPasswords,
  opens: boolean,
): Promise<string> {
  const user = projectUserName(ref);
  const authenticator = projectAuthenticatorName(ref);
  const [userVerifier, authenticatorVerifier] = await Promise.all([
    scramVerifier(passwords.userPassword),
    scramVerifier(passwords.authenticatorPassword),
  ]);
  const close = `alter role ${user} nologin; alter role ${authenticator} nologin`;
  await alterLogins(client, ref, `/* resetLogins: close */ ${close}`);
  await terminateSessions(client, projectDatabaseName(ref));
  const login = opens ? "login" : "nologin";
  await alterLogins(
    client,
    ref,
    `/* resetLogins: open */
    alter role ${user} ${login} password '${userVerifier}';
    alter role ${authenticator} ${login} password '${authenticatorVerifier}'`,
  );
  const { rows } = await client.query<{ at: string }>("/* resetLogins */ select clock_timestamp()::text as at");
  return rows[0]?.at ?? "";
}

export interface LoginCheck {
  /** Both passwords are still those that were set. */
  readonly intact: boolean;
  /** Whoever began to log in before the reset has been refused or ended by now. */
  readonly final: boolean;
}

/**
 * PostgreSQL reads a login's password when the exchange begins and lets a client take up to `authentication_timeout` to
 * finish it. So somebody may come in by the old password after the reset; his session began before it, and is ended.
 * @param openedAt What {@link resetLogins} returned.
 */
export async function endEarlierLogins(
  client: pg.ClientBase,
  ref: string,
  passwords: ProjectPasswords,
  openedAt: string,
): Promise<LoginCheck> {
  const expected = new Map([
    [projectUserName(ref), passwords.userPassword],
    [projectAuthenticatorName(ref), passwords.authenticatorPassword],
  ]);
  const names = [...expected.keys()];
  await client.query(
    `/* endEarlierLogins */ select pg_terminate_backend(pid) from pg_stat_activity
     where usename = any ($1) and backend_start < $2::timestamptz`,
    [names, openedAt],
  );
  const { rows } = await client.query<{ name: string; verifier: string | null; final: boolean }>(
    `/* endEarlierLogins: verifiers */ select rolname as name, rolpassword as verifier,
       clock_timestamp() > $2::timestamptz + current_setting('authentication_timeout')::interval + interval '5 seconds' as final
     from pg_authid where rolname = any ($1)`,
    [names, openedAt],
  );
  const matches = await Promise.all(
    rows.map(({ name, verifier }) => isVerifierOf(verifier ?? "", expected.get(name) ?? "")),
  );
  return { intact: matches.length === 2 && matches.every(Boolean), final: rows.every(({ final }) => final) };
}
