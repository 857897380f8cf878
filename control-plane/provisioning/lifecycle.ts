/** Which operation a project allows in which state, and where it leads. Pure: the database enforces "one at a time". */
import type { OperationKind } from "./operation.ts";

export const PROJECT_STATES = [
  "CREATING",
  "ACTIVE",
  "PAUSING",
  "PAUSED",
  "RESUMING",
  "RESTARTING",
  "DELETING",
  "DELETED",
  "FAILED",
] as const;
export type ProjectState = (typeof PROJECT_STATES)[number];

interface Transition {
  /** States in which the operation may begin, FAILED apart (see {@link mayBegin}). */
  readonly from: readonly ProjectState[];
  /** The state while it runs; null leaves the project as it is: it keeps serving. */
  readonly during: ProjectState | null;
  readonly after: ProjectState | null;
  readonly afterFailure: ProjectState | null;
}

export const TRANSITIONS: Readonly<Record<OperationKind, Transition>> = {
  create: { from: ["CREATING"], during: "CREATING", after: "ACTIVE", afterFailure: "FAILED" },
  pause: { from: ["ACTIVE"], during: "PAUSING", after: "PAUSED", afterFailure: "FAILED" },
  resume: { from: ["PAUSED"], during: "RESUMING", after: "ACTIVE", afterFailure: "FAILED" },
  restart: { from: ["ACTIVE"], during: "RESTARTING", after: "ACTIVE", afterFailure: "FAILED" },
  delete: { from: ["ACTIVE", "PAUSED", "FAILED"], during: "DELETING", after: "DELETED", afterFailure: "FAILED" },
  abandon: { from: [], during: "DELETING", after: "DELETED", afterFailure: "FAILED" },
  migrate: { from: ["ACTIVE", "PAUSED"], during: null, after: null, afterFailure: null },
};

/**
 * @param failedKind the kind of the operation that brought the project to FAILED, if it did: that one may be tried
 * again, for its steps are idempotent. A half-made project can always be deleted, and one whose deletion has failed can
 * be abandoned.
 */
export function mayBegin(kind: OperationKind, state: ProjectState, failedKind: OperationKind | null): boolean {
  if (state === "FAILED" && (kind === failedKind || (kind === "abandon" && failedKind === "delete"))) return true;
  return TRANSITIONS[kind].from.includes(state);
}
