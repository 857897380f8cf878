import { expect, test } from "vitest";
import { createConcurrencyLimit } from "./concurrency-limit.ts";

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
