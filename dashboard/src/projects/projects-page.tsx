/** All projects of one organization or of all, with their live states. */
import { useNavigate, useRouterState, useSearch } from "@tanstack/react-router";
import { Plus } from "lucide-react";
import { useRef, useState } from "react";
import { useMutation, useQuery, useSubscription } from "../graphql/hooks.ts";
import { Page, Toolbar } from "../shell/page.tsx";
import { keysLabel, SHORTCUTS, useShortcuts } from "../shell/shortcuts.ts";
import { roleAllows, useViewer } from "../shell/viewer.ts";
import { Button } from "../ui/button.tsx";
import { copyText } from "../ui/copy.tsx";
import { Pager, pageArguments } from "../ui/data-list.tsx";
import { DelayedSearchField, Select } from "../ui/field.tsx";
import { plural } from "../ui/format.ts";
import { EmptyState, ErrorState, Loading, Stale } from "../ui/state.tsx";
import { toast, toastFailure } from "../ui/toast.tsx";
import {
  OrganizationProjectsDocument,
  PauseProjectDocument,
  ProjectChangesDocument,
  type ProjectChangesSubscription,
  ResumeProjectDocument,
  ViewerProjectsDocument,
} from "./generated/operations.ts";
import { NewProjectDialog } from "./new-project-dialog.tsx";
import { type ListedProject, ProjectList } from "./project-list.tsx";
import { type ProjectState, STATES } from "./project-state.tsx";

const PAGE_SIZE = 50;

export function ProjectsPage() {
  const search = useSearch({ from: "/app/plain/projects" });
  const navigate = useNavigate();
  const { organizations } = useViewer();
  const organization = organizations.find(({ slug }) => slug === search.org);
  const [isCreating, setCreating] = useHashDialog("new");
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const searchInput = useRef<HTMLInputElement>(null);
  const setText = (q: string) =>
    void navigate({
      to: "/projects",
      search: { ...search, q: q || undefined, after: undefined, before: undefined } as never,
      replace: true,
    });
  const created = useRef(new Set<string>());
  const list = useProjects(organization?.id, search, created.current);
  const { data, error, isFetching, refetch } = list;
  useShortcuts({
    search: () => searchInput.current?.focus(),
    create: () => setCreating(true),
    refresh: refetch,
    clearFilters: () => setText(""),
  });

  const mayCreate = organizations.some(({ viewerRole }) => roleAllows(viewerRole, "ADMIN"));
  const newProject = mayCreate ? (
    <Button variant="primary" onPress={() => setCreating(true)}>
      <Plus aria-hidden /> New project
    </Button>
  ) : null;
  const isFiltered = Boolean(search.q || search.state);
  const projects = data?.edges.map(({ node }) => node);

  return (
    <Page
      title="Projects"
      documentTitle="Projects"
      lead={data ? `${plural(data.totalCount, "project")}${organization ? ` of ${organization.name}` : ""}` : undefined}
      actions={newProject}
    >
      <Toolbar>
        <DelayedSearchField
          label="Search by name or ref"
          placeholder={`Search by name or ref  ${keysLabel(SHORTCUTS.search.keys)}`}
          value={search.q ?? ""}
          onChange={setText}
          inputRef={searchInput}
        />
        <Select
          label="State"
          isCompact
          value={search.state ?? "any"}
          onChange={(state) =>
            void navigate({
              to: "/projects",
              search: {
                ...search,
                state: state === "any" ? undefined : state,
                after: undefined,
                before: undefined,
              } as never,
            })
          }
          choices={[
            { value: "any", label: "Any state" },
            ...(["ACTIVE", "PAUSED", "FAILED"] as const).map((state) => ({ value: state, label: STATES[state].word })),
          ]}
        />
        {selected.size > 0 && projects ? (
          <BulkActions
            projects={projects.filter(({ ref }) => selected.has(ref))}
            onDone={() => setSelected(new Set())}
          />
        ) : null}
        {data ? (
          <Pager
            pageInfo={data.pageInfo}
            onMove={(place) =>
              void navigate({
                to: "/projects",
                search: { ...search, after: undefined, before: undefined, ...place } as never,
              })
            }
          />
        ) : null}
      </Toolbar>
      {error && !data ? <ErrorState error={error} onRetry={refetch} what="organization" /> : null}
      {!data && !error ? <Loading what="the projects" /> : null}
      {projects?.length === 0 ? (
        isFiltered ? (
          <EmptyState
            title={search.q ? `Nothing matches “${search.q}”` : "No project is in this state"}
            actions={
              <Button
                onPress={() => {
                  setText("");
                  void navigate({ to: "/projects", search: search.org ? { org: search.org } : {} });
                }}
              >
                Clear filters
              </Button>
            }
          />
        ) : (
          <EmptyState title="No projects yet" actions={newProject}>
            A project is a PostgreSQL database with REST, auth and keys; it takes a second.
          </EmptyState>
        )
      ) : null}
      {projects && projects.length > 0 ? (
        <Stale isStale={isFetching && Boolean(error)}>
          <ProjectList
            projects={projects}
            showsOrganization={!organization}
            selected={selected}
            onSelect={setSelected}
          />
        </Stale>
      ) : null}
      {isCreating ? (
        <NewProjectDialog
          organizationId={organization?.id}
          onClose={() => setCreating(false)}
          onCreated={(ref) => {
            created.current.add(ref);
            setCreating(false);
            refetch();
          }}
        />
      ) : null}
    </Page>
  );
}

