/** Projects of an organization, page by page, newest first. */

import { keysetSql, type Page } from "../connections.ts";
import { containsPattern, type Queryable } from "../database.ts";
import type { ProjectState } from "../provisioning/lifecycle.ts";
import { PROJECT_COLUMNS, type ProjectRow } from "./project-row.ts";

export interface ProjectFilter {
  readonly organizationId: string;
  /** Part of a name in any case, or a whole ref. */
  readonly search: string | null;
  readonly states: readonly ProjectState[] | null;
}

const FILTER = `projects.organization_id = $1 and projects.deleted_at is null
  and ($2::text is null or projects.name ilike $2 or projects.ref = $3) and ($4::text[] is null or projects.state = any ($4))`;

export async function listProjects(db: Queryable, filter: ProjectFilter, page: Page): Promise<ProjectRow[]> {
  const keyset = keysetSql(page, {
    key: "(projects.created_at, projects.ref)",
    keyOf: (cursor) => `(select created_at, ref from projects where ref = ${cursor})`,
    direction: "desc",
    firstParameter: 6,
  });
  return db.query<ProjectRow>(
    `/* listProjects */ select ${PROJECT_COLUMNS} from projects
     where ${FILTER} and ${keyset.where} order by ${keyset.orderBy} limit $5`,
    [...filterValues(filter), page.limit, ...keyset.values],
  );
}

export async function countProjects(db: Queryable, filter: ProjectFilter): Promise<number> {
  const [row] = await db.query<{ count: number }>(
    `/* countProjects */ select count(*) from projects where ${FILTER}`,
    filterValues(filter),
  );
  return row?.count ?? 0;
}

/** Projects of the organization whose config version is above `afterVersion`, tombstones included, oldest change first. */
export async function listChangedProjects(
  db: Queryable,
  organizationId: string,
  afterVersion: number,
): Promise<ProjectRow[]> {
  return db.query<ProjectRow>(
    `/* listChangedProjects */ select ${PROJECT_COLUMNS} from projects
     where organization_id = $1 and config_version > $2 order by config_version`,
    [organizationId, afterVersion],
  );
}

function filterValues({ organizationId, search, states }: ProjectFilter): unknown[] {
  return [organizationId, search === null ? null : containsPattern(search), search, states];
}
