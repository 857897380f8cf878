/** A project's state in words, and the run that is under way. */
import type { ProjectFrameQuery } from "../shell/generated/operations.ts";
import { type DotTone, StateDot } from "../ui/state.tsx";

export type ProjectState = ProjectFrameQuery["project"]["state"];
export type Operation = ProjectFrameQuery["project"]["operations"][number];

export const STATES: Readonly<Record<ProjectState, { readonly word: string; readonly tone: DotTone }>> = {
  ACTIVE: { word: "Active", tone: "good" },
  CREATING: { word: "Creating", tone: "busy" },
  PAUSING: { word: "Pausing", tone: "busy" },
  PAUSED: { word: "Paused", tone: "paused" },
  RESUMING: { word: "Resuming", tone: "busy" },
  RESTARTING: { word: "Restarting", tone: "busy" },
  DELETING: { word: "Deleting", tone: "busy" },
  DELETED: { word: "Deleted", tone: "unknown" },
  FAILED: { word: "Failed", tone: "bad" },
};

export function ProjectStateDot({
  project,
}: {
  readonly project: { readonly state: ProjectState; readonly operations: readonly Operation[] };
}) {
  const { word, tone } = STATES[project.state];
  const [operation] = project.operations;
  const step = tone === "busy" && operation?.state === "RUNNING" ? operation.step : null;
  return (
    <StateDot tone={tone}>
      {word}
      {step ? ` · ${stepName(step).toLowerCase()}` : ""}
    </StateDot>
  );
}

/** `create_database` → `Create database`. */
export function stepName(step: string): string {
  const words = step.replaceAll(/[_-]/g, " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
