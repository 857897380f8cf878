import { expect, test } from "vitest";
import { Slices } from "./slices.ts";

/** Busy for so long, as a step of real work is. */
function burn(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

test("between two slices the loop serves others", async () => {
  let served = 0;
  const serve = setInterval(() => {
    served += 1;
  }, 1);
  await new Slices("a").map(Array.from({ length: 20 }), () => burn(7));
  clearInterval(serve);
  expect(served).toBeGreaterThanOrEqual(10);
});

test("projects go on by turns, however much work one has", async () => {
  const order: string[] = [];
  const step = (holder: string) => () => {
    burn(7);
    order.push(holder);
  };
  const greedy = Array.from({ length: 4 }, () => new Slices("greedy").map([1, 2, 3, 4, 5], step("greedy")));
  const small = new Slices("small").map([1, 2, 3], step("small"));
  await small;
  await Promise.all(greedy);
  // One slice each in turn, besides the first that each began with.
  expect(order.lastIndexOf("small")).toBeLessThan(4 + 1 + 2 * 3);
});
