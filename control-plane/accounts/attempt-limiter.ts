/**
 * Limits how often something may be tried within a sliding window, by key. In the memory of one instance: several
 * instances allow as many times more, which a password of eight characters bears.
 */
import { LRUCache } from "lru-cache";
import { RateLimited } from "../errors.ts";

export interface AttemptLimit {
  readonly attempts: number;
  readonly windowMs: number;
}

const MAX_KEYS = 50_000;

export class AttemptLimiter {
  readonly #limit: AttemptLimit;
  readonly #now: () => number;
  /** Times of the attempts within the window, oldest first. */
  readonly #attempts = new LRUCache<string, readonly number[]>({ max: MAX_KEYS });

  constructor(limit: AttemptLimit, now: () => number) {
    this.#limit = limit;
    this.#now = now;
  }

  /** Counts an attempt before it is made, so that many at once cannot all slip through. @throws {RateLimited} */
  take(key: string): void {
    const now = this.#now();
    const recent = (this.#attempts.get(key) ?? []).filter((at) => at > now - this.#limit.windowMs);
    const oldest = recent[0];
    if (oldest !== undefined && recent.length >= this.#limit.attempts) {
      throw new RateLimited(Math.ceil((oldest + this.#limit.windowMs - now) / 1000));
    }
    this.#attempts.set(key, [...recent, now]);
  }

  /** Takes back the latest attempt: a success does not count. */
  giveBack(key: string): void {
    const attempts = this.#attempts.get(key);
    if (attempts) this.#attempts.set(key, attempts.slice(0, -1));
  }
}
