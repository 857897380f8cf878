/** Work that is done once in a while for all control planes by the one that comes first. */
import type { Queryable } from "../database.ts";

/** @returns Whether it is due, and now this process's to do. */
export async function claimPeriodicWork(db: Queryable, name: string, everySeconds: number): Promise<boolean> {
  const rows = await db.query(
    `/* claimPeriodicWork */ insert into periodic_work as work (name, started_at) values ($1, now())
     on conflict (name) do update set started_at = now()
       where work.started_at <= now() - make_interval(secs => $2)
     returning name`,
    [name, everySeconds],
  );
  return rows.length > 0;
}
