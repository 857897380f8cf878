/** A PostgreSQL that somebody else runs, used instead of the embedded one. */
import { createClient } from "../../control-plane/postgres-client.ts";

const OLDEST_MAJOR = 15;
const NEWEST_MAJOR = 18;
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Makes sure that DATABASE_URL can be used: reachable, version 15 to 18, a superuser.
 * @throws {Error} with a sentence for people that never holds the URL's password.
 */
export async function externalPostgres(url: string): Promise<{ readonly version: string }> {
  const client = createClient({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  const where = `PostgreSQL at ${client.host}:${client.port}`;
  try {
    await client.connect();
  } catch (error) {
    await client.end().catch(() => {});
    const { code, message, errors } = error as NodeJS.ErrnoException & { errors?: Error[] };
    const reason = message || errors?.[0]?.message || code;
    throw new Error(`${where}, which DATABASE_URL names, cannot be reached: ${reason}`);
  }
  try {
    const { rows } = await client.query<{ version: string; number: number; is_superuser: boolean }>(
      `/* externalPostgres */ select current_setting('server_version') as version,
        current_setting('server_version_num')::int as number,
        (select rolsuper from pg_roles where rolname = current_user) as is_superuser`,
    );
    const [server] = rows;
    if (!server) throw new Error(`${where} does not tell its version`);
    const major = Math.floor(server.number / 10_000);
    if (major < OLDEST_MAJOR || major > NEWEST_MAJOR)
      throw new Error(`${where} is version ${server.version}; Supalove needs ${OLDEST_MAJOR} to ${NEWEST_MAJOR}.`);
    if (!server.is_superuser)
      throw new Error(
        `${where}: user ${client.user} is no superuser. Supalove makes databases, roles and event triggers, and needs one in DATABASE_URL.`,
      );
    return { version: server.version };
  } finally {
    await client.end();
  }
}
