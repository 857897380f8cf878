/** The list itself: a row says what it shows, also why a project has failed and what can be done about it. */
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { useMutation } from "../graphql/hooks.ts";
import { roleAllows } from "../shell/viewer.ts";
import { Button } from "../ui/button.tsx";
import { copyText } from "../ui/copy.tsx";
import { type Column, DataList } from "../ui/data-list.tsx";
import { RowCheckbox } from "../ui/field.tsx";
import { formatNumber } from "../ui/format.ts";
import { RowMenu } from "../ui/menu.tsx";
import { Ago, Name } from "../ui/parts.tsx";
import { toast, toastFailure } from "../ui/toast.tsx";
import { DeleteProjectDialog } from "./delete-project-dialog.tsx";
import {
  PauseProjectDocument,
  ResumeProjectDocument,
  RetryProjectDocument,
  type ViewerProjectsQuery,
} from "./generated/operations.ts";
import { ProjectStateDot } from "./project-state.tsx";
import styles from "./projects.module.css";

export type ListedProject = NonNullable<ViewerProjectsQuery["viewer"]>["projects"]["edges"][number]["node"];

export interface ProjectListProps {
  readonly projects: readonly ListedProject[];
  readonly showsOrganization: boolean;
  readonly selected: ReadonlySet<string>;
  readonly onSelect: (selected: ReadonlySet<string>) => void;
}

export function ProjectList({ projects, showsOrganization, selected, onSelect }: ProjectListProps) {
  const [deleting, setDeleting] = useState<ListedProject | null>(null);
  const toggle = (ref: string, on: boolean) => {
    const next = new Set(selected);
    if (on) next.add(ref);
    else next.delete(ref);
    onSelect(next);
  };
  const columns: Column<ListedProject>[] = [
    {
      id: "select",
      title: "Select",
      place: "check",
      isTitleHidden: true,
      isNarrow: true,
      cell: ({ ref, name }) => (
        <RowCheckbox label={`Select ${name}`} isSelected={selected.has(ref)} onChange={(on) => toggle(ref, on)} />
      ),
    },
    {
      id: "name",
      title: "Name",
      place: "primary",
      cell: ({ ref, name }) => (
        <Link to="/projects/$ref" params={{ ref }}>
          <Name>{name}</Name>
        </Link>
      ),
    },
    {
      id: "state",
      title: "State",
      cell: (project) =>
        project.state === "FAILED" ? (
          <span className={styles.failed}>
            <ProjectStateDot project={project} />
            <span>{project.stateReason}</span>
            <FailedActions project={project} onDelete={() => setDeleting(project)} />
          </span>
        ) : (
          <ProjectStateDot project={project} />
        ),
    },
    ...(showsOrganization
      ? [
          {
            id: "organization",
            title: "Organization",
            isQuiet: true,
            cell: ({ organization }: ListedProject) => <Name>{organization.name}</Name>,
          },
        ]
      : []),
    { id: "plan", title: "Plan", isQuiet: true, cell: ({ plan }) => (plan === "SHARED" ? "Shared" : "Dedicated") },
    { id: "ref", title: "Ref", isQuiet: true, cell: ({ ref }) => <code>{ref}</code> },
    {
      id: "requests",
      title: "Requests, 24 h",
      isQuiet: true,
      isNarrow: true,
      align: "end",
      cell: ({ traffic }) => formatNumber(traffic.requests),
    },
    { id: "changed", title: "Changed", isQuiet: true, isNarrow: true, cell: ({ updatedAt }) => <Ago at={updatedAt} /> },
    {
      id: "more",
      title: "Actions",
      isTitleHidden: true,
      isNarrow: true,
      place: "corner",
      cell: (project) => <ProjectMenu project={project} onDelete={() => setDeleting(project)} />,
    },
  ];
  return (
    <>
      <DataList label="Projects" items={projects} keyOf={({ ref }) => ref} columns={columns} />
      {deleting ? (
        <DeleteProjectDialog
          project={{
            ref: deleting.ref,
            name: deleting.name,
            viewerRole: deleting.organization.viewerRole,
            hasFailedToDelete: deleting.state === "FAILED" && deleting.operations[0]?.kind === "DELETE",
          }}
          isOpen
          onClose={() => setDeleting(null)}
        />
      ) : null}
    </>
  );
}

function FailedActions({ project, onDelete }: { readonly project: ListedProject; readonly onDelete: () => void }) {
  const retry = useMutation(RetryProjectDocument);
  if (!roleAllows(project.organization.viewerRole, "ADMIN")) return null;
  return (
    <>
      <Button
        size="small"
        isPending={retry.isRunning}
        onPress={async () => {
          const { error } = await retry.run({ ref: project.ref });
          if (error) toastFailure(error.message);
        }}
      >
        Retry
      </Button>
      <Button size="small" onPress={onDelete}>
        Delete
      </Button>
    </>
  );
}

function ProjectMenu({ project, onDelete }: { readonly project: ListedProject; readonly onDelete: () => void }) {
  const { ref, name, state, url } = project;
  const navigate = useNavigate();
  const pause = useMutation(PauseProjectDocument);
  const resume = useMutation(ResumeProjectDocument);
  const mayAct = roleAllows(project.organization.viewerRole, "ADMIN");
  const run = async (mutation: typeof pause | typeof resume) => {
    const { error } = await mutation.run({ ref });
    if (error) toastFailure(`${name}: ${error.message}`);
  };
  return (
    <RowMenu
      label={`Actions of ${name}`}
      sections={() => [
        {
          items: [
            { id: "open", label: "Open", onAction: () => void navigate({ to: "/projects/$ref", params: { ref } }) },
            {
              id: "url",
              label: "Copy URL",
              onAction: async () => {
                if (await copyText(url)) toast("The URL is copied.");
              },
            },
          ],
        },
        ...(mayAct
          ? [
              {
                items: [
                  {
                    id: "pause",
                    label: "Pause",
                    isDisabled: state !== "ACTIVE",
                    help: state === "ACTIVE" ? undefined : "Only an active project can be paused.",
                    onAction: () => void run(pause),
                  },
                  {
                    id: "resume",
                    label: "Resume",
                    isDisabled: state !== "PAUSED",
                    help: state === "PAUSED" ? undefined : "Only a paused project can be resumed.",
                    onAction: () => void run(resume),
                  },
                ],
              },
              { items: [{ id: "delete", label: "Delete…", isDanger: true, onAction: onDelete }] },
            ]
          : []),
      ]}
    />
  );
}
