/** The frame of a project's pages: follows its state live, and says when there is nothing to show or not for whom. */
import { type LinkProps, Outlet, useMatches, useNavigate, useParams } from "@tanstack/react-router";
import { createContext, type ReactNode, use, useRef, useState } from "react";
import { useQuery, useSubscription } from "../graphql/hooks.ts";
import { ProjectStatePanel } from "../projects/project-state-panel.tsx";
import { ButtonLink } from "../ui/button.tsx";
import { EmptyState, ErrorState, Loading } from "../ui/state.tsx";
import { ProjectFrameDocument, type ProjectFrameQuery, ProjectStatusDocument } from "./generated/operations.ts";
import { Main } from "./layouts.tsx";
import { PROJECT_PAGES, Rail } from "./rail.tsx";
import styles from "./shell.module.css";
import { useShortcuts } from "./shortcuts.ts";
import { ROLE_NAMES, type Role, roleAllows } from "./viewer.ts";

export type FrameProject = ProjectFrameQuery["project"];

const ProjectContext = createContext<FrameProject | null>(null);

/** The project whose pages are shown. */
export function useProject(): FrameProject {
  const project = use(ProjectContext);
  if (!project) throw new Error("this page belongs to a project");
  return project;
}

export function ProjectLayout() {
  const { ref = "" } = useParams({ strict: false });
  const { data, error, refetch } = useQuery(ProjectFrameDocument, { ref });
  // Once it is deleted the API no longer knows it: what was pushed last is what is true.
  const [deletedRef, setDeletedRef] = useState<string | null>(null);
  const lastSeen = useRef<{ ref: string; state: string } | null>(null);
  if (data) lastSeen.current = { ref, state: data.project.state };
  const isGone = error?.code === "NOT_FOUND" && lastSeen.current?.ref === ref && lastSeen.current.state === "DELETING";
  const isDeleted = deletedRef === ref || isGone;
  useSubscription(
    ProjectStatusDocument,
    { ref },
    {
      onData: ({ projectStatus }) => {
        if (projectStatus.state === "DELETED") setDeletedRef(ref);
      },
      onEnd: refetch,
      pause: !data || isDeleted,
    },
  );
  const navigate = useNavigate();
  const go = (to: NonNullable<LinkProps["to"]>) => () => void navigate({ to, params: { ref } as never });
  useShortcuts({
    goHome: go("/projects/$ref"),
    goTables: go("/projects/$ref/tables"),
    goSql: go("/projects/$ref/sql"),
    goUsers: go("/projects/$ref/users"),
    goSettings: go("/projects/$ref/settings/general"),
    goMembers: () => {
      if (data) void navigate({ to: "/orgs/$slug/members", params: { slug: data.project.organization.slug } });
    },
  });
  const width = useMatches({ select: (matches) => matches.at(-1)?.staticData.width ?? "narrow" });

  if (isDeleted) {
    return (
      <div className={styles.body}>
        <Main>
          <EmptyState title="This project is deleted" actions={<ButtonLink to="/projects">Projects</ButtonLink>}>
            Its database, users, files and keys are gone.
          </EmptyState>
        </Main>
      </div>
    );
  }
  if (error && (!data || error.code === "NOT_FOUND")) {
    return (
      <div className={styles.body}>
        <Main>
          <ErrorState error={error} onRetry={refetch} what="project" />
        </Main>
      </div>
    );
  }
  if (!data) {
    return (
      <div className={styles.body}>
        <Main>
          <Loading what="the project" />
        </Main>
      </div>
    );
  }
  const { project } = data;
  return (
    <ProjectContext value={project}>
      <div className={styles.body}>
        <Rail label="Project" groups={PROJECT_PAGES} viewerRole={project.viewerRole} />
        <Main width={width}>
          <Outlet />
        </Main>
      </div>
    </ProjectContext>
  );
}

/** Around what needs the project's database: shows the state and its way out instead while it is not ACTIVE. */
export function NeedsActive({ children }: { readonly children: ReactNode }) {
  const project = useProject();
  return project.state === "ACTIVE" || project.state === "RESTARTING" ? (
    children
  ) : (
    <ProjectStatePanel project={project} />
  );
}

/** Around what a role may see: says whom to ask instead. */
export function NeedsRole({
  least,
  what,
  children,
}: {
  readonly least: Role;
  readonly what: string;
  readonly children: ReactNode;
}) {
  const { viewerRole, organization } = useProject();
  if (roleAllows(viewerRole, least)) return children;
  return (
    <EmptyState title="Not for your role">
      Your role ({ROLE_NAMES[viewerRole]}) cannot see {what}. Ask an admin of {organization.name}.
    </EmptyState>
  );
}
