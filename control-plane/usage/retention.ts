/** Removes what has been kept long enough, and what deleted projects have left, a bounded part at a time. */
import type { Queryable } from "../database.ts";
import { KEPT_DAYS, USAGE_STEPS } from "./steps.ts";

const ROWS_AT_ONCE = 5_000;
/** A process that has not reported for so long has ended; a report of its own would have come within a minute. */
const REPORTERS_KEPT_HOURS = 24;

export async function removeOldUsage(db: Queryable): Promise<void> {
  for (const table of ["project_traffic", "project_measures"]) {
    for (const step of USAGE_STEPS) {
      await inParts(
        db,
        `/* removeOldUsage */ delete from ${table} where ctid = any(array(
           select ctid from ${table} where step = $1::usage_step and at < now() - make_interval(days => $2) limit $3))
         returning 1`,
        [step, KEPT_DAYS[step]],
      );
    }
    await inParts(
      db,
      `/* removeUsageOfDeleted */ delete from ${table} where ctid = any(array(
         select ${table}.ctid from projects join ${table} on project_ref = ref
         where deleted_at > now() - interval '2 days' limit $1))
       returning 1`,
      [],
    );
  }
  await db.query(
    `/* removeOldReporters */ delete from traffic_reporters where reported_at < now() - make_interval(hours => $1)`,
    [REPORTERS_KEPT_HOURS],
  );
}

async function inParts(db: Queryable, text: string, values: readonly unknown[]): Promise<void> {
  let removed: object[];
  do {
    removed = await db.query(text, [...values, ROWS_AT_ONCE]);
  } while (removed.length === ROWS_AT_ONCE);
}
