/** Changes of what belongs to a project: one at a time for each project, and not while it is being deleted. */
import { touchProject } from "../config-snapshots/touch.ts";
import type { GraphqlContext } from "../context.ts";
import type { Queryable } from "../database.ts";
import { Conflict, NotFound } from "../errors.ts";
import { type Action, requireProject } from "../permissions.ts";
import { MissingDataKey } from "../secrets/vault.ts";
import { findProject, findProjectForUpdate, type ProjectRow } from "./project-row.ts";

/**
 * Runs `work` in a transaction that holds the project's row. What it leaves behind cannot outlive the project: deletion
 * waits for the row.
 * @throws {NotFound} @throws {Forbidden} @throws {Conflict} the project is being deleted.
 */
export async function withProjectLocked<T>(
  context: GraphqlContext,
  ref: string,
  action: Action,
  work: (tx: Queryable, project: ProjectRow) => Promise<T>,
): Promise<T> {
  await requireProject(context, ref, action);
  try {
    return await context.database.transaction(async (tx) => {
      const project = await findProjectForUpdate(tx, ref);
      if (!project) throw new NotFound("project");
      if (project.state === "DELETING") throw new Conflict("the project is being deleted");
      return work(tx, project);
    });
  } catch (error) {
    if (error instanceof MissingDataKey) throw new Conflict("the project is still being made");
    throw error;
  }
}

/**
 * {@link withProjectLocked} for what config snapshots show: gateways and services hear of it when it commits.
 * @returns the project as it is then.
 */
export async function changeProjectConfig(
  context: GraphqlContext,
  ref: string,
  action: Action,
  work: (tx: Queryable, project: ProjectRow) => Promise<void>,
): Promise<ProjectRow> {
  return withProjectLocked(context, ref, action, async (tx, project) => {
    await work(tx, project);
    await touchProject(tx, ref);
    return (await findProject(tx, ref)) ?? project;
  });
}
