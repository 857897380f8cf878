/** The control plane's own database: schema `supalove` of the first cluster. Everything durable is coordinated here. */
import pg from "pg";
import { createClientPool } from "./postgres-client.ts";

/** What a repository function needs: a pool or an open transaction, it cannot tell and should not care. */
export interface Queryable {
  /**
   * Rows as objects with JavaScript values: timestamps are Date, bytea is Buffer, int8 (counts, versions, sizes) is number.
   * Calls on one transaction must be awaited one after the other.
   */
  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]>;
}

const INT8_OID = 20;
const UNIQUE_VIOLATION = "23505";
/**
 * A tenant has filled the cluster's lock table. Its watch makes room within a second; whatever failed has been undone as a
 * whole by then, and can be tried again.
 */
const OUT_OF_SHARED_MEMORY = "53200";
const ROOM_WITHIN_MS = 3_000;
const ROOM_RETRY_MS = 100;

export interface PoolOptions {
  readonly databaseUrl: string;
  readonly maxConnections?: number;
  /** Called for an idle connection that broke; the pool replaces it, so this is only for the log. */
  readonly onIdleError?: (error: Error) => void;
}

/**
 * The connection settings that every client of the control plane's database shares: search_path and type parsers.
 * Counts, sizes and versions stay far below 2^53, so int8 is read as a number.
 */
export function clientConfig(databaseUrl: string): pg.ClientConfig {
  return {
    connectionString: databaseUrl,
    options: "-c search_path=supalove",
    application_name: "supalove control plane",
    types: {
      getTypeParser: ((oid: number, format?: "text" | "binary") =>
        oid === INT8_OID ? Number : pg.types.getTypeParser(oid, format as "text")) as typeof pg.types.getTypeParser,
    },
  };
}

export function createPool({ databaseUrl, maxConnections = 10, onIdleError }: PoolOptions): pg.Pool {
  const config = {
    ...clientConfig(databaseUrl),
    max: maxConnections,
    idleTimeoutMillis: 30_000,
    connectionTimeoutMillis: 10_000,
  };
  return createClientPool(config, onIdleError);
}

/** A pool with the search_path set, made by {@link createPool}. The one who made the Database closes it. */
export class Database implements Queryable {
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  async query<Row extends object>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    const result = await whenThereIsRoom(() => this.#pool.query<Row>(text, values as unknown[]));
    return result.rows;
  }

  /**
   * Commits when `work` resolves, rolls back when it throws; the error is passed on unchanged. `work` is done once more
   * when the server was short of locks.
   */
  transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    return whenThereIsRoom(() => this.#attempt(work));
  }

  async #attempt<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect();
    let broken: Error | undefined;
    try {
      await client.query("begin");
      const result = await work({
        query: async <Row extends object>(text: string, values: readonly unknown[] = []) =>
          (await client.query<Row>(text, values as unknown[])).rows,
      });
      await client.query("commit");
      return result;
    } catch (error) {
      // A connection that cannot even roll back is thrown away instead of going back to the pool inside a transaction.
      await client.query("rollback").catch((rollbackError: Error) => {
        broken = rollbackError;
      });
      throw error;
    } finally {
      client.release(broken);
    }
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}

async function whenThereIsRoom<T>(attempt: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + ROOM_WITHIN_MS;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const isFull = error instanceof pg.DatabaseError && error.code === OUT_OF_SHARED_MEMORY;
      if (!isFull || performance.now() > deadline) throw error;
      await new Promise((resume) => setTimeout(resume, ROOM_RETRY_MS));
    }
  }
}

/** A LIKE pattern for texts that hold this one; its own wildcards stand for themselves. */
export function containsPattern(text: string): string {
  return `%${text.replace(/[\\%_]/g, "\\$&")}%`;
}

/** True for the violation of a unique constraint or index; `constraint` names which one, when given. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  if (!(error instanceof pg.DatabaseError) || error.code !== UNIQUE_VIOLATION) return false;
  return constraint === undefined || error.constraint === constraint;
}
