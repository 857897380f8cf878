/** The gateway's HTTP/1.1 client: a pool for each origin. */
import type { UpstreamJob } from "./job.ts";
import { parseOrigin } from "./origin.ts";
import { type PoolLimits, UpstreamPool } from "./pool.ts";

export const DEFAULT_POOL_LIMITS: PoolLimits = {
  maxConnections: 512,
  maxConnectionsPerProject: 256,
  maxWaiting: 1_024,
  maxWaitMs: 5_000,
  connectMs: 3_000,
  // Below the five seconds after which many servers (Node's among them) close an unused connection.
  keepAliveMs: 4_000,
  pipelining: { maxDepth: 16, connections: 4, maxDelayMs: 20 },
};

/** Timeouts pass up to this much late. */
const SWEEP_MS = 100;

export class UpstreamClient {
  readonly #pools = new Map<string, UpstreamPool>();
  readonly #limits: PoolLimits;
  readonly #timer: NodeJS.Timeout;

  constructor(limits: PoolLimits = DEFAULT_POOL_LIMITS) {
    this.#limits = limits;
    this.#timer = setInterval(() => this.#sweep(), SWEEP_MS);
    this.#timer.unref();
  }

  /** @param origin Such as `http://rest:3000`. @throws {TypeError} for an origin that is none. */
  send(origin: string, job: UpstreamJob): void {
    let pool = this.#pools.get(origin);
    if (!pool) {
      pool = new UpstreamPool(parseOrigin(origin), this.#limits);
      this.#pools.set(origin, pool);
    }
    pool.send(job);
  }

  /** The response is not wanted any more; the job is not called again. */
  cancel(origin: string, job: UpstreamJob): void {
    this.#pools.get(origin)?.cancel(job);
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
