/** Provisioning runs of a project, as its people see them. */
import { builder } from "../builder.ts";
import type { Queryable } from "../database.ts";
import { OPERATION_KINDS } from "../provisioning/operation.ts";

interface OperationView {
  readonly id: string;
  readonly kind: (typeof OPERATION_KINDS)[number];
  readonly state: "running" | "succeeded" | "failed";
  readonly step: string | null;
  readonly completedSteps: readonly string[];
  readonly error: string | null;
  readonly createdAt: Date;
  readonly finishedAt: Date | null;
}

const OperationKindEnum = builder.enumType("OperationKind", {
  values: Object.fromEntries(OPERATION_KINDS.map((kind) => [kind.toUpperCase(), { value: kind }])) as {
    [Kind in (typeof OPERATION_KINDS)[number] as Uppercase<Kind>]: { value: Kind };
  },
});

const OperationStateEnum = builder.enumType("OperationState", {
  values: { RUNNING: { value: "running" }, SUCCEEDED: { value: "succeeded" }, FAILED: { value: "failed" } },
});

export const OperationType = builder.objectRef<OperationView>("Operation").implement({
  description: "One provisioning run.",
  fields: (t) => ({
    id: t.exposeID("id"),
    kind: t.expose("kind", { type: OperationKindEnum }),
    state: t.expose("state", { type: OperationStateEnum }),
    step: t.exposeString("step", { nullable: true, description: "The step under way, or the one that failed." }),
    completedSteps: t.exposeStringList("completedSteps"),
    error: t.exposeString("error", { nullable: true, description: "Why it failed." }),
    createdAt: t.expose("createdAt", { type: "DateTime" }),
    finishedAt: t.expose("finishedAt", { type: "DateTime", nullable: true }),
  }),
});

/** Newest first. */
export async function listOperations(db: Queryable, ref: string, limit: number): Promise<OperationView[]> {
  return db.query<OperationView>(
    `/* listOperations */ select id, kind, state, step, completed_steps as "completedSteps", error,
       created_at as "createdAt", finished_at as "finishedAt"
     from operations where project_ref = $1 order by created_at desc, id limit $2`,
    [ref, limit],
  );
}
