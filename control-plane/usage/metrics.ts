/** Series of usage over time: of one project, or of all of a cluster. */

import type { Queryable } from "../database.ts";
import { InvalidInput, UserError } from "../errors.ts";
import { type MeasureSum, readMeasures } from "./measure-table.ts";
import { percentile } from "./percentile.ts";
import { STEP_SECONDS, stepFor } from "./steps.ts";
import { sumTraffic, type TimeSpan, type TrafficSum, type UsageScope } from "./traffic-table.ts";

export const METRIC_NAMES = [
  "requests",
  "client_errors",
  "server_errors",
  "latency_p50",
  "latency_p95",
  "bytes_in",
  "bytes_out",
  "sockets",
  "messages",
  "database_bytes",
  "storage_bytes",
  "connections",
  "active_users",
] as const;
export type MetricName = (typeof METRIC_NAMES)[number];

export interface MetricSeries {
  readonly name: MetricName;
  /** Null: of the project as a whole. */
  readonly service: string | null;
  /** One for each interval from the beginning; null where nothing is known. */
  readonly values: readonly (number | null)[];
}

export const MAX_INTERVALS = 1_500;

/** What each interval of traffic says of a metric; undefined: not a metric of traffic. */
const OF_TRAFFIC: Partial<Record<MetricName, (sum: TrafficSum) => number | null>> = {
  requests: ({ statuses }) => statuses.reduce((total, count) => total + count, 0),
  client_errors: ({ statuses }) => statuses[3] ?? 0,
  server_errors: ({ statuses }) => statuses[4] ?? 0,
  latency_p50: ({ durations }) => percentile(durations, 0.5),
  latency_p95: ({ durations }) => percentile(durations, 0.95),
  bytes_in: ({ bytesIn }) => bytesIn,
  bytes_out: ({ bytesOut }) => bytesOut,
  sockets: ({ sockets }) => sockets,
  messages: ({ messages }) => messages,
};

const OF_MEASURES: Partial<Record<MetricName, (sum: MeasureSum) => number | null>> = {
  database_bytes: ({ databaseBytes }) => databaseBytes,
  storage_bytes: ({ storageBytes }) => storageBytes,
  connections: ({ connections }) => connections,
  active_users: ({ activeUsers }) => activeUsers,
};

/** A time of a request between which nothing happened is no traffic, not an unknown one; a duration is unknown. */
const NOTHING_HAPPENED: ReadonlySet<MetricName> = new Set([
  "requests",
  "client_errors",
  "server_errors",
  "bytes_in",
  "bytes_out",
  "sockets",
  "messages",
]);

/**
 * Pure: the span in whole intervals, the beginning moved back to one.
 * @throws {UserError} INVALID_INPUT
 */
export function timeSpan(from: Date, to: Date, intervalSeconds: number): TimeSpan & { readonly intervals: number } {
  if (!Number.isInteger(intervalSeconds) || intervalSeconds <= 0 || intervalSeconds % STEP_SECONDS.minute !== 0)
    throw new InvalidInput("stepSeconds", "is a multiple of 60");
  const beginning = Math.floor(from.getTime() / 1_000 / intervalSeconds) * intervalSeconds;
  const end = to.getTime() / 1_000;
  if (end <= beginning) throw new InvalidInput("to", "comes after from");
  const intervals = Math.ceil((end - beginning) / intervalSeconds);
  if (intervals > MAX_INTERVALS) throw new InvalidInput("stepSeconds", `gives more than ${MAX_INTERVALS} values`);
  const step = stepFor(intervalSeconds);
  return { step, from: beginning, to: beginning + intervals * intervalSeconds, intervalSeconds, intervals };
}

/** @throws {UserError} INVALID_INPUT */
export async function readMetrics(
  db: Queryable,
  scope: UsageScope,
  names: readonly MetricName[],
  span: TimeSpan & { readonly intervals: number },
): Promise<MetricSeries[]> {
  const wanted = [...new Set(names)];
  const traffic = wanted.some((name) => OF_TRAFFIC[name]) ? await sumTraffic(db, scope, span) : [];
  const measures = wanted.some((name) => OF_MEASURES[name]) ? await readMeasures(db, scope, span) : [];
  const byService = [...Map.groupBy(traffic, ({ service }) => service)];
  return wanted.flatMap((name): MetricSeries[] => {
    const ofMeasures = OF_MEASURES[name];
    if (ofMeasures) return [{ name, service: null, values: valuesOf(measures, span.intervals, ofMeasures, null) }];
    const ofTraffic = OF_TRAFFIC[name];
    if (!ofTraffic) throw new UserError("INVALID_INPUT", `there is no metric ${name}`);
    const absent = NOTHING_HAPPENED.has(name) ? 0 : null;
    return byService.map(([service, sums]) => ({
      name,
      service,
      values: valuesOf(sums, span.intervals, ofTraffic, absent),
    }));
  });
}

function valuesOf<Sum extends { readonly interval: number }>(
  sums: readonly Sum[],
  intervals: number,
  read: (sum: Sum) => number | null,
  absent: number | null,
): (number | null)[] {
  const values = new Array<number | null>(intervals).fill(absent);
  for (const sum of sums) values[sum.interval] = read(sum);
  return values;
}
