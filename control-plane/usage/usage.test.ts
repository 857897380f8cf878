import { describe, expect, test } from "vitest";
import type { ProjectRef } from "../client/config-snapshot.ts";
import { DURATION_BUCKETS, durationBucket, type TrafficEntry } from "../client/traffic.ts";
import { timeSpan } from "./metrics.ts";
import { percentile } from "./percentile.ts";
import { rowsOf } from "./traffic-table.ts";

const HOUR_MINUTE = 29_000_040; // 2025-02-20T20:00Z: a whole hour

function entry(minute: number, changes: Partial<TrafficEntry> = {}): TrafficEntry {
  return {
    ref: "abcdefghijklmnopqrst" as ProjectRef,
    service: "rest",
    minute,
    statuses: [0, 1, 0, 0, 0],
    durations: new Array(DURATION_BUCKETS).fill(0).with(2, 1),
    bytesIn: 10,
    bytesOut: 100,
    sockets: 0,
    messages: 0,
    ...changes,
  };
}

describe("rows of a report", () => {
  test("stand at the minute, the hour and the day", () => {
    const rows = rowsOf([entry(HOUR_MINUTE + 5)]);
    expect(rows.map(({ step, at }) => [step, at % 86_400])).toEqual([
      ["minute", ((HOUR_MINUTE + 5) * 60) % 86_400],
      ["hour", (HOUR_MINUTE * 60) % 86_400],
      ["day", 0],
    ]);
  });

  test("are one for each time: what two minutes have in common is added", () => {
    const rows = rowsOf([entry(HOUR_MINUTE, { sockets: 3 }), entry(HOUR_MINUTE + 1, { sockets: 2 })]);
    const hour = rows.filter(({ step }) => step === "hour");
    expect(hour).toMatchObject([{ statuses: [0, 2, 0, 0, 0], bytesIn: 20, bytesOut: 200, sockets: 3 }]);
    expect(rows.filter(({ step }) => step === "minute")).toHaveLength(2);
  });
});

describe("a percentile", () => {
  const counted = (...times: number[]) => {
    const durations = new Array<number>(DURATION_BUCKETS).fill(0);
    for (const ms of times) durations[durationBucket(ms)] = (durations[durationBucket(ms)] ?? 0) + 1;
    return durations;
  };

  test("of nothing is unknown", () => {
    expect(percentile(counted(), 0.5)).toBeNull();
  });

  test("lies in the bucket that it falls into", () => {
    const durations = counted(...new Array(90).fill(4), ...new Array(10).fill(100));
    expect(percentile(durations, 0.5)).toBeGreaterThan(3);
    expect(percentile(durations, 0.5)).toBeLessThanOrEqual(5);
    expect(percentile(durations, 0.95)).toBeGreaterThan(80);
    expect(percentile(durations, 0.95)).toBeLessThanOrEqual(120);
  });

  test("of what is slower than all bounds is the last bound", () => {
    expect(percentile(counted(90_000), 0.5)).toBe(30_000);
  });
});

describe("a span of time", () => {
  const at = (text: string) => new Date(`2026-03-01T${text}Z`);

  test("begins with a whole interval and is read from the longest step that divides it", () => {
    expect(timeSpan(at("10:03:20"), at("10:10:00"), 300)).toMatchObject({
      step: "minute",
      from: at("10:00:00").getTime() / 1_000,
      intervals: 2,
    });
    expect(timeSpan(at("10:03:20"), at("12:10:00"), 3_600)).toMatchObject({ step: "hour", intervals: 3 });
    expect(timeSpan(at("10:03:20"), at("12:10:00"), 86_400)).toMatchObject({ step: "day", intervals: 1 });
  });

  test.each([
    ["an interval that is no multiple of a minute", at("10:00:00"), at("11:00:00"), 90],
    ["an interval of nothing", at("10:00:00"), at("11:00:00"), 0],
    ["an end before the beginning", at("11:00:00"), at("10:00:00"), 60],
    ["more values than a chart can show", new Date("2025-01-01"), new Date("2026-01-01"), 60],
  ])("refuses %s", (_what, from, to, step) => {
    expect(() => timeSpan(from, to, step)).toThrow();
  });
});
