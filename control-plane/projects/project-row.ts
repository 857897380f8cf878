/** The row of table `projects` as the rest of the control plane reads it. */
import type { ProjectRef } from "../client/config-snapshot.ts";
import type { Queryable } from "../database.ts";
import type { ProjectState } from "../provisioning/lifecycle.ts";

export interface ProjectRow {
  readonly ref: ProjectRef;
  readonly organizationId: string;
  readonly name: string;
  readonly plan: "shared" | "dedicated";
  readonly state: ProjectState;
  /** Why the project is FAILED, in words for its people; null in other states. */
  readonly stateReason: string | null;
  readonly clusterId: string | null;
  readonly templateVersion: number | null;
  readonly configVersion: number;
  /** Only what differs from the defaults; settings.ts validates it. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly createdBy: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly deletedAt: Date | null;
}

/** The select list of a {@link ProjectRow}; the table must be named or aliased `projects`. */
export const PROJECT_COLUMNS = `projects.ref, projects.organization_id as "organizationId", projects.name, projects.plan,
  projects.state, projects.state_reason as "stateReason", projects.cluster_id as "clusterId",
  projects.template_version as "templateVersion", projects.config_version as "configVersion", projects.settings,
  projects.created_by as "createdBy", projects.created_at as "createdAt", projects.updated_at as "updatedAt",
  projects.deleted_at as "deletedAt"`;

/** Null when there is no such project or only its tombstone. Does not authorize: see permissions.ts. */
export async function findProject(db: Queryable, ref: string): Promise<ProjectRow | null> {
  const [row] = await db.query<ProjectRow>(
    `/* findProject */ select ${PROJECT_COLUMNS} from projects where ref = $1 and deleted_at is null`,
    [ref],
  );
  return row ?? null;
}

/** As {@link findProject}, and holds the row until the transaction ends: for decisions that depend on the state. */
export async function findProjectForUpdate(tx: Queryable, ref: string): Promise<ProjectRow | null> {
  const [row] = await tx.query<ProjectRow>(
    `/* findProjectForUpdate */ select ${PROJECT_COLUMNS} from projects where ref = $1 and deleted_at is null for update`,
    [ref],
  );
  return row ?? null;
}

/** A deleted project too. */
export async function findProjectOrTombstone(db: Queryable, ref: string): Promise<ProjectRow | null> {
  const [row] = await db.query<ProjectRow>(
    `/* findProjectOrTombstone */ select ${PROJECT_COLUMNS} from projects where ref = $1`,
    [ref],
  );
  return row ?? null;
}

export async function storeSettings(
  tx: Queryable,
  ref: string,
  stored: Readonly<Record<string, unknown>>,
): Promise<void> {
  await tx.query("/* storeSettings */ update projects set settings = $2 where ref = $1", [ref, JSON.stringify(stored)]);
}

export async function setProjectName(tx: Queryable, ref: string, name: string): Promise<void> {
  await tx.query("/* setProjectName */ update projects set name = $2, updated_at = clock_timestamp() where ref = $1", [
    ref,
    name,
  ]);
}
