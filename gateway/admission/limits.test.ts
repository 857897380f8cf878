import { expect, test } from "vitest";
import { snapshot } from "../snapshot.fixture.ts";
import { ProjectUsage, RateMeter, shareOf, TokenBuckets } from "./limits.ts";

test("a bucket lets its burst pass, then its rate", () => {
  const buckets = new TokenBuckets(1);
  expect([1, 2, 3, 4].map(() => buckets.take(0, 10, 3, 0))).toEqual([true, true, true, false]);
  expect(buckets.take(0, 10, 3, 99)).toBe(false);
  expect(buckets.take(0, 10, 3, 100)).toBe(true);
  expect(buckets.take(0, 10, 3, 100)).toBe(false);
});

test("a bucket never holds more than its burst", () => {
  const buckets = new TokenBuckets(1);
  expect([1, 2, 3].map(() => buckets.take(0, 10, 2, 1_000_000))).toEqual([true, true, false]);
});

test("a clock that is set back neither empties nor fills a bucket", () => {
  const buckets = new TokenBuckets(1);
  expect(buckets.take(0, 1, 2, 10_000)).toBe(true);
  expect(buckets.take(0, 1, 2, 0)).toBe(true);
  expect(buckets.take(0, 1, 2, 500)).toBe(false);
  expect(buckets.take(0, 1, 2, 1_000)).toBe(true);
});

test("route classes have budgets of their own, and sign-ins a tenth", () => {
  const limits = { ...snapshot().limits, requestsPerSecond: 10, requestBurst: 20 };
  const usage = new ProjectUsage();
  const admitted = (routeClass: "rest" | "signin") => {
    let count = 0;
    while (usage.admit(limits, routeClass, 0)) count += 1;
    return count;
  };
  expect(admitted("rest")).toBe(20);
  expect(admitted("signin")).toBe(2);
  expect(usage.budget(limits, "signin")).toEqual({ limit: 2, remaining: 0, retryAfterSeconds: 1 });
  expect(usage.budget(limits, "auth")).toEqual({ limit: 20, remaining: 20, retryAfterSeconds: 0 });
});

test("a project whose limit is zero is still told when to come again", () => {
  const limits = { ...snapshot().limits, requestsPerSecond: 0, requestBurst: 0 };
  const usage = new ProjectUsage();
  expect(usage.admit(limits, "rest", 0)).toBe(true);
  expect(usage.admit(limits, "rest", 0)).toBe(false);
  expect(usage.budget(limits, "rest").retryAfterSeconds).toBe(10);
});

test("several processes together grant no more than a project's limits, and each something", () => {
  const limits = { ...snapshot().limits, requestsPerSecond: 10, requestBurst: 20, concurrentRequests: 8, sockets: 1 };
  expect(shareOf(limits, 1)).toBe(limits);
  expect(shareOf(limits, 4)).toMatchObject({
    requestsPerSecond: 2.5,
    requestBurst: 5,
    concurrentRequests: 2,
    sockets: 1,
    maxBodyBytes: limits.maxBodyBytes,
  });
});

test("what happens often is known within the second, and forgotten after one without it", () => {
  const meter = new RateMeter();
  expect([1_000, 1_100, 1_900].map((now) => meter.count(now))).toEqual([1, 2, 3]);
  expect(meter.count(2_100)).toBe(3);
  expect(meter.count(3_000)).toBe(1);
  expect(meter.count(9_000)).toBe(1);
});
