/** States of projects, pushed as they change. */
import { builder } from "../builder.ts";
import type { GraphqlContext } from "../context.ts";
import type { ControlPlaneEvent } from "../events.ts";
import { listMemberships } from "../organizations/organization-table.ts";
import { requireAccount, requireOrganization, requireProject } from "../permissions.ts";
import { follow } from "../subscriptions.ts";
import { ProjectType } from "./project.graphql.ts";
import { latestProjectVersion, listChangedProjects, type ProjectScope } from "./project-list.ts";
import { findProjectOrTombstone, type ProjectRow } from "./project-row.ts";

builder.subscriptionFields((t) => ({
  projectStatus: t.field({
    type: ProjectType,
    description:
      "The project now, and again with every change of its state and every step of an operation. Ends with state DELETED.",
    args: { ref: t.arg.id() },
    subscribe: (_root, { ref }, context) => followProject(context, ref),
    resolve: (project) => project,
  }),
  projects: t.field({
    type: [ProjectType],
    description:
      "First all projects of the organization, then those that have changed, each time as a list. A deleted one comes a last time in state DELETED. An empty list says that the account's organizations have changed: read again what is shown.",
    args: {
      organizationId: t.arg.id({ required: false, description: "Left out: all that `viewer.projects` lists." }),
      changesOnly: t.arg.boolean({ defaultValue: false, description: "Leaves the first list out." }),
    },
    subscribe: (_root, { organizationId, changesOnly }, context) =>
      organizationId == null
        ? followAllProjects(context, changesOnly)
        : followProjects(context, organizationId, changesOnly),
    resolve: (projects) => [...projects],
  }),
}));

async function followProject(context: GraphqlContext, ref: string): Promise<AsyncIterableIterator<ProjectRow>> {
  const { organizationId } = await requireProject(context, ref, "project.read");
  return follow<ProjectRow>(context, {
    filter: (event) => (event.topic === "project-state" || event.topic === "operation") && event.ref === ref,
    // By the organization: the project itself is NOT_FOUND once it is deleted, which is to be shown.
    authorize: () => requireOrganization(context, organizationId, "project.read"),
    read: () => findProjectOrTombstone(context.database, ref),
    isLast: ({ state }) => state === "DELETED",
  });
}

async function followProjects(
  context: GraphqlContext,
  organizationId: string,
  changesOnly: boolean,
): Promise<AsyncIterableIterator<readonly ProjectRow[]>> {
  return follow<readonly ProjectRow[]>(context, {
    filter: (event) => event.topic === "project-state" && event.organizationId === organizationId,
    authorize: () => requireOrganization(context, organizationId, "project.read"),
    read: createChangeReader(context, { kind: "organization", organizationId }, changesOnly),
  });
}

async function followAllProjects(
  context: GraphqlContext,
  changesOnly: boolean,
): Promise<AsyncIterableIterator<readonly ProjectRow[]>> {
  const { accountId, isInstanceOwner } = requireAccount(context);
  const scope: ProjectScope = isInstanceOwner ? { kind: "installation" } : { kind: "account", accountId };
  // What happens in the organizations of others must not cost a read for everybody who looks on.
  let organizations = new Set<string>();
  const readChanges = createChangeReader(context, scope, changesOnly);
  return follow<readonly ProjectRow[]>(context, {
    filter: (event) => event.topic === "project-state" && (isInstanceOwner || organizations.has(event.organizationId)),
    authorize: async () => {
      const memberships = await listMemberships(context.database, accountId);
      organizations = new Set(memberships.map(({ organizationId }) => organizationId));
    },
    read: async (event) => (event?.topic === "access" ? [] : readChanges(event)),
  });
}

/** Reads the projects of a scope once, then those that have changed since the last time; null for none. */
function createChangeReader({ database }: GraphqlContext, scope: ProjectScope, changesOnly: boolean) {
  let version = 0;
  return async (event: ControlPlaneEvent | null): Promise<readonly ProjectRow[] | null> => {
    if (!event && changesOnly) {
      version = await latestProjectVersion(database, scope);
      return null;
    }
    const changed = await listChangedProjects(database, scope, version);
    version = changed.at(-1)?.configVersion ?? version;
    if (!event) return changed.filter(({ deletedAt }) => deletedAt === null);
    return changed.length === 0 ? null : changed;
  };
}
