import { expect, test } from "vitest";
import { createRateLimiter } from "./rate-limiter.ts";

const allowance = { burst: 2, refill: 30, perMs: 60_000 };
const at = (ms: number) => new Date(1_000_000 + ms);

test("a burst passes, then as many as flow in", () => {
  const limiter = createRateLimiter();
  const take = (ms: number) => limiter.take("p", "otp 1.2.3.4", allowance, at(ms));
  expect([take(0), take(0), take(0)]).toEqual([true, true, false]);
  expect(limiter.waitMs("p", "otp 1.2.3.4", allowance, at(0))).toBe(2000);
  expect([take(1999), take(2000), take(2001)]).toEqual([false, true, false]);
});

test("buckets of different keys and projects do not share tokens, and none holds more than its burst", () => {
  const limiter = createRateLimiter();
  const take = (project: string, key: string, ms = 0) => limiter.take(project, key, allowance, at(ms));
  expect([take("p", "a"), take("p", "a"), take("p", "a")]).toEqual([true, true, false]);
  expect([take("p", "b"), take("q", "a")]).toEqual([true, true]);
  const later = Array.from({ length: 3 }, () => take("p", "a", 3_600_000));
  expect(later).toEqual([true, true, false]);
});

test("what is given back can be taken again", () => {
  const limiter = createRateLimiter();
  const take = () => limiter.take("p", "a", allowance, at(0));
  expect([take(), take()]).toEqual([true, true]);
  limiter.giveBack("p", "a");
  expect([take(), take()]).toEqual([true, false]);
});

test("whoever makes up any number of keys empties his own project's counters and nobody else's", () => {
  const limiter = createRateLimiter(100, 300);
  const take = (project: string, key: string) => limiter.take(project, key, allowance, at(0));
  for (const project of ["quiet", "hostile"])
    expect([take(project, "victim"), take(project, "victim")]).toEqual([true, true]);
  for (let index = 0; index < 1000; index++) take("hostile", `made up ${index}`);
  expect(take("quiet", "victim")).toBe(false);
  // Nor do a hundred projects of one hand.
  for (let project = 0; project < 100; project++) for (let key = 0; key < 20; key++) take(`h${project}`, `${key}`);
  expect(take("quiet", "victim")).toBe(false);
});
