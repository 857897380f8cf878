/** The words of a provisioning run, shared by the table, the runner and the worker. */
import type { ProjectRef } from "../client/config-snapshot.ts";

/** `abandon` is a deletion that leaves behind what an unreachable cluster holds, and remembers it. */
export const OPERATION_KINDS = ["create", "pause", "resume", "restart", "delete", "abandon", "migrate"] as const;
export type OperationKind = (typeof OPERATION_KINDS)[number];

/** One provisioning run of one project, as table `operations` keeps it. */
export interface OperationRow {
  readonly id: string;
  readonly projectRef: ProjectRef;
  readonly kind: OperationKind;
  readonly state: "running" | "succeeded" | "failed";
  /** The step that was begun last; null before the first and after success. */
  readonly step: string | null;
  /** Names of the steps whose work is known to be done. */
  readonly completedSteps: readonly string[];
  /** How often {@link OperationRow.step} was begun, over all instances. */
  readonly attempts: number;
  /** Why it failed, in words for the project's members. */
  readonly error: string | null;
  readonly createdAt: Date;
  readonly finishedAt: Date | null;
}

/** What a provisioning run knows of its project. The cluster is null until the step that chooses one. */
export interface ProvisionedProject {
  readonly ref: ProjectRef;
  readonly organizationId: string;
  readonly plan: "shared" | "dedicated";
  readonly clusterId: string | null;
}

/** An operation that this instance holds the lease of, with its project. */
export interface ClaimedOperation extends OperationRow {
  readonly project: ProvisionedProject;
}
