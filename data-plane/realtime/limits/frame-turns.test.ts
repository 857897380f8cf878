import { expect, test } from "vitest";
import { FrameTurns } from "./frame-turns.ts";

function burn(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

/** As a socket does it. */
function take(turns: FrameTurns, work: () => void, bytes = 1): boolean {
  if (!turns.isFree) return turns.add(bytes, work);
  turns.run(work);
  return true;
}

test("small work is done at once", () => {
  const turns = new FrameTurns("a");
  let done = 0;
  for (let frame = 0; frame < 10; frame += 1) take(turns, () => (done += 1));
  expect(done).toBe(10);
});

test("frames that take long keep their order, and others are served between them", async () => {
  const turns = new FrameTurns("a");
  const order: number[] = [];
  let served = 0;
  const serve = setInterval(() => {
    served += 1;
  }, 1);
  const done = new Promise<void>((resolve) => {
    for (let frame = 0; frame < 20; frame += 1)
      take(turns, () => {
        burn(4);
        order.push(frame);
        if (frame === 19) resolve();
      });
  });
  expect(order.length).toBeLessThan(20);
  await done;
  clearInterval(serve);
  expect(order).toEqual([...Array(20).keys()]);
  expect(served).toBeGreaterThanOrEqual(5);
});

test("what waits is bounded", () => {
  const turns = new FrameTurns("a");
  take(turns, () => burn(4));
  expect(take(turns, () => {}, 16 * 1024 * 1024)).toBe(true);
  expect(take(turns, () => {})).toBe(false);
});
