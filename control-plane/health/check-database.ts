/** Looks into a project's database by the login of its services: what they would find, and nothing that only we could do. */
import pg from "pg";
import { type AuthenticatorSession, withAuthenticatorSession } from "../clusters/authenticator-session.ts";

export interface DatabaseHealth {
  readonly isReachable: boolean;
  /** To open a session and get a first answer. */
  readonly latencyMs: number | null;
  /** Why it is not reachable, in PostgreSQL's words where it said something. */
  readonly problem: string | null;
  /** Tables of the project's own: not those of the services' schemas. Null when not reachable. */
  readonly tables: number | null;
  /** Objects of storage, by the running total. Null when not reachable. */
  readonly storage: StorageUsage | null;
}

export interface StorageUsage {
  readonly bytes: number;
  readonly objects: number;
}

const TIMEOUT_MS = 3_000;

const SERVICE_SCHEMAS = [
  "information_schema",
  "auth",
  "storage",
  "realtime",
  "extensions",
  "graphql_public",
  "supabase_functions",
  "supalove",
];

export async function checkDatabase(login: Omit<AuthenticatorSession, "role" | "searchPath">): Promise<DatabaseHealth> {
  const startedAt = performance.now();
  const looked = withAuthenticatorSession({ ...login, role: null, searchPath: "pg_catalog" }, async (session) => {
    await session.query("/* checkDatabase */ select 1");
    const latencyMs = performance.now() - startedAt;
    const [tables, storage] = [await countTables(session), await readStorageUsage(session)];
    return { isReachable: true, latencyMs, problem: null, tables, storage };
  });
  try {
    return await beforeTimeout(looked);
  } catch (error) {
    const problem = error instanceof pg.DatabaseError ? error.message : "no answer";
    return { isReachable: false, latencyMs: null, problem, tables: null, storage: null };
  }
}

/** Only catalogs are read, and by their full names: nothing the tenant has made is run. */
async function countTables(session: pg.ClientBase): Promise<number> {
  const { rows } = await session.query<{ tables: number }>(
    `/* countTables */ select count(*)::int as tables
     from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and not c.relispartition and n.nspname !~ '^pg_' and n.nspname <> all ($1)`,
    [SERVICE_SCHEMAS],
  );
  return rows[0]?.tables ?? 0;
}

/** From a table of the superuser's, which no tenant's code can get in front of. */
async function readStorageUsage(session: pg.ClientBase): Promise<StorageUsage | null> {
  const { rows } = await session.query<{ bytes: string; objects: string }>(
    `/* readStorageUsage */ select pg_catalog.sum(bytes)::pg_catalog.text as bytes, pg_catalog.sum(objects)::pg_catalog.text as objects
     from supalove.storage_usage`,
  );
  const [row] = rows;
  return row ? { bytes: Number(row.bytes), objects: Number(row.objects) } : null;
}

/** The session ends by its own timeouts; whoever asks does not wait for those. */
async function beforeTimeout<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error("no answer in time")), TIMEOUT_MS);
  });
  work.catch(() => {}); // it may fail after the timeout
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
