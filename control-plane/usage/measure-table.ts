/** What was measured of projects: sizes, connections, active users. */
import type { Queryable } from "../database.ts";
import { STEP_SECONDS, USAGE_STEPS } from "./steps.ts";
import { inScope, type TimeSpan, type UsageScope } from "./traffic-table.ts";

/** Null: not measured this time. */
export interface Measures {
  readonly databaseBytes: number | null;
  readonly storageBytes: number | null;
  /** Client sessions. */
  readonly connections: number | null;
  /** Users who signed in or refreshed a session in the month so far. */
  readonly activeUsers: number | null;
}

/** @param atMs Milliseconds since the epoch. */
export async function recordMeasures(
  db: Queryable,
  atMs: number,
  measures: ReadonlyMap<string, Partial<Measures>>,
): Promise<void> {
  const steps = USAGE_STEPS.map((step) => {
    // What is measured every five minutes stands at its minute.
    const seconds = STEP_SECONDS[step];
    return { step, at: Math.floor(atMs / 1_000 / seconds) * seconds };
  });
  const rows = [...measures].map(([ref, measured]) => ({ ref, ...measured }));
  await db.query(
    `/* recordMeasures */ insert into project_measures as known
       (project_ref, step, at, database_bytes, storage_bytes, connections, active_users)
     select r.ref, s.step, to_timestamp(s.at), r."databaseBytes", r."storageBytes", r.connections, r."activeUsers"
     from jsonb_to_recordset($1::jsonb) as r (ref text, "databaseBytes" bigint, "storageBytes" bigint, connections int, "activeUsers" int)
       join projects on projects.ref = r.ref and projects.deleted_at is null,
       jsonb_to_recordset($2::jsonb) as s (step usage_step, at float8)
     order by r.ref, s.step
     on conflict (project_ref, step, at) do update set
       database_bytes = coalesce(excluded.database_bytes, known.database_bytes),
       storage_bytes = coalesce(excluded.storage_bytes, known.storage_bytes),
       connections = greatest(known.connections, excluded.connections),
       active_users = coalesce(excluded.active_users, known.active_users)`,
    [JSON.stringify(rows), JSON.stringify(steps)],
  );
}

export interface MeasureSum extends Measures {
  /** Index of the interval, from 0. */
  readonly interval: number;
}

/** The largest of each interval, of a cluster the sum of its projects; only intervals in which something was measured. */
export function readMeasures(db: Queryable, scope: UsageScope, span: TimeSpan): Promise<MeasureSum[]> {
  return db.query<MeasureSum>(
    `/* readMeasures */ select interval, sum(database_bytes)::float8 as "databaseBytes",
       sum(storage_bytes)::float8 as "storageBytes", sum(connections)::int as connections,
       sum(active_users)::int as "activeUsers"
     from (
       select floor((extract(epoch from at) - $3) / $5)::int as interval, max(database_bytes) as database_bytes,
         max(storage_bytes) as storage_bytes, max(connections) as connections, max(active_users) as active_users
       from project_measures
       where ${inScope(scope)} and step = $2::usage_step and at >= to_timestamp($3) and at < to_timestamp($4)
       group by project_ref, 1
     ) as of_project
     group by interval order by interval`,
    [scope.id, span.step, span.from, span.to, span.intervalSeconds],
  );
}
