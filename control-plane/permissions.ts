/**
 * Who may do what, in one table. Roles are ordered; each action names the least one that may take it. The instance
 * owner acts as owner of every organization. What belongs to an organization the viewer is no member of is NOT_FOUND,
 * a role that is too low is FORBIDDEN.
 */
import { isProjectRef } from "./client/config-snapshot.ts";
import type { GraphqlContext } from "./context.ts";
import { Forbidden, NotFound, Unauthenticated } from "./errors.ts";
import { PROJECT_COLUMNS, type ProjectRow } from "./projects/project-row.ts";
import { isUuid } from "./uuid.ts";
import type { AccountViewer, ServiceViewer } from "./viewer.ts";

/** From least to most. */
export const ROLES = ["viewer", "developer", "admin", "owner"] as const;
export type Role = (typeof ROLES)[number];

export const LEAST_ROLE = {
  "organization.read": "viewer",
  "organization.update": "admin",
  "organization.delete": "owner",
  "members.read": "viewer",
  "members.manage": "admin", // up to role admin; see owners.manage
  "owners.manage": "owner", // giving and taking the role owner
  "audit.read": "admin",

  "project.read": "viewer", // names, states, URLs, operations
  "project.health": "viewer", // health and usage
  "project.create": "admin",
  "project.update": "admin", // rename
  "project.lifecycle": "admin", // pause, resume, restart, delete, retry
  "project.abandon": "owner", // delete by force, which may leave things behind
  "settings.read": "developer",
  "settings.update": "admin",

  "keys.read": "developer", // names, prefixes and the public (anon, publishable) keys
  "keys.reveal": "admin", // service_role and secret keys
  "keys.manage": "admin", // create, revoke, rotate; the JWT secret
  "secrets.read": "developer", // names only
  "secrets.reveal": "admin",
  "secrets.manage": "admin",

  "sql.run": "developer",
  "users.read": "developer",
  "users.manage": "developer",
  "mails.read": "admin", // the links in them sign in as their receivers
  "mails.manage": "admin",
} as const satisfies Record<string, Role>;

export type Action = keyof typeof LEAST_ROLE;

/** Pure: whether a member of this role may take the action. */
export function roleAllows(role: Role, action: Action): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(LEAST_ROLE[action]);
}

export interface OrganizationRow {
  readonly id: string;
  readonly name: string;
  readonly slug: string;
  readonly createdAt: Date;
  /** The viewer's own role; `owner` for the instance owner everywhere. */
  readonly viewerRole: Role;
}

export const ORGANIZATION_COLUMNS = `organizations.id, organizations.name, organizations.slug,
  organizations.created_at as "createdAt"`;

/** @throws {Unauthenticated} without a viewer. @throws {Forbidden} for a service token. */
export function requireAccount(context: Pick<GraphqlContext, "viewer">): AccountViewer {
  if (!context.viewer) throw new Unauthenticated();
  if (context.viewer.kind !== "account") throw new Forbidden("a service token only reads config snapshots");
  return context.viewer;
}

/** @throws {Unauthenticated} without a viewer. @throws {Forbidden} for anybody but a service. */
export function requireService(context: Pick<GraphqlContext, "viewer">): ServiceViewer {
  if (!context.viewer) throw new Unauthenticated();
  if (context.viewer.kind !== "service") throw new Forbidden("config snapshots are for service tokens");
  return context.viewer;
}

/** Changes of an account's own credentials: an access token must not outlive itself by making another one. */
export function requireSession(context: Pick<GraphqlContext, "viewer">): AccountViewer {
  const viewer = requireAccount(context);
  if (viewer.tokenKind !== "session") throw new Forbidden("sign in to change credentials: an access token cannot");
  return viewer;
}

export function requireInstanceOwner(context: Pick<GraphqlContext, "viewer">): AccountViewer {
  const viewer = requireAccount(context);
  if (!viewer.isInstanceOwner) throw new Forbidden("only the owner of this installation may do this");
  return viewer;
}

/** @throws {NotFound} no such organization, or not the viewer's. @throws {Forbidden} the role is too low. */
export async function requireOrganization(
  context: Pick<GraphqlContext, "viewer" | "database">,
  id: string,
  action: Action,
): Promise<OrganizationRow> {
  const viewer = requireAccount(context);
  const [row] = isUuid(id)
    ? await context.database.query<Omit<OrganizationRow, "viewerRole"> & { viewerRole: Role | null }>(
        `/* requireOrganization */ select ${ORGANIZATION_COLUMNS}, memberships.role as "viewerRole"
         from organizations left join memberships on organization_id = organizations.id and account_id = $2
         where organizations.id = $1`,
        [id, viewer.accountId],
      )
    : [];
  const viewerRole = effectiveRole(viewer, row?.viewerRole ?? null);
  if (!row || !viewerRole) throw new NotFound("organization");
  if (!roleAllows(viewerRole, action)) throw new Forbidden();
  return { ...row, viewerRole };
}

/** @throws {NotFound} no such project, or not the viewer's. @throws {Forbidden} the role is too low. */
export async function requireProject(
  context: Pick<GraphqlContext, "viewer" | "database">,
  ref: string,
  action: Action,
): Promise<ProjectRow> {
  const viewer = requireAccount(context);
  const [row] = isProjectRef(ref)
    ? await context.database.query<ProjectRow & { viewerRole: Role | null }>(
        `/* requireProject */ select ${PROJECT_COLUMNS}, memberships.role as "viewerRole"
         from projects
           left join memberships on memberships.organization_id = projects.organization_id and account_id = $2
         where ref = $1 and deleted_at is null`,
        [ref, viewer.accountId],
      )
    : [];
  if (!row) throw new NotFound("project");
  const { viewerRole: membershipRole, ...project } = row;
  const viewerRole = effectiveRole(viewer, membershipRole);
  if (!viewerRole) throw new NotFound("project");
  if (!roleAllows(viewerRole, action)) throw new Forbidden();
  return project;
}

function effectiveRole(viewer: AccountViewer, membership: Role | null): Role | null {
  return viewer.isInstanceOwner ? "owner" : membership;
}
