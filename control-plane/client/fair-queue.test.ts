import { expect, test } from "vitest";
import { FairQueue } from "./fair-queue.ts";

const drained = (queue: FairQueue<string>) => Array.from({ length: queue.size }, () => queue.shift());

test("holders take turns, each in the order of its own items", () => {
  const queue = new FairQueue<string>({ maxOfOne: 10, maxOfAll: 10 });
  for (const item of ["a1", "a2", "a3", "b1", "c1", "c2"]) expect(queue.push(item.charAt(0), item)).toBeNull();
  expect(drained(queue)).toEqual(["a1", "b1", "c1", "a2", "c2", "a3"]);
  expect(queue.shift()).toBeUndefined();
});

test("a holder that has all it may is refused", () => {
  const queue = new FairQueue<string>({ maxOfOne: 2, maxOfAll: 10 });
  queue.push("a", "a1");
  queue.push("a", "a2");
  expect(queue.push("a", "a3")).toEqual({ item: "a3", because: "own" });
  expect(queue.push("b", "b1")).toBeNull();
});

test("in a full queue the one who has most gives way, and nobody to one who would have as much", () => {
  const queue = new FairQueue<string>({ maxOfOne: 10, maxOfAll: 4 });
  for (const item of ["a1", "a2", "a3", "b1"]) queue.push(item.charAt(0), item);
  expect(queue.push("c", "c1")).toEqual({ item: "a3", because: "own" });
  expect(queue.push("a", "a4")).toEqual({ item: "a4", because: "all" });
  expect(queue.push("d", "d1")).toEqual({ item: "a2", because: "own" });
  expect(queue.push("e", "e1")).toEqual({ item: "e1", because: "all" });
  expect(queue.size).toBe(4);
  expect(queue.drain()).toEqual(["a1", "b1", "c1", "d1"]);
  expect(queue.size).toBe(0);
});
