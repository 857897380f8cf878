/** A project that is not ACTIVE: what happens, step by step, or why it does not go on and what can be done. */
import { useState } from "react";
import { useMutation } from "../graphql/hooks.ts";
import { type Role, roleAllows } from "../shell/viewer.ts";
import { Button } from "../ui/button.tsx";
import { type Step, Steps } from "../ui/parts.tsx";
import { Banner, EmptyState, InlineError } from "../ui/state.tsx";
import { DeleteProjectDialog } from "./delete-project-dialog.tsx";
import { ResumeProjectDocument, RetryProjectDocument } from "./generated/operations.ts";
import { type Operation, type ProjectState, STATES, stepName } from "./project-state.tsx";

export interface StatefulProject {
  readonly ref: string;
  readonly name: string;
  readonly state: ProjectState;
  readonly stateReason?: string | null;
  readonly viewerRole: Role;
  readonly operations: readonly Operation[];
}

/** Pure: the steps of a run as far as they are known. */
export function stepsOf(operation: Operation | undefined): Step[] {
  if (!operation) return [];
  const done = operation.completedSteps.map((step) => ({ name: stepName(step), state: "done" as const }));
  if (!operation.step || operation.completedSteps.includes(operation.step)) return done;
  return [...done, { name: stepName(operation.step), state: operation.state === "FAILED" ? "failed" : "running" }];
}

export function ProjectStatePanel({ project }: { readonly project: StatefulProject }) {
  const { ref, name, state, stateReason, viewerRole, operations } = project;
  const [isDeleting, setDeleting] = useState(false);
  const resume = useMutation(ResumeProjectDocument);
  const retry = useMutation(RetryProjectDocument);
  const mayAct = roleAllows(viewerRole, "ADMIN");
  const [operation] = operations;
  const dialog = (
    <DeleteProjectDialog
      project={{ ref, name, viewerRole, hasFailedToDelete: operation?.kind === "DELETE" && state === "FAILED" }}
      isOpen={isDeleting}
      onClose={() => setDeleting(false)}
    />
  );

  if (state === "PAUSED") {
    return (
      <EmptyState
        title="This project is paused"
        actions={
          mayAct ? (
            <Button variant="primary" isPending={resume.isRunning} onPress={() => void resume.run({ ref })}>
              Resume
            </Button>
          ) : null
        }
      >
        Its data is kept. Requests to it are answered that it is paused.
        <InlineError error={resume.error} />
      </EmptyState>
    );
  }
  if (state === "FAILED") {
    return (
      <>
        <Banner
          tone="danger"
          actions={
            mayAct ? (
              <>
                <Button isPending={retry.isRunning} onPress={() => void retry.run({ ref })}>
                  Retry
                </Button>
                <Button onPress={() => setDeleting(true)}>Delete</Button>
              </>
            ) : null
          }
        >
          <strong>This project has failed.</strong> {stateReason ?? "The reason was not recorded."}
        </Banner>
        <InlineError error={retry.error} />
        <StepList operation={operation} />
        {dialog}
      </>
    );
  }
  return (
    <EmptyState title={`${STATES[state].word}…`}>
      <StepList operation={operation} />
    </EmptyState>
  );
}

function StepList({ operation }: { readonly operation: Operation | undefined }) {
  const steps = stepsOf(operation);
  if (steps.length === 0) return null;
  return <Steps label="Steps" steps={steps} />;
}