/** One page of the list, with news of the projects that were created here; changes that are pushed show in place, and what is not on the page reads it again. */
function useProjects(
  organizationId: string | undefined,
  { q, state, after, before }: { q?: string; state?: string; after?: string; before?: string },
  created: Set<string>,
) {
  const variables = {
    ...pageArguments({ after, before }, PAGE_SIZE),
    search: q ?? null,
    states: state && state in STATES ? [state as ProjectState] : null,
  };
  const ofViewer = useQuery(ViewerProjectsDocument, variables, { pause: organizationId !== undefined });
  const ofOrganization = useQuery(
    OrganizationProjectsDocument,
    { ...variables, organizationId: organizationId ?? "" },
    { pause: organizationId === undefined },
  );
  const list = organizationId === undefined ? ofViewer : ofOrganization;
  const data = organizationId === undefined ? ofViewer.data?.viewer?.projects : ofOrganization.data?.projects;
  const navigate = useNavigate();
  const open = (ref: string) => void navigate({ to: "/projects/$ref", params: { ref } });
  const known = useRef(new Map<string, ProjectState>());
  known.current = new Map(data?.edges.map(({ node }) => [node.ref, node.state]));
  useSubscription(
    ProjectChangesDocument,
    { organizationId: organizationId ?? null },
    {
      onData: ({ projects }) => {
        for (const project of projects) {
          if (created.has(project.ref) && announce(project, open)) created.delete(project.ref);
        }
        const isMoved =
          projects.length === 0 || projects.some(({ ref, state }) => !known.current.has(ref) || state === "DELETED");
        if (isMoved) list.refetch();
      },
      onEnd: list.refetch,
    },
  );
  return { ...list, data };
}

type ChangedProject = Pick<ProjectChangesSubscription["projects"][number], "name" | "ref" | "state" | "url">;

/** How a creation has ended; false while it goes on. */
function announce({ name, ref, state, url }: ChangedProject, open: (ref: string) => void): boolean {
  if (state === "ACTIVE") {
    toast(`${name} is active.`, [
      { label: "Open", onAction: () => open(ref) },
      { label: "Copy URL", onAction: () => void copyText(url) },
    ]);
  }
  if (state === "FAILED") toastFailure(`${name} has failed.`);
  return state === "ACTIVE" || state === "FAILED";
}

function BulkActions({
  projects,
  onDone,
}: {
  readonly projects: readonly ListedProject[];
  readonly onDone: () => void;
}) {
  const pause = useMutation(PauseProjectDocument);
  const resume = useMutation(ResumeProjectDocument);
  const active = projects.filter(({ state }) => state === "ACTIVE");
  const paused = projects.filter(({ state }) => state === "PAUSED");
  const runAll = async (
    refs: readonly string[],
    run: (variables: { ref: string }) => Promise<{ error: { message: string } | null }>,
  ) => {
    const outcomes = await Promise.all(refs.map((ref) => run({ ref })));
    const [failure] = outcomes.flatMap(({ error }) => (error ? [error] : []));
    if (failure) toastFailure(failure.message);
    onDone();
  };
  return (
    <>
      <span>{plural(projects.length, "project")} selected</span>
      <Button
        isDisabled={active.length === 0}
        onPress={() =>
          void runAll(
            active.map(({ ref }) => ref),
            pause.run,
          )
        }
      >
        Pause
      </Button>
      <Button
        isDisabled={paused.length === 0}
        onPress={() =>
          void runAll(
            paused.map(({ ref }) => ref),
            resume.run,
          )
        }
      >
        Resume
      </Button>
    </>
  );
}

/** A dialog that the address can open: `/projects#new`. */
function useHashDialog(name: string): [boolean, (open: boolean) => void] {
  const hash = useRouterState({ select: (state) => state.location.hash });
  const navigate = useNavigate();
  return [
    hash === name,
    (open) =>
      void navigate({ to: ".", search: true, hash: open ? name : "", replace: true } as Parameters<typeof navigate>[0]),
  ];
}
