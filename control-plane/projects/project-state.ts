/**
 * The life of a project as a table: which operation may begin in which state, what the project is meanwhile, and what
 * it is afterwards. Pure; the provisioner and the mutations both ask here.
 *
 *   CREATING → ACTIVE ⇄ PAUSED        (PAUSING, RESUMING, RESTARTING on the way)
 *   any operation that fails → FAILED → retried, or deleted
 *   anything at rest → DELETING → DELETED
 */
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

export const OPERATION_KINDS = ["create", "pause", "resume", "restart", "delete", "migrate"] as const;
export type OperationKind = (typeof OPERATION_KINDS)[number];

interface Transition {
  /** States in which a person may ask for it. FAILED is left by a retry of what failed, or by delete. */
  readonly from: readonly ProjectState[];
  /** The project's state while the operation runs; null leaves it as it is. */
  readonly during: ProjectState | null;
  /** The state when it has succeeded; null leaves it as it was before. */
  readonly after: ProjectState | null;
}

export const TRANSITIONS: Readonly<Record<OperationKind, Transition>> = {
  create: { from: ["CREATING"], during: "CREATING", after: "ACTIVE" },
  pause: { from: ["ACTIVE"], during: "PAUSING", after: "PAUSED" },
  resume: { from: ["PAUSED"], during: "RESUMING", after: "ACTIVE" },
  restart: { from: ["ACTIVE"], during: "RESTARTING", after: "ACTIVE" },
  // A delete may follow anything that is not running any more: operations of one project never overlap (PROJECT_BUSY).
  delete: { from: ["CREATING", "ACTIVE", "PAUSED", "FAILED"], during: "DELETING", after: "DELETED" },
  // Migrations serve while they run, so the project keeps its state.
  migrate: { from: ["ACTIVE", "PAUSED"], during: null, after: null },
};

/** States in which an operation is under way: another one is answered with PROJECT_BUSY, not with CONFLICT. */
const TRANSIENT: ReadonlySet<ProjectState> = new Set(["CREATING", "PAUSING", "RESUMING", "RESTARTING", "DELETING"]);

export function isTransient(state: ProjectState): boolean {
  return TRANSIENT.has(state);
}

/** Whether a person may ask for this operation now. */
export function canBegin(state: ProjectState, kind: OperationKind): boolean {
  return TRANSITIONS[kind].from.includes(state);
}

/**
 * The operation that a retry of a FAILED project begins: the one that failed last, once more.
 * Null when there is nothing to retry.
 */
export function retriedKind(state: ProjectState, lastFailed: OperationKind | null): OperationKind | null {
  return state === "FAILED" ? lastFailed : null;
}
