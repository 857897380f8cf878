import { expect, test } from "vitest";
import { createRateLimiter } from "./rate-limiter.ts";

const allowance = { burst: 2, refill: 30, perMs: 60_000 };
const at = (ms: number) => new Date(1_000_000 + ms);

test("a burst passes, then as many as flow in", () => {
  const limiter = createRateLimiter();
  const take = (ms: number) => limiter.take("p otp 1.2.3.4", allowance, at(ms));
  expect([take(0), take(0), take(0)]).toEqual([true, true, false]);
  expect([take(1999), take(2000), take(2001)]).toEqual([false, true, false]);
});

test("buckets of different keys do not share tokens, and none holds more than its burst", () => {
  const limiter = createRateLimiter();
  expect(limiter.take("a", allowance, at(0)) && limiter.take("a", allowance, at(0))).toBe(true);
  expect(limiter.take("b", allowance, at(0))).toBe(true);
  const later = Array.from({ length: 3 }, () => limiter.take("a", allowance, at(3_600_000)));
  expect(later).toEqual([true, true, false]);
});
