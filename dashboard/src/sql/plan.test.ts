import { expect, test } from "vitest";
import { parsePlan } from "./plan.ts";

test("a plan is a tree in which each node has its own share", () => {
  const child = {
    "Node Type": "Seq Scan",
    "Relation Name": "orders",
    "Total Cost": 75,
    "Plan Rows": 10,
    Filter: "(a > 1)",
  };
  const plan = parsePlan([[[{ Plan: { "Node Type": "Sort", "Total Cost": 100, "Plan Rows": 10, Plans: [child] } }]]]);
  expect(plan).toMatchObject({
    title: "Sort",
    share: 0.25,
    children: [
      { title: "Seq Scan on orders", share: 0.75, details: ["10 rows expected · cost 75.00", "Filter: (a > 1)"] },
    ],
  });
});

test("what is no plan is none", () => {
  expect(parsePlan([["Seq Scan"]])).toBeNull();
  expect(parsePlan([])).toBeNull();
});
