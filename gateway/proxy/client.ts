/** The gateway's HTTP/1.1 client: a pool for each origin. */
import type { Deadlines } from "../deadlines.ts";
import { parseOrigin } from "./connection.ts";
import type { JobControl, UpstreamJob } from "./job.ts";
import { type PoolLimits, UpstreamPool } from "./pool.ts";

export const DEFAULT_POOL_LIMITS: PoolLimits = {
  maxConnections: 512,
  maxConnectionsPerKey: 256,
  maxWaiting: 1_024,
  maxWaitMs: 5_000,
  connectMs: 3_000,
  // Below the five seconds after which many servers (Node's among them) close an unused connection.
  keepAliveMs: 4_000,
};

const SWEEP_MS = 500;

export class UpstreamClient {
  readonly #pools = new Map<string, UpstreamPool>();
  readonly #limits: PoolLimits;
  readonly #deadlines: Deadlines;
  readonly #timer: NodeJS.Timeout;

  constructor(deadlines: Deadlines, limits: PoolLimits = DEFAULT_POOL_LIMITS) {
    this.#deadlines = deadlines;
    this.#limits = limits;
    this.#timer = setInterval(() => this.#sweep(), SWEEP_MS);
    this.#timer.unref();
  }

  /** @param origin Such as `http://rest:3000`. @throws {TypeError} for an origin that is none. */
  send(origin: string, job: UpstreamJob): JobControl {
    let pool = this.#pools.get(origin);
    if (!pool) {
      pool = new UpstreamPool(parseOrigin(origin), this.#limits, this.#deadlines);
      this.#pools.set(origin, pool);
    }
    return pool.send(job);
  }

  /** Open connections, of all pools. */
  get connections(): number {
    let count = 0;
    for (const pool of this.#pools.values()) count += pool.size;
    return count;
  }

  close(): void {
    clearInterval(this.#timer);
    for (const pool of this.#pools.values()) pool.close();
  }

  /** Projects come and go: a pool without connections is forgotten. */
  #sweep(): void {
    const nowMs = performance.now();
    for (const [origin, pool] of this.#pools) {
      pool.sweep(nowMs);
      if (pool.isIdle) this.#pools.delete(origin);
    }
  }
}
