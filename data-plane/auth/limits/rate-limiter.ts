/**
 * Token buckets in memory, one a project and key. A process that has forgotten a bucket grants its burst anew; so each
 * project has a share of its own, and whoever fills it empties nobody else's.
 */

/** Of one project. Whoever is to fill them sends as many requests, within the limits by address. */
const MAX_BUCKETS_OF_PROJECT = 10_000;
/** Of all projects: about 40 MB. Beyond it the project that holds most gives way. */
const MAX_BUCKETS = 200_000;

export interface Allowance {
  /** How many may come at once. */
  readonly burst: number;
  /** How many more come in over `perMs`. */
  readonly refill: number;
  readonly perMs: number;
}

interface Bucket {
  tokens: number;
  filledAt: number;
}

export interface RateLimiter {
  /** Takes one token; false when there is none. `key` names limit and address. */
  take(projectRef: string, key: string, allowance: Allowance, now: Date): boolean;
  /** Milliseconds until {@link take} would be true; 0 when it would be now. Takes nothing. */
  waitMs(projectRef: string, key: string, allowance: Allowance, now: Date): number;
  /** Takes the last {@link take} back: what turned out to be right was no guess. */
  giveBack(projectRef: string, key: string): void;
}

export function createRateLimiter(maxOfProject = MAX_BUCKETS_OF_PROJECT, maxOfAll = MAX_BUCKETS): RateLimiter {
  /** Buckets in the order of their last use: a Map keeps that of insertion. */
  const projects = new Map<string, Map<string, Bucket>>();
  let count = 0;

  function look(projectRef: string, key: string, { burst, refill, perMs }: Allowance, now: Date): Bucket {
    const time = now.getTime();
    const bucket = projects.get(projectRef)?.get(key) ?? { tokens: burst, filledAt: time };
    const gained = (Math.max(0, time - bucket.filledAt) * refill) / perMs;
    return { tokens: Math.min(burst, bucket.tokens + gained), filledAt: time };
  }

  function keep(projectRef: string, key: string, bucket: Bucket): void {
    let buckets = projects.get(projectRef);
    if (!buckets) {
      buckets = new Map();
      projects.set(projectRef, buckets);
    }
    if (!buckets.delete(key)) count += 1;
    buckets.set(key, bucket);
    if (buckets.size > maxOfProject) dropOldest(buckets);
    if (count > maxOfAll) dropOldest(largest(projects, buckets));
  }

  function dropOldest(buckets: Map<string, Bucket>): void {
    for (const key of buckets.keys()) {
      buckets.delete(key);
      count -= 1;
      return;
    }
  }

  return {
    take(projectRef, key, allowance, now) {
      const bucket = look(projectRef, key, allowance, now);
      const isGranted = bucket.tokens >= 1;
      if (isGranted) bucket.tokens -= 1;
      keep(projectRef, key, bucket);
      return isGranted;
    },
    waitMs(projectRef, key, allowance, now) {
      const { tokens } = look(projectRef, key, allowance, now);
      if (tokens >= 1) return 0;
      return allowance.refill > 0 ? ((1 - tokens) * allowance.perMs) / allowance.refill : Number.POSITIVE_INFINITY;
    },
    giveBack(projectRef, key) {
      const bucket = projects.get(projectRef)?.get(key);
      if (bucket) bucket.tokens += 1;
    },
  };
}

function largest(projects: Map<string, Map<string, Bucket>>, known: Map<string, Bucket>): Map<string, Bucket> {
  let most = known;
  for (const buckets of projects.values()) if (buckets.size > most.size) most = buckets;
  return most;
}
