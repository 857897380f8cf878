/** Projects of an organization, or of all that an account may see, page by page, newest first. */

import { keysetSql, type Page } from "../connections.ts";
import { containsPattern, type Queryable } from "../database.ts";
import type { ProjectState } from "../provisioning/lifecycle.ts";
import { PROJECT_COLUMNS, type ProjectRow } from "./project-row.ts";

/** Whose projects: of one organization, of all that an account belongs to, of one cluster, or of the whole installation. */
export type ProjectScope =
  | { readonly kind: "organization"; readonly organizationId: string }
  | { readonly kind: "account"; readonly accountId: string }
  | { readonly kind: "cluster"; readonly clusterId: string }
  | { readonly kind: "installation" };

export interface ProjectFilter {
  readonly scope: ProjectScope;
  /** Part of a name in any case, or a whole ref. */
  readonly search: string | null;
  readonly states: readonly ProjectState[] | null;
}

/** A condition on the parameters whose values `scopeValues` gives. */
const scopeSql = (organization: string, account: string, cluster: string) =>
  `(${organization}::uuid is null or projects.organization_id = ${organization}) and (${account}::uuid is null
  or projects.organization_id in (select organization_id from memberships where account_id = ${account}))
  and (${cluster}::uuid is null or projects.cluster_id = ${cluster})`;

function scopeValues(
  scope: ProjectScope,
): [organizationId: string | null, accountId: string | null, clusterId: string | null] {
  return [
    scope.kind === "organization" ? scope.organizationId : null,
    scope.kind === "account" ? scope.accountId : null,
    scope.kind === "cluster" ? scope.clusterId : null,
  ];
}

const FILTER = `${scopeSql("$1", "$5", "$6")} and projects.deleted_at is null
  and ($2::text is null or projects.name ilike $2 or projects.ref = $3) and ($4::text[] is null or projects.state = any ($4))`;

export async function listProjects(db: Queryable, filter: ProjectFilter, page: Page): Promise<ProjectRow[]> {
  const keyset = keysetSql(page, {
    key: "(projects.created_at, projects.ref)",
    keyOf: (cursor) => `(select created_at, ref from projects where ref = ${cursor})`,
    direction: "desc",
    firstParameter: 8,
  });
  return db.query<ProjectRow>(
    `/* listProjects */ select ${PROJECT_COLUMNS} from projects
     where ${FILTER} and ${keyset.where} order by ${keyset.orderBy} limit $7`,
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

/** Projects whose config version is above `afterVersion`, tombstones included, oldest change first. */
export async function listChangedProjects(
  db: Queryable,
  scope: ProjectScope,
  afterVersion: number,
): Promise<ProjectRow[]> {
  return db.query<ProjectRow>(
    `/* listChangedProjects */ select ${PROJECT_COLUMNS} from projects
     where ${scopeSql("$1", "$2", "$3")} and config_version > $4 order by config_version`,
    [...scopeValues(scope), afterVersion],
  );
}

/** The newest change so far: what a follower who has read the list already begins after. */
export async function latestProjectVersion(db: Queryable, scope: ProjectScope): Promise<number> {
  const [row] = await db.query<{ version: number | null }>(
    `/* latestProjectVersion */ select max(config_version) as version from projects where ${scopeSql("$1", "$2", "$3")}`,
    scopeValues(scope),
  );
  return row?.version ?? 0;
}

function filterValues({ scope, search, states }: ProjectFilter): unknown[] {
  const [organizationId, accountId, clusterId] = scopeValues(scope);
  return [organizationId, search === null ? null : containsPattern(search), search, states, accountId, clusterId];
}
