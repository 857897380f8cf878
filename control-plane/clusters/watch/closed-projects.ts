/**
 * What the watch has done, written down where the project's members see it (the audit log), and projects that are closed
 * for a while because of it. All of it is in the database: it outlives the control plane and is the same for every instance.
 */
import { touchProject } from "../../config-snapshots/touch.ts";
import type { Queryable } from "../../database.ts";
import { isStrike, REASONS, type Reason } from "./decide.ts";

const STRIKES = 3;
const STRIKE_MINUTES = 10;
const CLOSED_MINUTES = 10;
const ACTOR = "cluster watch";

/** Sessions of one project that were ended in one look. */
export interface Act {
  readonly ref: string;
  readonly reason: Reason;
  readonly sessions: number;
}

/** In a transaction. @returns true when the project is closed by this. A project that is gone is nobody's. */
export async function recordAct(tx: Queryable, act: Act): Promise<boolean> {
  // Holds the project: of two acts at once the second counts the first.
  const [project] = await tx.query<{ organizationId: string; isClosed: boolean }>(
    `/* recordAct */ select organization_id as "organizationId", closed_until is not null as "isClosed"
     from projects where ref = $1 and deleted_at is null for no key update`,
    [act.ref],
  );
  if (!project) return false;
  const audit = (action: string, details: object) =>
    tx.query(
      `/* recordAct: audit */ insert into audit_log (actor, organization_id, project_ref, action, details)
       values ($1, $2, $3, $4, $5)`,
      [ACTOR, project.organizationId, act.ref, action, JSON.stringify(details)],
    );
  await audit("project.end_sessions", { reason: act.reason, why: REASONS[act.reason], sessions: act.sessions });
  if (!isStrike(act.reason)) return false;
  const [strikes] = await tx.query<{ count: number }>(
    `/* recordAct: strike */ with old as (
       delete from project_strikes where project_ref = $1 and at < now() - make_interval(mins => $3)
     ), new as (insert into project_strikes (project_ref, reason) values ($1, $2))
     select count(*) + 1 as count from project_strikes
     where project_ref = $1 and at >= now() - make_interval(mins => $3)`,
    [act.ref, act.reason, STRIKE_MINUTES],
  );
  if (project.isClosed || (strikes?.count ?? 0) < STRIKES) return false;
  await tx.query(
    `/* recordAct: close */ update projects set closed_until = now() + make_interval(mins => $2) where ref = $1`,
    [act.ref, CLOSED_MINUTES],
  );
  await audit("project.close", { reason: act.reason, minutes: CLOSED_MINUTES });
  await touchProject(tx, act.ref);
  return true;
}

export interface ClosedProject {
  readonly ref: string;
  readonly clusterId: string;
  /** Its time is over. */
  readonly isOver: boolean;
}

export function listClosedProjects(db: Queryable): Promise<ClosedProject[]> {
  return db.query<ClosedProject>(
    `/* listClosedProjects */ select ref, cluster_id as "clusterId", closed_until <= now() as "isOver"
     from projects where closed_until is not null and deleted_at is null and cluster_id is not null order by ref`,
  );
}

/**
 * Opens a project whose time is over. The caller lets its logins in again first, unless the answer of
 * {@link mayLogIn} is no. In a transaction. @returns false when another instance was faster.
 */
export async function openProject(tx: Queryable, ref: string): Promise<boolean> {
  const opened = await tx.query(
    `/* openProject */ update projects set closed_until = null where ref = $1 and closed_until <= now() returning ref`,
    [ref],
  );
  if (opened.length === 0) return false;
  await tx.query("/* openProject: strikes */ delete from project_strikes where project_ref = $1", [ref]);
  await tx.query(
    `/* openProject: audit */ insert into audit_log (actor, organization_id, project_ref, action)
     select $2, organization_id, ref, 'project.open' from projects where ref = $1`,
    [ref, ACTOR],
  );
  await touchProject(tx, ref);
  return true;
}

/** Whether the project's logins are to be able to log in, were it not closed: not while it is paused or deleted. */
export async function mayLogIn(tx: Queryable, ref: string): Promise<boolean> {
  const [row] = await tx.query<{ state: string }>(
    "/* mayLogIn */ select state from projects where ref = $1 and deleted_at is null for no key update",
    [ref],
  );
  return row !== undefined && !["PAUSING", "PAUSED", "DELETING", "DELETED"].includes(row.state);
}
