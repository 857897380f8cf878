/** What keeps one project from taking more than its share: token buckets, a cap on requests in flight and on sockets. */
import type { ProjectLimits } from "../../control-plane/client/config-snapshot.ts";
import { ROUTE_CLASSES, type RouteClass } from "./route.ts";

/** Sign-ins cost a password hash or a mail: a tenth of the project's rate. */
const SHARE: Readonly<Record<RouteClass, number>> = { rest: 1, auth: 1, signin: 0.1, storage: 1, realtime: 1 };

export interface Budget {
  readonly limit: number;
  readonly remaining: number;
  /** Seconds until one request is allowed again; at least 1 when none is. */
  readonly retryAfterSeconds: number;
}

/** A bucket holds up to `burst` tokens and gains `perSecond` of them; it begins full. */
export class TokenBuckets {
  /** Tokens and the time of the last look, in milliseconds, bucket after bucket: one piece of memory a project. */
  readonly #levels: Float64Array;

  constructor(count: number) {
    this.#levels = new Float64Array(2 * count).fill(Number.POSITIVE_INFINITY);
  }

  /** Infinite until the first {@link take}. */
  tokens(bucket: number): number {
    return this.#levels[2 * bucket] as number;
  }

  take(bucket: number, perSecond: number, burst: number, nowMs: number): boolean {
    const levels = this.#levels;
    const at = 2 * bucket;
    let tokens = levels[at] as number;
    const elapsedMs = nowMs - (levels[at + 1] as number);
    // A clock that was set back must neither drain nor stop the bucket.
    if (elapsedMs > 0) tokens += (elapsedMs / 1000) * perSecond;
    levels[at + 1] = nowMs;
    if (tokens > burst) tokens = burst;
    const isEnough = tokens >= 1;
    levels[at] = isEnough ? tokens - 1 : tokens;
    return isEnough;
  }
}

/** Whether something happens often, counted by whole seconds: no timer, two numbers. */
export class RateMeter {
  #second = 0;
  #count = 0;
  #before = 0;

  /** Counts one. @returns How many there were in the second before, or in this one so far if they are more. */
  count(nowMs: number): number {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) {
      this.#before = second === this.#second + 1 ? this.#count : 0;
      this.#second = second;
      this.#count = 0;
    }
    this.#count += 1;
    return Math.max(this.#before, this.#count);
  }
}

/** Counts of one project in this process. Outlives the project's snapshots: a new snapshot is no new budget. */
export class ProjectUsage {
  requestsInFlight = 0;
  /** Of requests that could be served in this process or in the one that the project belongs to. */
  readonly spreadable = new RateMeter();
  sockets = 0;
  /** One more than there are classes: for frames of WebSockets. */
  readonly #buckets = new TokenBuckets(ROUTE_CLASSES.length + 1);

  /** Takes one request from the class's bucket. */
  admit(limits: ProjectLimits, routeClass: RouteClass, nowMs: number): boolean {
    const { perSecond, burst } = rateOf(limits, routeClass);
    return this.#buckets.take(ROUTE_CLASSES.indexOf(routeClass), perSecond, burst, nowMs);
  }

  /** Takes one frame that a client has sent: as many are let through as requests of one class, and counted apart. */
  admitFrame(limits: ProjectLimits, nowMs: number): boolean {
    return this.#buckets.take(ROUTE_CLASSES.length, limits.requestsPerSecond, limits.requestBurst, nowMs);
  }

  budget(limits: ProjectLimits, routeClass: RouteClass): Budget {
    const { perSecond, burst } = rateOf(limits, routeClass);
    const tokens = Math.min(burst, this.#buckets.tokens(ROUTE_CLASSES.indexOf(routeClass)));
    return {
      limit: Math.floor(burst),
      remaining: Math.max(0, Math.floor(tokens)),
      retryAfterSeconds: tokens >= 1 ? 0 : Math.max(1, Math.ceil((1 - tokens) / perSecond)),
    };
  }
}

/**
 * Each of several processes grants its part: clients' connections are spread over them by the system, evenly when there
 * are many. A project never gets more than its limits; over a single connection it gets less.
 */
export function shareOf(limits: ProjectLimits, processes: number): ProjectLimits {
  if (processes === 1) return limits;
  const part = (count: number) => Math.max(1, Math.ceil(count / processes));
  return {
    ...limits,
    requestsPerSecond: limits.requestsPerSecond / processes,
    requestBurst: part(limits.requestBurst),
    concurrentRequests: part(limits.concurrentRequests),
    sockets: part(limits.sockets),
  };
}

function rateOf(limits: ProjectLimits, routeClass: RouteClass): { perSecond: number; burst: number } {
  const share = SHARE[routeClass];
  return {
    perSecond: Math.max(0.1, limits.requestsPerSecond * share),
    burst: Math.max(1, limits.requestBurst * share),
  };
}
