/** The spans of time that the charts can show, each with an interval that gives 60 to 300 values. */

export const RANGES = [
  { id: "1h", label: "1 h", words: "last hour", seconds: 3_600, stepSeconds: 60 },
  { id: "24h", label: "24 h", words: "last 24 hours", seconds: 86_400, stepSeconds: 300 },
  { id: "7d", label: "7 d", words: "last 7 days", seconds: 7 * 86_400, stepSeconds: 3_600 },
  { id: "30d", label: "30 d", words: "last 30 days", seconds: 30 * 86_400, stepSeconds: 4 * 3_600 },
  { id: "90d", label: "90 d", words: "last 90 days", seconds: 90 * 86_400, stepSeconds: 86_400 },
] as const;

export type Range = (typeof RANGES)[number];
export type RangeId = Range["id"];

export function rangeOf(id: string | undefined): Range {
  return RANGES.find((range) => range.id === id) ?? RANGES[1];
}

/** Pure: from the beginning of an interval to the end of the one that goes on. */
export function spanOf({ seconds, stepSeconds }: Range, nowMs: number): { from: string; to: string } {
  const step = stepSeconds * 1_000;
  const end = Math.ceil(nowMs / step) * step;
  return { from: new Date(end - seconds * 1_000).toISOString(), to: new Date(end).toISOString() };
}
