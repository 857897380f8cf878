import { expect, test } from "vitest";
import { RestartBudget } from "./restart-budget.ts";

test("three restarts in ten minutes are allowed, a fourth is not", () => {
  const budget = new RestartBudget();
  expect([0, 1, 2, 3].map((minute) => budget.take(minute * 60_000))).toEqual([true, true, true, false]);
});

test("what is longer ago than ten minutes does not count", () => {
  const budget = new RestartBudget();
  expect([0, 1, 2, 10, 10.5, 11].map((minute) => budget.take(minute * 60_000))).toEqual([
    ...[true, true, true],
    ...[true, false, true],
  ]);
});
