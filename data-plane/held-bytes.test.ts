import { expect, test } from "vitest";
import { parseProjectRef } from "../control-plane/client/config-snapshot.ts";
import { HeldBytes, HeldBytesExhausted } from "./held-bytes.ts";

const A = parseProjectRef("a".repeat(20));
const B = parseProjectRef("b".repeat(20));
const C = parseProjectRef("c".repeat(20));

function fill(budget: HeldBytes, project: typeof A): void {
  while (budget.take(project, 1));
}

test("a project alone gets half, so that there is always room for the next", () => {
  const budget = new HeldBytes(120);
  fill(budget, A);
  expect(budget.heldBy(A)).toBe(60);
  fill(budget, B);
  expect([budget.heldBy(B), budget.take(C, 10)]).toEqual([30, true]);
});

test("two that are greedy by turns get a third each", () => {
  const budget = new HeldBytes(120);
  while (budget.take(A, 1) || budget.take(B, 1));
  for (let round = 0; round < 120; round += 1) {
    budget.give(A, 1);
    if (!budget.take(B, 1)) budget.take(A, 1);
  }
  expect([budget.heldBy(A), budget.heldBy(B)]).toEqual([40, 40]);
});

test("an account gives back what it took, once", () => {
  const budget = new HeldBytes(100);
  const account = budget.account(A);
  account.take(30);
  expect(() => account.take(30)).toThrow(HeldBytesExhausted);
  account.close();
  account.close();
  expect([budget.total, budget.heldBy(A)]).toEqual([0, 0]);
  account.take(50); // of work that is over
  expect(budget.total).toBe(0);
});
