/** What keeps one project from taking more than its share: token buckets, a cap on requests in flight and on sockets. */
import type { ProjectLimits } from "../control-plane/client/config-snapshot.ts";
import type { RouteClass } from "./route.ts";

/** Sign-ins cost a password hash or a mail: a tenth of the project's rate. */
const SHARE: Readonly<Record<RouteClass, number>> = { rest: 1, auth: 1, signin: 0.1, storage: 1, realtime: 1 };

export interface Budget {
  readonly limit: number;
  readonly remaining: number;
  /** Seconds until one request is allowed again; at least 1 when none is. */
  readonly retryAfterSeconds: number;
}

/** Holds up to `burst` tokens and gains `perSecond` of them. */
export class TokenBucket {
  tokens: number;
  #updatedMs: number;

  constructor(burst: number, nowMs: number) {
    this.tokens = burst;
    this.#updatedMs = nowMs;
  }

  take(perSecond: number, burst: number, nowMs: number): boolean {
    const elapsedMs = nowMs - this.#updatedMs;
    // A clock that was set back must neither drain nor stop the bucket.
    if (elapsedMs > 0) this.tokens += (elapsedMs / 1000) * perSecond;
    if (elapsedMs !== 0) this.#updatedMs = nowMs;
    if (this.tokens > burst) this.tokens = burst;
    if (this.tokens < 1) return false;
    this.tokens -= 1;
    return true;
  }
}

/** Counts of one project in this process. Outlives the project's snapshots: a new snapshot is no new budget. */
export class ProjectUsage {
  requestsInFlight = 0;
  sockets = 0;
  readonly #buckets = new Map<RouteClass, TokenBucket>();

  /** Takes one request from the class's bucket. */
  admit(limits: ProjectLimits, routeClass: RouteClass, nowMs: number): boolean {
    const { perSecond, burst } = rateOf(limits, routeClass);
    let bucket = this.#buckets.get(routeClass);
    if (!bucket) {
      bucket = new TokenBucket(burst, nowMs);
      this.#buckets.set(routeClass, bucket);
    }
    return bucket.take(perSecond, burst, nowMs);
  }

  budget(limits: ProjectLimits, routeClass: RouteClass): Budget {
    const { perSecond, burst } = rateOf(limits, routeClass);
    const tokens = this.#buckets.get(routeClass)?.tokens ?? burst;
    return {
      limit: Math.floor(burst),
      remaining: Math.max(0, Math.floor(tokens)),
      retryAfterSeconds: tokens >= 1 ? 0 : Math.max(1, Math.ceil((1 - tokens) / perSecond)),
    };
  }
}

function rateOf(limits: ProjectLimits, routeClass: RouteClass): { perSecond: number; burst: number } {
  const share = SHARE[routeClass];
  return {
    perSecond: Math.max(0.1, limits.requestsPerSecond * share),
    burst: Math.max(1, limits.requestBurst * share),
  };
}
