/**
 * A short session in a project's database by the login of its API services, for what the control plane has to look up
 * or change among the tenant's own objects. Never a superuser's: triggers, views and defaults in there are the tenant's
 * code, and code can RESET ROLE to whoever has logged in. This login has nothing that the tenant has not.
 */
import pg from "pg";
import { createClient } from "../postgres-client.ts";
import type { ClusterAddress } from "./cluster-connections.ts";
import { projectAuthenticatorName, projectDatabaseName } from "./names.ts";
import { limitReceivedBytes } from "./received-bytes.ts";

export interface AuthenticatorSession {
  readonly address: Pick<ClusterAddress, "host" | "port" | "ssl">;
  readonly ref: string;
  /** Secret AUTHENTICATOR_PASSWORD. */
  readonly password: string;
  /**
   * Makes the stored password the login's again, when the server refuses it: a tenant can change it, and his API is
   * down until it is set back. Then there is one more try.
   */
  readonly restorePassword?: () => Promise<void>;
  /** Becomes this role; null stays the login, which can read catalogs and nothing else. */
  readonly role: "supabase_auth_admin" | null;
  /** `pg_catalog` comes before it in any case. */
  readonly searchPath: "auth" | "pg_catalog";
}

/** Stands above whatever the tenant has set for the database or the role. */
const PINNED_SETTINGS = {
  statement_timeout: "8s",
  lock_timeout: "4s",
  idle_in_transaction_session_timeout: "15s",
  default_transaction_read_only: "off",
  default_transaction_isolation: "read\\ committed",
  standard_conforming_strings: "on",
  row_security: "on",
  datestyle: "ISO",
  timezone: "UTC",
  client_min_messages: "warning",
};

/** A tenant's code may hold the server up or send without end: neither holds up the control plane. */
const TIMEOUT_MS = 10_000;
const MAX_RECEIVED_BYTES = 8 * 1024 * 1024;
const WRONG_PASSWORD = "28P01";

/** Connects, and ends the session after `work`. @throws what pg throws: a DatabaseError, or a network error with a code. */
export async function withAuthenticatorSession<T>(
  login: AuthenticatorSession,
  work: (session: pg.Client) => Promise<T>,
): Promise<T> {
  const session = await connect(login).catch(async (error: unknown) => {
    if (!login.restorePassword || !(error instanceof pg.DatabaseError) || error.code !== WRONG_PASSWORD) throw error;
    await login.restorePassword();
    return connect(login);
  });
  limitReceivedBytes(session, MAX_RECEIVED_BYTES, () => {});
  try {
    return await work(session);
  } finally {
    await session.end().catch(() => {});
  }
}

async function connect({ address, ref, password, role, searchPath }: AuthenticatorSession): Promise<pg.Client> {
  const settings = { ...PINNED_SETTINGS, search_path: searchPath, ...(role ? { role } : {}) };
  const session = createClient({
    host: address.host,
    port: address.port,
    ssl: address.ssl,
    user: projectAuthenticatorName(ref),
    password,
    database: projectDatabaseName(ref),
    options: Object.entries(settings)
      .map(([name, value]) => `-c ${name}=${value}`)
      .join(" "),
    application_name: "supalove control plane",
    connectionTimeoutMillis: TIMEOUT_MS,
    query_timeout: TIMEOUT_MS,
  });
  await session.connect();
  return session;
}
