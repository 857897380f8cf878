/** States of projects, pushed as they change. */
import { builder } from "../builder.ts";
import type { GraphqlContext } from "../context.ts";
import type { Queryable } from "../database.ts";
import { requireOrganization, requireProject } from "../permissions.ts";
import { follow } from "../subscriptions.ts";
import { ProjectType } from "./project.graphql.ts";
import { listChangedProjects } from "./project-list.ts";
import { PROJECT_COLUMNS, type ProjectRow } from "./project-row.ts";

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
      "First all projects of the organization, then those that have changed, each time as a list. A deleted one comes a last time in state DELETED.",
    args: { organizationId: t.arg.id() },
    subscribe: (_root, { organizationId }, context) => followProjects(context, organizationId),
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
): Promise<AsyncIterableIterator<readonly ProjectRow[]>> {
  let version = 0;
  return follow<readonly ProjectRow[]>(context, {
    filter: (event) => event.topic === "project-state" && event.organizationId === organizationId,
    authorize: () => requireOrganization(context, organizationId, "project.read"),
    read: async (event) => {
      const changed = await listChangedProjects(context.database, organizationId, version);
      version = changed.at(-1)?.configVersion ?? version;
      if (!event) return changed.filter(({ deletedAt }) => deletedAt === null);
      return changed.length === 0 ? null : changed;
    },
  });
}

async function findProjectOrTombstone(db: Queryable, ref: string): Promise<ProjectRow | null> {
  const [row] = await db.query<ProjectRow>(
    `/* findProjectOrTombstone */ select ${PROJECT_COLUMNS} from projects where ref = $1`,
    [ref],
  );
  return row ?? null;
}
