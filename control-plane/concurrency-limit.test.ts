import { expect, test } from "vitest";
import { createConcurrencyLimit, createLimitByKey, createPlaces } from "./concurrency-limit.ts";
import { TooManyRequests } from "./errors.ts";

test("no more than the most run at a time, in the order they came", async () => {
  const limit = createConcurrencyLimit(2);
  const begun: number[] = [];
  const gates = Array.from({ length: 4 }, () => Promise.withResolvers<void>());
  const tasks = gates.map(({ promise }, index) =>
    limit(() => {
      begun.push(index);
      return promise;
    }),
  );
  expect(begun).toEqual([0, 1]);
  gates[1]?.resolve();
  await tasks[1];
  expect(begun).toEqual([0, 1, 2]);
  for (const { resolve } of gates) resolve();
  await Promise.all(tasks);
  expect(begun).toEqual([0, 1, 2, 3]);
});

test("a task that fails gives its place back, and passes its error on", async () => {
  const limit = createConcurrencyLimit(1);
  await expect(limit(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await limit(async () => "yes")).toBe("yes");
});

test("who would make the queue too long is refused, and those in it still run", async () => {
  const limit = createConcurrencyLimit(1, 1);
  const gate = Promise.withResolvers<void>();
  const tasks = [limit(() => gate.promise), limit(async () => {})];
  await expect(limit(async () => {})).rejects.toThrow(TooManyRequests);
  gate.resolve();
  await Promise.all(tasks);
  await limit(async () => {});
});

test("a key that has used up its places and its queue leaves other keys theirs", async () => {
  const limit = createLimitByKey(1, 0);
  const gate = Promise.withResolvers<void>();
  const running = limit("busy", () => gate.promise);
  await expect(limit("busy", async () => {})).rejects.toThrow(TooManyRequests);
  expect(await limit("calm", async () => "ran")).toBe("ran");
  gate.resolve();
  await running;
  expect(await limit("busy", async () => "again")).toBe("again");
});

test("a place is given back once, however often its holder says so", () => {
  const places = createPlaces(2);
  const first = places.take("a");
  expect(places.take("a")).not.toBeNull();
  expect(places.take("a")).toBeNull();
  expect(places.take("b")).not.toBeNull();
  first?.();
  first?.();
  expect(places.take("a")).not.toBeNull();
  expect(places.take("a")).toBeNull();
});
