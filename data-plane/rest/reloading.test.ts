import { expect, test } from "vitest";
import { DEBOUNCE_MS, Reloading } from "./reloading.ts";

function setUp() {
  let now = 0;
  const timers: { callback: () => void; at: number }[] = [];
  const loads: { resolve(value: string): void; reject(error: Error): void }[] = [];
  const failures: unknown[] = [];
  const subject = new Reloading<string>({
    load: () => new Promise((resolve, reject) => loads.push({ resolve, reject })),
    onLoaded: () => {},
    onFailed: (error) => failures.push(error),
    clock: () => now,
    setTimer: (callback, delayMs) => {
      const timer = { callback, at: now + delayMs };
      timers.push(timer);
      return { cancel: () => timers.splice(timers.indexOf(timer), 1) };
    },
  });
  const advance = (milliseconds: number) => {
    now += milliseconds;
    for (const timer of timers.filter(({ at }) => at <= now)) {
      timers.splice(timers.indexOf(timer), 1);
      timer.callback();
    }
  };
  return { subject, loads, failures, timers, advance };
}

test("all who wait share one load", async () => {
  const { subject, loads } = setUp();
  const both = Promise.all([subject.get(), subject.get()]);
  loads[0]?.resolve("a");
  expect(await both).toEqual(["a", "a"]);
  expect(loads).toHaveLength(1);
  expect(subject.get()).toBe("a");
});

test("a burst of notifications is one reload now and one after", async () => {
  const { subject, loads, advance } = setUp();
  const first = subject.get();
  loads[0]?.resolve("a");
  await first;
  advance(DEBOUNCE_MS);
  for (let count = 0; count < 50; count += 1) subject.reload();
  expect(loads).toHaveLength(2);
  expect(subject.current).toBe("a");
  loads[1]?.resolve("b");
  await Promise.resolve();
  advance(DEBOUNCE_MS);
  expect(loads).toHaveLength(3);
  expect(subject.current).toBe("b");
});

test("the old value serves while a reload fails", async () => {
  const { subject, loads, failures, advance } = setUp();
  const first = subject.get();
  loads[0]?.resolve("a");
  await first;
  advance(DEBOUNCE_MS);
  subject.reload();
  loads[1]?.reject(new Error("gone"));
  await new Promise((resume) => setImmediate(resume));
  expect(failures).toHaveLength(1);
  expect(subject.get()).toBe("a");
});

test("a failed first load is not tried again at once", async () => {
  const { subject, loads, advance } = setUp();
  const first = subject.get();
  loads[0]?.reject(new Error("gone"));
  await expect(first).rejects.toThrow("gone");
  await expect(subject.get()).rejects.toThrow("gone");
  expect(loads).toHaveLength(1);
  advance(1000);
  const next = subject.get();
  loads[1]?.resolve("a");
  expect(await next).toBe("a");
});

test("a large schema is loaded a tenth of the time at most, however often it is said to have changed", async () => {
  const { subject, loads, advance } = setUp();
  const settle = () => new Promise((resume) => setImmediate(resume));
  const first = subject.get();
  advance(1_000);
  loads[0]?.resolve("a");
  await first;
  subject.reload();
  advance(9_900);
  expect(loads).toHaveLength(1);
  advance(200);
  expect(loads).toHaveLength(2);
  advance(2_000);
  loads[1]?.reject(new Error("took too long"));
  await settle();
  subject.reload();
  advance(19_900);
  expect(loads).toHaveLength(2);
  advance(200);
  expect(loads).toHaveLength(3);
});

test("a few changes of a small schema show at once, an endless row of them does not", async () => {
  const { subject, loads, advance } = setUp();
  void subject.get();
  for (let count = 0; count < 300; count += 1) {
    const underWay = loads.at(-1);
    advance(100); // what a load takes
    underWay?.resolve("value");
    await new Promise((resume) => setImmediate(resume));
    subject.reload();
    if (count === 10) expect(loads.length).toBeGreaterThanOrEqual(10);
  }
  // 30 seconds: a tenth of them for loads, and those of the first two seconds.
  expect(loads.length).toBeLessThanOrEqual(30 + 21);
  expect(loads.length).toBeGreaterThanOrEqual(20);
});

test("what nobody has asked for is not loaded, and nothing after close", () => {
  const { subject, loads } = setUp();
  subject.reload();
  subject.close();
  subject.reload();
  expect(loads).toHaveLength(0);
});
