import { Registry } from "prom-client";
import { expect, test } from "vitest";
import type { TrafficEntry } from "../../control-plane/client/traffic.ts";
import { TrafficReporter } from "./traffic-reporter.ts";

const NO_LOG = { info() {}, warn() {}, error() {} };

function reporterOf(counted: { minute: number }[]) {
  const sent: { sequence: number; minutes: number[] }[] = [];
  const state = { fails: false };
  const reporter = new TrafficReporter({
    take: () => counted.splice(0) as unknown as TrafficEntry[],
    send: async (sequence, entries) => {
      sent.push({ sequence, minutes: entries.map(({ minute }) => minute) });
      if (state.fails) throw new Error("away");
    },
    registry: new Registry(),
    logger: NO_LOG,
    intervalMs: 3_600_000,
  });
  return { reporter, sent, state };
}

test("a report that was not taken comes again with the same number, and later counts wait behind it", async () => {
  const counted = [{ minute: 1 }];
  const { reporter, sent, state } = reporterOf(counted);
  state.fails = true;
  await reporter.report();
  counted.push({ minute: 2 });
  state.fails = false;
  await reporter.report();
  expect(sent).toEqual([
    { sequence: 1, minutes: [1] },
    { sequence: 1, minutes: [1] },
    { sequence: 2, minutes: [2] },
  ]);
  await reporter.close();
});

test("nothing is sent when nothing was counted", async () => {
  const { reporter, sent } = reporterOf([]);
  await reporter.close();
  expect(sent).toEqual([]);
});

test("a long report is sent in parts", async () => {
  const { reporter, sent } = reporterOf(Array.from({ length: 1_100 }, (_, minute) => ({ minute })));
  await reporter.close();
  expect(sent.map(({ sequence, minutes }) => [sequence, minutes.length])).toEqual([
    [1, 500],
    [2, 500],
    [3, 100],
  ]);
});
