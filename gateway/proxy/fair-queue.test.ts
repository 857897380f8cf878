import { expect, test } from "vitest";
import { FairQueue } from "./fair-queue.ts";

const any = () => true;

test("serves its keys in turn, each in order", () => {
  const queue = new FairQueue<string>(10, 10);
  for (const item of ["a1", "a2", "a3"]) queue.push("a", item);
  queue.push("b", "b1");
  expect([1, 2, 3, 4, 5].map(() => queue.shift(any))).toEqual(["a1", "b1", "a2", "a3", undefined]);
});

test("is bounded as a whole and for each key", () => {
  const queue = new FairQueue<number>(3, 2);
  expect([1, 2, 3].map((item) => queue.push("a", item))).toEqual([true, true, false]);
  expect(queue.push("b", 4)).toBe(true);
  expect(queue.push("b", 5)).toBe(false);
  expect(queue.size).toBe(3);
});

test("passes over keys that may not take now", () => {
  const queue = new FairQueue<string>(10, 10);
  queue.push("a", "a1");
  queue.push("b", "b1");
  expect(queue.shift((key) => key !== "a")).toBe("b1");
  expect(queue.shift((key) => key !== "a")).toBeUndefined();
  expect(queue.size).toBe(1);
});

test("forgets what is removed", () => {
  const queue = new FairQueue<string>(10, 10);
  queue.push("a", "a1");
  queue.push("a", "a2");
  queue.remove("a", "a1");
  queue.remove("a", "none");
  expect(queue.shift(any)).toBe("a2");
  expect(queue.size).toBe(0);
});

test("gives out what matches, wherever it stands", () => {
  const queue = new FairQueue<string>(10, 10);
  for (const item of ["a1", "a2", "a3"]) queue.push("a", item);
  queue.push("b", "b2");
  expect(queue.takeAll((item) => item.endsWith("2"))).toEqual(["a2", "b2"]);
  expect([1, 2, 3].map(() => queue.shift(any))).toEqual(["a1", "a3", undefined]);
});
