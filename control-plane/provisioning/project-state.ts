/** The one place where a project changes its state: with its config version and its events, in the caller's transaction. */
import { touchProject } from "../config-snapshots/touch.ts";
import type { Queryable } from "../database.ts";
import { publishEvent } from "../events.ts";
import type { ProjectState } from "./lifecycle.ts";
import type { ProvisionedProject } from "./operation.ts";

/** @param reason why it is FAILED, in words for the project's members; null for the other states. */
export async function changeProjectState(
  tx: Queryable,
  project: Pick<ProvisionedProject, "ref" | "organizationId">,
  state: ProjectState,
  reason: string | null = null,
): Promise<void> {
  await tx.query(
    `/* changeProjectState */ update projects
     set state = $2, state_reason = $3, updated_at = clock_timestamp(),
         deleted_at = case when $2 = 'DELETED' then clock_timestamp() end
     where ref = $1`,
    [project.ref, state, reason],
  );
  await touchProject(tx, project.ref);
  await publishEvent(tx, { topic: "project-state", ref: project.ref, organizationId: project.organizationId, state });
}
