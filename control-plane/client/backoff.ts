const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 10_000;

/**
 * How long to wait before try number `attempt + 1`: doubled each time up to 10 s, and then any time from half of that
 * on, so that a fleet does not come back at one moment.
 * @param random From 0 to below 1.
 */
export function backoffMs(attempt: number, random: () => number = Math.random): number {
  const longest = Math.min(FIRST_DELAY_MS * 2 ** Math.min(attempt, 20), LONGEST_DELAY_MS);
  return longest * (0.5 + random() / 2);
}
