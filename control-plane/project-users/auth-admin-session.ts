/**
 * A session in a project's database as `supabase_auth_admin`, the owner of schema `auth`.
 * It is the login of the project's authenticator that has become that role, never a superuser's: triggers on auth.users
 * are the tenant's own code, and code can RESET ROLE to whoever has logged in.
 */
import pg from "pg";
import type { ClusterAddress } from "../clusters/cluster-connections.ts";
import { projectAuthenticatorName, projectDatabaseName } from "../clusters/names.ts";

/** Stands above whatever the tenant has set for the database or the role. */
const SESSION_OPTIONS = [
  "role=supabase_auth_admin",
  "search_path=auth",
  "statement_timeout=8s",
  "lock_timeout=4s",
  "idle_in_transaction_session_timeout=15s",
  "default_transaction_read_only=off",
  "standard_conforming_strings=on",
  "row_security=on",
  "datestyle=ISO",
  "timezone=UTC",
  "client_min_messages=warning",
]
  .map((setting) => `-c ${setting}`)
  .join(" ");

/** A server held up by the tenant's code must not hold up the caller. */
const QUERY_TIMEOUT_MS = 10_000;

/** @param password of the project's authenticator login. Connects and ends around `work`. */
export async function withAuthAdminSession<T>(
  address: Pick<ClusterAddress, "host" | "port" | "ssl">,
  ref: string,
  password: string,
  work: (session: pg.Client) => Promise<T>,
): Promise<T> {
  const session = new pg.Client({
    host: address.host,
    port: address.port,
    ssl: address.ssl,
    user: projectAuthenticatorName(ref),
    password,
    database: projectDatabaseName(ref),
    options: SESSION_OPTIONS,
    application_name: "supalove control plane",
    connectionTimeoutMillis: QUERY_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
  });
  session.on("error", () => {}); // the next query fails anyway
  await session.connect();
  try {
    return await work(session);
  } finally {
    await session.end().catch(() => {});
  }
}
