import { expect, test } from "vitest";
import { Breaker } from "./breaker.ts";

function opened(atMs: number): Breaker {
  const breaker = new Breaker();
  for (let failure = 0; failure < 5; failure += 1) breaker.failure(atMs);
  return breaker;
}

test("opens after five failures in a row, not after five in all", () => {
  const breaker = new Breaker();
  for (let failure = 0; failure < 4; failure += 1) breaker.failure(0);
  breaker.success();
  for (let failure = 0; failure < 4; failure += 1) breaker.failure(0);
  expect(breaker.admit(0)).toBe(0);
  breaker.failure(0);
  expect(breaker.admit(0)).toBe(1);
});

test("lets one request try after the pause, and closes when it succeeds", () => {
  const breaker = opened(0);
  expect(breaker.admit(999)).toBe(1);
  expect(breaker.admit(1_000)).toBe(0);
  expect(breaker.admit(1_000)).toBe(1);
  breaker.success();
  expect(breaker.admit(1_000)).toBe(0);
});

test("doubles its pause up to thirty seconds while tries fail", () => {
  const breaker = opened(0);
  let nowMs = 0;
  const pauses: number[] = [];
  for (let attempt = 0; attempt < 7; attempt += 1) {
    const seconds = breaker.admit(nowMs);
    pauses.push(seconds);
    nowMs += seconds * 1_000;
    expect(breaker.admit(nowMs)).toBe(0);
    breaker.failure(nowMs);
  }
  expect(pauses).toEqual([1, 2, 4, 8, 16, 30, 30]);
});

test("a try that never reports back does not keep it open for ever", () => {
  const breaker = opened(0);
  expect(breaker.admit(1_000)).toBe(0);
  expect(breaker.admit(1_500)).toBe(1);
  expect(breaker.admit(2_000)).toBe(0);
});
