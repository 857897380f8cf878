/** Token buckets in memory, one a key. A process that has forgotten a bucket grants its burst anew. */
import { LRUCache } from "lru-cache";

const MAX_BUCKETS = 100_000;

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
  /** Takes one token; false when there is none. `key` names project, limit and address. */
  take(key: string, allowance: Allowance, now: Date): boolean;
}

export function createRateLimiter(): RateLimiter {
  const buckets = new LRUCache<string, Bucket>({ max: MAX_BUCKETS });
  return {
    take(key, { burst, refill, perMs }, now) {
      const time = now.getTime();
      const bucket = buckets.get(key) ?? { tokens: burst, filledAt: time };
      const gained = (Math.max(0, time - bucket.filledAt) * refill) / perMs;
      bucket.tokens = Math.min(burst, bucket.tokens + gained);
      bucket.filledAt = time;
      buckets.set(key, bucket);
      if (bucket.tokens < 1) return false;
      bucket.tokens -= 1;
      return true;
    },
  };
}
