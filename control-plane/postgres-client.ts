/**
 * The one place that makes clients and pools of the PostgreSQL driver. A client without an `error` listener ends the
 * process when its backend dies, and the driver's pool takes its own listener off while a client is lent: so each gets
 * one here. What was under way on the connection rejects by itself; there is nothing else to do.
 */
import pg from "pg";

/** Not connected yet; whoever asked for it connects and ends it. */
export function createClient(config: pg.ClientConfig): pg.Client {
  const client = new pg.Client(config);
  client.on("error", ignore);
  return client;
}

/** @param onIdleError a connection broke that nobody used; the pool replaces it, so this is only for the log. */
export function createClientPool(config: pg.PoolConfig, onIdleError: (error: Error) => void = ignore): pg.Pool {
  const pool = new pg.Pool(config);
  pool.on("error", onIdleError);
  pool.on("connect", (client) => client.on("error", ignore));
  return pool;
}

function ignore(): void {}
