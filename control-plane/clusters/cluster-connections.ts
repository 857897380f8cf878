/** Superuser connections to the clusters that hold shared projects. Opened on first use, closed when idle. */
import type pg from "pg";
import { createClient, createClientPool } from "../postgres-client.ts";

/** A PostgreSQL server and its superuser. */
export interface ClusterAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Empty where the server asks for none. */
  readonly password: string;
  readonly ssl: boolean;
}

/**
 * Settings of every superuser session; what comes in the start-up packet stands above what is stored for the database.
 * Without the search_path a name of ours could be answered by an object of the tenant: he may create a schema that bears
 * the superuser's name, and `public` is his anyway.
 */
const PINNED_SETTINGS: Readonly<Record<string, string>> = {
  search_path: "pg_catalog,pg_temp",
  check_function_bodies: "off",
  statement_timeout: "60s",
  lock_timeout: "30s",
  idle_in_transaction_session_timeout: "60s",
  client_min_messages: "warning",
};

/** The start-up option string for a superuser session in any database. */
export const PINNED_OPTIONS = Object.entries(PINNED_SETTINGS)
  .map(([name, value]) => `-c ${name}=${value}`)
  .join(" ");

/** Connection settings of a superuser session that is safe in a hostile database; every one of ours is made with them. */
export function adminClientConfig(address: ClusterAddress, database: string): pg.ClientConfig {
  return {
    host: address.host,
    port: address.port,
    user: address.user,
    password: address.password,
    database,
    ssl: address.ssl,
    options: PINNED_OPTIONS,
    application_name: "supalove control plane",
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
  };
}

/** Connects as superuser to one database; the caller ends the client. */
export async function connectAsAdmin(address: ClusterAddress, database: string): Promise<pg.Client> {
  const client = createClient(adminClientConfig(address, database));
  await client.connect();
  return client;
}

export function isSameAddress(one: ClusterAddress, other: ClusterAddress): boolean {
  return (["host", "port", "user", "password", "ssl"] as const).every((name) => one[name] === other[name]);
}

/** Parses `postgresql://user:password@host:port/…`; `sslmode` other than disable and prefer turns TLS on. */
export function parseClusterUrl(url: string): ClusterAddress {
  const parsed = new URL(url);
  const sslMode = parsed.searchParams.get("sslmode") ?? "prefer";
  return {
    host: parsed.hostname || "localhost",
    port: Number(parsed.port || 5432),
    user: decodeURIComponent(parsed.username || "postgres"),
    password: decodeURIComponent(parsed.password),
    ssl: !["disable", "allow", "prefer"].includes(sslMode),
  };
}

export interface ClusterConnectionsOptions {
  /** Reads a cluster's row and decrypts its password. @throws when there is no such cluster. */
  readonly getAddress: (clusterId: string) => Promise<ClusterAddress>;
  /** Connections of one cluster's admin pool. */
  readonly maxConnections?: number;
  /** An idle connection broke: only for the log, the pool replaces it. */
  readonly onIdleError?: (error: Error, clusterId: string) => void;
}

export class ClusterConnections {
  readonly #options: ClusterConnectionsOptions;
  readonly #pools = new Map<string, Promise<pg.Pool>>();

  constructor(options: ClusterConnectionsOptions) {
    this.#options = options;
  }

  /** Where the cluster is, and its superuser. @throws when there is no such cluster. */
  address(clusterId: string): Promise<ClusterAddress> {
    return this.#options.getAddress(clusterId);
  }

  /** Pool of superuser connections to database `postgres` of the cluster; one a cluster, closed by {@link close}. */
  admin(clusterId: string): Promise<pg.Pool> {
    const known = this.#pools.get(clusterId);
    if (known) return known;
    const pool = this.#openPool(clusterId);
    this.#pools.set(clusterId, pool);
    // A cluster whose address could not be read is asked for again next time.
    pool.catch(() => this.#pools.delete(clusterId));
    return pool;
  }

  /** Takes one connection of the admin pool for functions that want a `pg.Client`, and gives it back. */
  async withAdmin<T>(clusterId: string, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const pool = await this.admin(clusterId);
    const client = await pool.connect();
    let broken: Error | undefined;
    try {
      return await work(client);
    } catch (error) {
      // Session state such as an advisory lock or an open transaction must not come back to the next caller.
      broken = error as Error;
      throw error;
    } finally {
      client.release(broken);
    }
  }

  /** Superuser session in a project's database; the caller ends it. Short work only. */
  async projectAdmin(clusterId: string, database: string): Promise<pg.Client> {
    return connectAsAdmin(await this.#options.getAddress(clusterId), database);
  }

  /** {@link projectAdmin} around `work`, ended afterwards. */
  async withProjectAdmin<T>(clusterId: string, database: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = await this.projectAdmin(clusterId, database);
    try {
      return await work(client);
    } finally {
      await client.end().catch(() => {});
    }
  }

  /** Forgets the pool of a cluster whose address has changed. */
  async forget(clusterId: string): Promise<void> {
    const pool = this.#pools.get(clusterId);
    this.#pools.delete(clusterId);
    await pool?.then(
      (open) => open.end(),
      () => {},
    );
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pools.keys()].map((clusterId) => this.forget(clusterId)));
  }

  async #openPool(clusterId: string): Promise<pg.Pool> {
    const address = await this.#options.getAddress(clusterId);
    const config = {
      ...adminClientConfig(address, "postgres"),
      max: this.#options.maxConnections ?? 8,
      idleTimeoutMillis: 30_000,
    };
    return createClientPool(config, (error) => this.#options.onIdleError?.(error, clusterId));
  }
}
