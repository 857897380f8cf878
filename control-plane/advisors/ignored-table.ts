/** Findings that people of a project have decided to live with. */
import type { Queryable } from "../database.ts";

export interface IgnoredAdvisory {
  readonly key: string;
  readonly reason: string;
  /** E-mail address. */
  readonly actor: string;
  readonly createdAt: Date;
}

export function listIgnored(db: Queryable, ref: string): Promise<IgnoredAdvisory[]> {
  return db.query<IgnoredAdvisory>(
    `/* listIgnoredAdvisories */ select key, reason, actor, created_at as "createdAt" from ignored_advisories
     where project_ref = $1`,
    [ref],
  );
}

export async function ignoreAdvisory(
  db: Queryable,
  ref: string,
  { key, reason, actor }: Pick<IgnoredAdvisory, "key" | "reason" | "actor">,
): Promise<void> {
  await db.query(
    `/* ignoreAdvisory */ insert into ignored_advisories (project_ref, key, reason, actor) values ($1, $2, $3, $4)
     on conflict (project_ref, key) do update set reason = excluded.reason, actor = excluded.actor, created_at = now()`,
    [ref, key, reason, actor],
  );
}

export async function heedAdvisory(db: Queryable, ref: string, key: string): Promise<void> {
  await db.query("/* heedAdvisory */ delete from ignored_advisories where project_ref = $1 and key = $2", [ref, key]);
}

export async function countIgnored(db: Queryable, ref: string): Promise<number> {
  const [row] = await db.query<{ count: number }>(
    "/* countIgnoredAdvisories */ select count(*)::int as count from ignored_advisories where project_ref = $1",
    [ref],
  );
  return row?.count ?? 0;
}
