/** Percentiles out of counted buckets. */
import { DURATION_BOUNDS_MS } from "../client/traffic.ts";

/**
 * Pure: the time within which the share of all requests was answered, interpolated within its bucket.
 * @param share Between 0 and 1.
 * @returns Milliseconds; null when nothing was counted. What is slower than all bounds counts as the last bound.
 */
export function percentile(durations: readonly number[], share: number): number | null {
  const total = durations.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  const wanted = total * share;
  let before = 0;
  for (const [index, upper] of DURATION_BOUNDS_MS.entries()) {
    const count = durations[index] ?? 0;
    if (count > 0 && before + count >= wanted) {
      const lower = DURATION_BOUNDS_MS[index - 1] ?? 0;
      return lower + ((wanted - before) / count) * (upper - lower);
    }
    before += count;
  }
  return DURATION_BOUNDS_MS.at(-1) ?? null;
}
