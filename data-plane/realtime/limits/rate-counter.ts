/**
 * A rate as Supabase Realtime counts it: events of buckets of five seconds, averaged over up to twelve of them. A burst
 * is let through as long as the minute stays below the limit.
 */
const BUCKET_SECONDS = 5;
const MAX_BUCKETS = 12;

export class RateCounter {
  /** Sums of whole buckets, oldest first. */
  readonly #buckets: number[] = [];
  #sum = 0;
  #current = 0;
  #currentBucket = -1;

  /** @param seconds Of any clock that only grows. */
  add(count: number, seconds: number): void {
    this.#roll(seconds);
    this.#current += count;
  }

  /** Events a second, of the buckets that are over. */
  average(seconds: number): number {
    this.#roll(seconds);
    return this.#buckets.length === 0 ? 0 : this.#sum / (this.#buckets.length * BUCKET_SECONDS);
  }

  /** Whether the average has come to the limit, or what is counted now alone would lift a whole minute above it. */
  isOver(limit: number, seconds: number): boolean {
    return this.average(seconds) >= limit || this.#current >= limit * BUCKET_SECONDS * MAX_BUCKETS;
  }

  #roll(seconds: number): void {
    const bucket = Math.floor(seconds / BUCKET_SECONDS);
    if (bucket === this.#currentBucket) return;
    const passed = this.#currentBucket === -1 ? 0 : Math.min(MAX_BUCKETS, bucket - this.#currentBucket);
    for (let index = 0; index < passed; index += 1) {
      const sum = index === 0 ? this.#current : 0;
      this.#buckets.push(sum);
      this.#sum += sum;
      if (this.#buckets.length > MAX_BUCKETS) this.#sum -= this.#buckets.shift() ?? 0;
    }
    this.#current = 0;
    this.#currentBucket = bucket;
  }
}
