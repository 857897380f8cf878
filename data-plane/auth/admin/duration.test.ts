import { expect, test } from "vitest";
import { parseDurationMs } from "./duration.ts";

test.each([
  ["24h", 86_400_000],
  ["1h30m", 5_400_000],
  ["300ms", 300],
  ["1.5s", 1500],
  ["100us", 0.1],
  ["-1m", -60_000],
  ["0", 0],
  ["876600h", 3_155_760_000_000],
])("%s", (text, ms) => {
  expect(parseDurationMs(text)).toBeCloseTo(ms);
});

test.each(["", "24", "h", "1d", "1h 30m", "1h30", "9999999999h", "1e3s"])("%j is no duration", (text) => {
  expect(parseDurationMs(text)).toBeNull();
});
