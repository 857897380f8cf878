/** A project's home: how it is, where it is reached, its keys, what it uses, what happened last. */
import { Cable, Ellipsis } from "lucide-react";
import { useState } from "react";
import { type OperationText, useMutation, useQuery } from "../graphql/hooks.ts";
import { DeleteProjectDialog } from "../projects/delete-project-dialog.tsx";
import { PauseProjectDocument, RestartProjectDocument } from "../projects/generated/operations.ts";
import { ProjectStatePanel } from "../projects/project-state-panel.tsx";
import { Boundary } from "../shell/boundary.tsx";
import { Page, Section } from "../shell/page.tsx";
import { useProject } from "../shell/project-layout.tsx";
import { roleAllows } from "../shell/viewer.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { Copyable } from "../ui/copy.tsx";
import { ConfirmDialog } from "../ui/dialog.tsx";
import { Menu } from "../ui/menu.tsx";
import { Ago, KeyValue, Name } from "../ui/parts.tsx";
import { ErrorState, Loading } from "../ui/state.tsx";
import { AdminPasswordBanner } from "./admin-password.tsx";
import { ConnectDialog } from "./connect-dialog.tsx";
import { ProjectAccessDocument, ProjectActivityDocument, ProjectHomeDocument } from "./generated/operations.ts";
import { HealthSection } from "./health.tsx";
import styles from "./home.module.css";
import { PublicKeys } from "./keys.tsx";

export function HomePage() {
  const project = useProject();
  const { ref, name, viewerRole } = project;
  const isDeveloper = roleAllows(viewerRole, "DEVELOPER");
  const isRunning = project.state === "ACTIVE" || project.state === "RESTARTING";
  const { data, error, refetch } = useQuery(ProjectHomeDocument, { ref });
  const access = useQuery(ProjectAccessDocument, { ref }, { pause: !isDeveloper || project.state === "CREATING" });
  const [isConnecting, setConnecting] = useState(false);

  return (
    <Page
      title={<Name>{name}</Name>}
      documentTitle={name}
      lead={
        data
          ? `${data.project.plan === "SHARED" ? "Shared" : "Dedicated"} project of ${data.project.organization.name}`
          : undefined
      }
      actions={
        <>
          {isRunning ? (
            <Button variant="primary" onPress={() => setConnecting(true)}>
              <Cable aria-hidden /> Connect
            </Button>
          ) : null}
          {roleAllows(viewerRole, "ADMIN") ? <LifecycleMenu /> : null}
        </>
      }
    >
      {isRunning ? null : <ProjectStatePanel project={project} />}
      {isRunning && access.data ? (
        <AdminPasswordBanner
          projectRef={ref}
          adminUser={access.data.project.adminUser}
          viewerRole={viewerRole}
          onTaken={access.refetch}
        />
      ) : null}
      {error && !data ? <ErrorState error={error} onRetry={refetch} what="project" /> : null}
      {!data && !error ? <Loading what={`the project ${name}`} /> : null}
      {data ? (
        <Section title="Address">
          <KeyValue
            rows={[
              ["URL", <Copyable key="url" name="URL" value={data.project.url} />],
              ["Host URL", <Copyable key="host" name="host URL" value={data.project.hostUrl} />],
              ["Ref", <Copyable key="ref" name="ref" value={ref} />],
              access.data?.project.database
                ? [
                    "Database",
                    <Copyable
                      key="database"
                      name="database address"
                      value={`${access.data.project.database.host}:${access.data.project.database.port}/${access.data.project.database.name}`}
                    />,
                  ]
                : null,
            ]}
          />
        </Section>
      ) : null}
      {access.data ? (
        <Section title="API keys">
          <PublicKeys projectRef={ref} keys={access.data.project.apiKeys} viewerRole={viewerRole} />
        </Section>
      ) : null}
      {isRunning ? (
        <Boundary what="the health of the project">
          <HealthSection projectRef={ref} projectName={name} />
        </Boundary>
      ) : null}
      {roleAllows(viewerRole, "ADMIN") ? (
        <Boundary what="the audit log">
          <Activity projectRef={ref} />
        </Boundary>
      ) : null}
      {isConnecting && data ? (
        <ConnectDialog
          project={data.project}
          access={access.data?.project}
          viewerRole={viewerRole}
          onClose={() => setConnecting(false)}
        />
      ) : null}
    </Page>
  );
}

