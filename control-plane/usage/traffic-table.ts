/** Traffic of projects: reports of gateways go in, sums by time come out. */
import { DURATION_BUCKETS, STATUS_CLASSES, type TrafficEntry } from "../client/traffic.ts";
import type { Queryable } from "../database.ts";
import { STEP_SECONDS, USAGE_STEPS, type UsageStep } from "./steps.ts";

interface TrafficRow extends Omit<TrafficEntry, "minute"> {
  readonly step: UsageStep;
  /** Seconds since the epoch. */
  readonly at: number;
}

/** Pure: what a report adds to each minute, hour and day; one row for each of them. */
export function rowsOf(entries: readonly TrafficEntry[]): TrafficRow[] {
  const rows = new Map<string, TrafficRow>();
  for (const { minute, ...counts } of entries) {
    for (const step of USAGE_STEPS) {
      const seconds = STEP_SECONDS[step];
      const at = Math.floor((minute * 60) / seconds) * seconds;
      const key = `${counts.ref} ${step} ${at} ${counts.service}`;
      const known = rows.get(key);
      rows.set(key, known ? sumOf(known, counts) : { step, at, ...counts });
    }
  }
  return [...rows.values()];
}

function sumOf(row: TrafficRow, added: Omit<TrafficEntry, "minute">): TrafficRow {
  return {
    ...row,
    statuses: row.statuses.map((count, index) => count + (added.statuses[index] ?? 0)),
    durations: row.durations.map((count, index) => count + (added.durations[index] ?? 0)),
    bytesIn: row.bytesIn + added.bytesIn,
    bytesOut: row.bytesOut + added.bytesOut,
    sockets: Math.max(row.sockets, added.sockets),
    messages: row.messages + added.messages,
  };
}

/** @returns Whether this is the first time that the report came; a gateway sends it again when no answer reached it. */
export async function beginReport(tx: Queryable, process: string, sequence: number): Promise<boolean> {
  const rows = await tx.query(
    `/* beginReport */ insert into traffic_reporters (process, sequence) values ($1, $2)
     on conflict (process) do update set sequence = excluded.sequence, reported_at = now()
       where traffic_reporters.sequence < excluded.sequence
     returning process`,
    [process, sequence],
  );
  return rows.length > 0;
}

/** Adds to what is known. Projects that are deleted are left out. */
export async function addTraffic(tx: Queryable, entries: readonly TrafficEntry[]): Promise<void> {
  // In one order for all: two reports that add to the same rows must not wait for each other.
  await tx.query(
    `/* addTraffic */ insert into project_traffic as known
       (project_ref, step, at, service, statuses, durations, bytes_in, bytes_out, sockets, messages)
     select r.ref, r.step, to_timestamp(r.at), r.service, r.statuses, r.durations, r."bytesIn", r."bytesOut", r.sockets, r.messages
     from jsonb_to_recordset($1::jsonb) as r (ref text, step usage_step, at float8, service text, statuses bigint[],
         durations bigint[], "bytesIn" bigint, "bytesOut" bigint, sockets bigint, messages bigint)
       join projects on projects.ref = r.ref and projects.deleted_at is null
     order by r.ref, r.step, r.at, r.service
     on conflict (project_ref, step, at, service) do update set
       statuses = add_counts(known.statuses, excluded.statuses),
       durations = add_counts(known.durations, excluded.durations),
       bytes_in = known.bytes_in + excluded.bytes_in,
       bytes_out = known.bytes_out + excluded.bytes_out,
       sockets = greatest(known.sockets, excluded.sockets),
       messages = known.messages + excluded.messages`,
    [JSON.stringify(rowsOf(entries))],
  );
}

export interface TrafficSum {
  readonly service: string;
  /** Index of the interval, from 0. */
  readonly interval: number;
  readonly statuses: readonly number[];
  readonly durations: readonly number[];
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly sockets: number;
  readonly messages: number;
}

/** A span of time in equal intervals, in seconds since the epoch. */
export interface TimeSpan {
  readonly step: UsageStep;
  readonly from: number;
  readonly to: number;
  readonly intervalSeconds: number;
}

const elementSums = (column: string, length: number) =>
  `array[${Array.from({ length }, (_, index) => `sum(${column}[${index + 1}])::float8`).join(", ")}]`;

/** One project, or all of a cluster. */
export interface UsageScope {
  readonly kind: "project" | "cluster";
  readonly id: string;
}

/** The condition on `project_ref`; its parameter is $1. */
export function inScope({ kind }: UsageScope): string {
  return kind === "project" ? "project_ref = $1" : "project_ref in (select ref from projects where cluster_id = $1)";
}

/** Only intervals with traffic. */
export function sumTraffic(db: Queryable, scope: UsageScope, span: TimeSpan): Promise<TrafficSum[]> {
  return db.query<TrafficSum>(
    `/* sumTraffic */ select service, floor((extract(epoch from at) - $3) / $5)::int as interval,
       ${elementSums("statuses", STATUS_CLASSES.length)} as statuses,
       ${elementSums("durations", DURATION_BUCKETS)} as durations,
       sum(bytes_in)::float8 as "bytesIn", sum(bytes_out)::float8 as "bytesOut",
       max(sockets)::float8 as sockets, sum(messages)::float8 as messages
     from project_traffic
     where ${inScope(scope)} and step = $2::usage_step and at >= to_timestamp($3) and at < to_timestamp($4)
     group by 1, 2 order by 1, 2`,
    [scope.id, span.step, span.from, span.to, span.intervalSeconds],
  );
}

export interface TrafficSummary {
  readonly ref: string;
  readonly requests: number;
  readonly failed: number;
  readonly bytesOut: number;
}

/** Of the last 24 hours, for projects that had any. */
export function summarizeTraffic(db: Queryable, refs: readonly string[]): Promise<TrafficSummary[]> {
  return db.query<TrafficSummary>(
    `/* summarizeTraffic */ select project_ref as ref,
       sum((select sum(count) from unnest(statuses) count))::float8 as requests,
       sum(statuses[5])::float8 as failed, sum(bytes_out)::float8 as "bytesOut"
     from project_traffic
     where project_ref = any($1) and step = 'hour' and at > now() - interval '24 hours'
     group by project_ref`,
    [refs],
  );
}
