/** In which steps of time usage is kept, and for how long. */

export const USAGE_STEPS = ["minute", "hour", "day"] as const;
export type UsageStep = (typeof USAGE_STEPS)[number];

export const STEP_SECONDS: Readonly<Record<UsageStep, number>> = { minute: 60, hour: 3_600, day: 86_400 };

/** In days. */
export const KEPT_DAYS: Readonly<Record<UsageStep, number>> = { minute: 1, hour: 90, day: 400 };

/** Pure: the longest step that divides the interval. */
export function stepFor(intervalSeconds: number): UsageStep {
  if (intervalSeconds % STEP_SECONDS.day === 0) return "day";
  return intervalSeconds % STEP_SECONDS.hour === 0 ? "hour" : "minute";
}