function Activity({ projectRef }: { readonly projectRef: string }) {
  const { data } = useQuery(ProjectActivityDocument, { ref: projectRef });
  const entries = data?.project.auditLog.edges.map(({ node }) => node) ?? [];
  if (entries.length === 0) return null;
  return (
    <Section title="Last changes">
      <ul className={styles.activity}>
        {entries.map(({ id, at, actor, action }) => (
          <li key={id}>
            <span>
              <code>{action}</code>
            </span>
            <small>
              <Name>{actor}</Name>
            </small>
            <small>
              <Ago at={at} />
            </small>
          </li>
        ))}
      </ul>
    </Section>
  );
}

type Deed = "pause" | "restart" | "delete";

function LifecycleMenu() {
  const project = useProject();
  const { ref, name, state, viewerRole, operations } = project;
  const [asked, setAsked] = useState<Deed | null>(null);
  const isActive = state === "ACTIVE";
  return (
    <>
      <Menu
        label="Project actions"
        trigger={
          <IconButton label="Project actions">
            <Ellipsis aria-hidden />
          </IconButton>
        }
        sections={[
          {
            items: [
              {
                id: "pause",
                label: "Pause…",
                isDisabled: !isActive,
                help: isActive ? undefined : "Only an active project can be paused.",
                onAction: () => setAsked("pause"),
              },
              {
                id: "restart",
                label: "Restart…",
                isDisabled: !isActive,
                help: isActive ? undefined : "Only an active project can be restarted.",
                onAction: () => setAsked("restart"),
              },
            ],
          },
          { items: [{ id: "delete", label: "Delete…", isDanger: true, onAction: () => setAsked("delete") }] },
        ]}
      />
      <DeedDialog
        title={`Pause ${name}?`}
        label="Pause project"
        isOpen={asked === "pause"}
        onClose={() => setAsked(null)}
        document={PauseProjectDocument}
        projectRef={ref}
      >
        Requests to it are answered that it is paused, and its connections are closed. The data stays; resuming takes a
        moment.
      </DeedDialog>
      <DeedDialog
        title={`Restart ${name}?`}
        label="Restart project"
        isOpen={asked === "restart"}
        onClose={() => setAsked(null)}
        document={RestartProjectDocument}
        projectRef={ref}
      >
        Its database connections are ended and its services read everything anew. Requests under way may fail; it takes
        a second or two.
      </DeedDialog>
      <DeleteProjectDialog
        project={{ ref, name, viewerRole, hasFailedToDelete: state === "FAILED" && operations[0]?.kind === "DELETE" }}
        isOpen={asked === "delete"}
        onClose={() => setAsked(null)}
      />
    </>
  );
}

function DeedDialog({
  title,
  label,
  isOpen,
  onClose,
  document,
  projectRef,
  children,
}: {
  readonly title: string;
  readonly label: string;
  readonly isOpen: boolean;
  readonly onClose: () => void;
  readonly document: OperationText<unknown, { ref: string }>;
  readonly projectRef: string;
  readonly children: string;
}) {
  const deed = useMutation(document);
  return (
    <ConfirmDialog
      title={title}
      isOpen={isOpen}
      onClose={() => {
        deed.forgetError();
        onClose();
      }}
      confirmLabel={label}
      isDanger={false}
      isRunning={deed.isRunning}
      error={deed.error}
      onConfirm={async () => {
        const { error } = await deed.run({ ref: projectRef });
        if (!error) onClose();
      }}
    >
      <p>{children}</p>
    </ConfirmDialog>
  );
}
