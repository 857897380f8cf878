import { expect, test } from "vitest";
import { rangeOf, spanOf } from "./ranges.ts";
import { largest, latest, linesByService, type Metrics, sumLine, total } from "./series.ts";

const metrics: Metrics = {
  startAt: "2026-01-01T00:00:00.000Z",
  stepSeconds: 60,
  series: [
    { name: "REQUESTS", service: "storage", values: [1, 0, 2] },
    { name: "REQUESTS", service: "rest", values: [10, 0, 20] },
    { name: "LATENCY_P95", service: "rest", values: [4, null, 9] },
    { name: "DATABASE_BYTES", service: null, values: [7, 8, null] },
  ],
};

test("services keep their order, whatever the answer's is", () => {
  expect(linesByService(metrics, "REQUESTS").map(({ label }) => label)).toEqual(["rest", "storage"]);
});

test("services are added up time by time", () => {
  const [line] = sumLine(metrics, "REQUESTS", "all");
  expect(line).toEqual({ label: "all", values: [11, 0, 22] });
  expect(total(sumLine(metrics, "REQUESTS", "all"))).toBe(33);
});

test("what is not known stays unknown, and the last that is known is told", () => {
  expect(linesByService(metrics, "LATENCY_P95")[0]?.values).toEqual([4, null, 9]);
  expect(latest(sumLine(metrics, "DATABASE_BYTES", "size"))).toBe(8);
  expect(largest(linesByService(metrics, "LATENCY_P95"))).toBe(9);
  expect(latest(sumLine(metrics, "CONNECTIONS", "sessions"))).toBeNull();
});

test("a range ends with the interval that goes on, and an unknown one is a day", () => {
  expect(spanOf(rangeOf("1h"), Date.parse("2026-01-01T10:00:30Z"))).toEqual({
    from: "2026-01-01T09:01:00.000Z",
    to: "2026-01-01T10:01:00.000Z",
  });
  expect(rangeOf("yesterday").id).toBe("24h");
});
