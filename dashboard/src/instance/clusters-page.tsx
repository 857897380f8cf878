/** The PostgreSQL servers that hold shared projects: how they answer, how full they are, and whose projects they hold. */
import { Link } from "@tanstack/react-router";
import { Ellipsis, Plus } from "lucide-react";
import { useState } from "react";
import { errorBeside, fieldError } from "../graphql/errors.ts";
import { useMutation, useQuery } from "../graphql/hooks.ts";
import { ProjectStateDot } from "../projects/project-state.tsx";
import { Page, Section } from "../shell/page.tsx";
import { Button, IconButton } from "../ui/button.tsx";
import { cx } from "../ui/cx.ts";
import { DataList, type PagePlace, Pager, pageArguments } from "../ui/data-list.tsx";
import { ConfirmDialog, Dialog } from "../ui/dialog.tsx";
import { Switch, TextField } from "../ui/field.tsx";
import { formatBytes, formatNumber, plural } from "../ui/format.ts";
import { Menu } from "../ui/menu.tsx";
import { Ago, Name } from "../ui/parts.tsx";
import { Banner, EmptyState, ErrorState, InlineError, Loading, StateDot } from "../ui/state.tsx";
import { toast, toastFailure } from "../ui/toast.tsx";
import {
  ClusterProjectsDocument,
  ClustersDocument,
  type ClustersQuery,
  RegisterClusterDocument,
  UpdateClusterDocument,
} from "./generated/operations.ts";
import styles from "./instance.module.css";

type Cluster = ClustersQuery["clusters"][number];

const STATES = {
  ACTIVE: { tone: "good", word: "Active" },
  DRAINING: { tone: "busy", word: "Draining" },
  OFFLINE: { tone: "bad", word: "Offline" },
} as const;

const PAGE_SIZE = 20;

export function ClustersPage() {
  const { data, error, refetch } = useQuery(ClustersDocument, {});
  const [dialog, setDialog] = useState<{ kind: "register" } | { kind: "edit" | "drain"; cluster: Cluster } | null>(
    null,
  );
  const update = useMutation(UpdateClusterDocument);
  const clusters = data?.clusters;
  const setState = async (cluster: Cluster, state: Cluster["state"]) => {
    const outcome = await update.run({ id: cluster.id, input: { state } });
    if (outcome.error) toastFailure(outcome.error.message);
    refetch();
  };
  return (
    <Page
      title="Clusters"
      documentTitle="Clusters"
      lead="PostgreSQL servers that hold shared projects. New projects go to an active one with room."
      actions={
        <Button variant="primary" onPress={() => setDialog({ kind: "register" })}>
          <Plus aria-hidden /> Register cluster
        </Button>
      }
    >
      {error && !clusters ? <ErrorState error={error} onRetry={refetch} what="page" /> : null}
      {!clusters && !error ? <Loading what="the clusters" /> : null}
      {clusters?.length === 0 ? (
        <EmptyState title="No clusters">Register a PostgreSQL server before anybody can make a project.</EmptyState>
      ) : null}
      {clusters && clusters.length > 0 ? (
        <DataList
          label="Clusters"
          items={clusters}
          keyOf={({ id }) => id}
          columns={[
            { id: "name", title: "Name", place: "primary", cell: ({ name }) => <Name>{name}</Name> },
            {
              id: "state",
              title: "State",
              cell: ({ state, status }) =>
                status.problem ? (
                  <StateDot tone="bad">{status.problem}</StateDot>
                ) : (
                  <StateDot tone={STATES[state].tone}>{STATES[state].word}</StateDot>
                ),
            },
            { id: "version", title: "Version", isQuiet: true, cell: ({ status }) => status.version ?? "–" },
            {
              id: "address",
              title: "Address",
              isQuiet: true,
              cell: ({ host, port }) => (
                <code>
                  {host}:{port}
                </code>
              ),
            },
            {
              id: "projects",
              title: "Projects",
              cell: ({ projectCount, capacity }) => <Gauge name="Projects" value={projectCount} most={capacity} />,
            },
            {
              id: "size",
              title: "Size",
              align: "end",
              cell: ({ status }) => (status.databaseBytes == null ? "–" : formatBytes(status.databaseBytes)),
            },
            {
              id: "connections",
              title: "Connections",
              cell: ({ status }) => (
                <Gauge name="Connections" value={status.connections} most={status.maxConnections} />
              ),
            },
            {
              id: "slots",
              title: "Slots",
              cell: ({ status }) => (
                <Gauge name="Replication slots" value={status.replicationSlots} most={status.maxReplicationSlots} />
              ),
            },
            {
              id: "answer",
              title: "Answer",
              align: "end",
              isQuiet: true,
              cell: ({ status }) => (status.answerMs == null ? "–" : `${Math.max(1, Math.round(status.answerMs))} ms`),
            },
            {
              id: "more",
              title: "Actions",
              isTitleHidden: true,
              isNarrow: true,
              place: "corner",
              cell: (cluster) => (
                <Menu
                  label={`Actions of ${cluster.name}`}
                  trigger={
                    <IconButton label={`Actions of ${cluster.name}`}>
                      <Ellipsis aria-hidden />
                    </IconButton>
                  }
                  sections={[
                    {
                      items: [
                        { id: "edit", label: "Change…", onAction: () => setDialog({ kind: "edit", cluster }) },
                        cluster.state === "ACTIVE"
                          ? { id: "drain", label: "Drain…", onAction: () => setDialog({ kind: "drain", cluster }) }
                          : {
                              id: "activate",
                              label: "Take new projects",
                              onAction: () => void setState(cluster, "ACTIVE"),
                            },
                      ],
                    },
                  ]}
                />
              ),
            },
          ]}
        />
      ) : null}
      {clusters?.map((cluster) =>
        cluster.leftovers.length > 0 ? (
          <Banner key={cluster.id} tone="warning">
            {cluster.name} may still hold what {plural(cluster.leftovers.length, "project")} deleted by force left
            behind: {cluster.leftovers.join(", ")}. It is removed as soon as the cluster can be reached.
          </Banner>
        ) : null,
      )}
      {clusters && clusters.length > 0 ? <ClusterProjects clusters={clusters} /> : null}
      {dialog?.kind === "register" ? (
        <ClusterDialog onClose={() => setDialog(null)} onSaved={refetch} />
      ) : dialog?.kind === "edit" ? (
        <ClusterDialog cluster={dialog.cluster} onClose={() => setDialog(null)} onSaved={refetch} />
      ) : dialog?.kind === "drain" ? (
        <ConfirmDialog
          title={`Drain ${dialog.cluster.name}?`}
          isOpen
          onClose={() => setDialog(null)}
          confirmLabel="Drain cluster"
          isDanger={false}
          isRunning={update.isRunning}
          error={update.error}
          onConfirm={async () => {
            await setState(dialog.cluster, "DRAINING");
            setDialog(null);
          }}
        >
          <p>It goes on serving its {plural(dialog.cluster.projectCount, "project")} and takes no new ones.</p>
        </ConfirmDialog>
      ) : null}
    </Page>
  );
}

function Gauge({
  name,
  value,
  most,
}: {
  readonly name: string;
  readonly value: number | null | undefined;
  readonly most: number | null | undefined;
}) {
  if (value == null || most == null) return <>–</>;
  return (
    <span className={cx(styles.gauge, most > 0 && value / most > 0.9 && styles.full)}>
      {formatNumber(value)}/{formatNumber(most)}
      <progress aria-label={`${name}: ${value} of ${most}`} value={value} max={Math.max(most, 1)} />
    </span>
  );
}

function ClusterProjects({ clusters }: { readonly clusters: readonly Cluster[] }) {
  const [place, setPlace] = useState<PagePlace>({});
  const { data, error, refetch } = useQuery(ClusterProjectsDocument, pageArguments(place, PAGE_SIZE));
  return clusters.map(({ id, name }) => {
    const projects = data?.clusters.find((cluster) => cluster.id === id)?.projects;
    return (
      <Section
        key={id}
        title={`Projects of ${name}`}
        actions={projects ? <Pager pageInfo={projects.pageInfo} onMove={setPlace} /> : null}
      >
        {error && !projects ? <ErrorState error={error} onRetry={refetch} what="page" /> : null}
        {!projects && !error ? <Loading what="the projects" lines={3} /> : null}
        {projects?.edges.length === 0 ? <p>No projects.</p> : null}
        {projects && projects.edges.length > 0 ? (
          <DataList
            label={`Projects of ${name}`}
            items={projects.edges.map(({ node }) => node)}
            keyOf={({ ref }) => ref}
            columns={[
              {
                id: "name",
                title: "Name",
                place: "primary",
                cell: (project) => (
                  <Link to="/projects/$ref" params={{ ref: project.ref }}>
                    <Name>{project.name}</Name>
                  </Link>
                ),
              },
              { id: "state", title: "State", cell: (project) => <ProjectStateDot project={project} /> },
              {
                id: "organization",
                title: "Organization",
                isQuiet: true,
                cell: ({ organization }) => <Name>{organization.name}</Name>,
              },
              { id: "ref", title: "Ref", isQuiet: true, cell: ({ ref }) => <code>{ref}</code> },
              {
                id: "changed",
                title: "Changed",
                isQuiet: true,
                isNarrow: true,
                cell: ({ updatedAt }) => <Ago at={updatedAt} />,
              },
            ]}
          />
        ) : null}
      </Section>
    );
  });
}

/** Registering tests the connection first; so does a change of the address. */
function ClusterDialog({
  cluster,
  onClose,
  onSaved,
}: {
  readonly cluster?: Cluster;
  readonly onClose: () => void;
  readonly onSaved: () => void;
}) {
  const [name, setName] = useState(cluster?.name ?? "");
  const [host, setHost] = useState(cluster?.host ?? "");
  const [port, setPort] = useState(String(cluster?.port ?? 5432));
  const [adminUser, setAdminUser] = useState(cluster?.adminUser ?? "postgres");
  const [adminPassword, setAdminPassword] = useState("");
  const [ssl, setSsl] = useState(cluster?.ssl ?? false);
  const [capacity, setCapacity] = useState(String(cluster?.capacity ?? 1000));
  const register = useMutation(RegisterClusterDocument);
  const update = useMutation(UpdateClusterDocument);
  const error = register.error ?? update.error;
  const submit = async () => {
    const address = { host, port: Number(port), adminUser, ssl, capacity: Number(capacity) };
    const outcome = cluster
      ? await update.run({ id: cluster.id, input: { ...address, ...(adminPassword ? { adminPassword } : {}) } })
      : await register.run({ input: { name, adminPassword, ...address } });
    if (outcome.error) return;
    toast(cluster ? "The cluster is changed." : `${name} is registered.`);
    onSaved();
    onClose();
  };
  return (
    <Dialog
      title={cluster ? `Change ${cluster.name}` : "Register a cluster"}
      isOpen
      onClose={onClose}
      onSubmit={() => void submit()}
      actions={
        <>
          <Button onPress={onClose}>Cancel</Button>
          <Button variant="primary" type="submit" isPending={register.isRunning || update.isRunning}>
            {cluster ? "Save" : "Test and register"}
          </Button>
        </>
      }
    >
      <p>
        PostgreSQL 15 or later, with a superuser. The shared roles are made on it; its own databases stay as they are.
      </p>
      {cluster ? null : (
        <TextField label="Name" value={name} onChange={setName} autoFocus error={fieldError(error, "name")} />
      )}
      <div className={styles.fields}>
        <TextField label="Host" value={host} onChange={setHost} mono error={fieldError(error, "host")} />
        <TextField label="Port" type="number" value={port} onChange={setPort} mono error={fieldError(error, "port")} />
      </div>
      <TextField
        label="Superuser"
        value={adminUser}
        onChange={setAdminUser}
        mono
        autoComplete="off"
        error={fieldError(error, "adminUser")}
      />
      <TextField
        label="Password"
        type="password"
        autoComplete="new-password"
        value={adminPassword}
        onChange={setAdminPassword}
        error={fieldError(error, "adminPassword")}
        help={cluster ? "Left empty, the present one stays." : "Kept encrypted, never shown again."}
      />
      <TextField
        label="Capacity"
        type="number"
        value={capacity}
        onChange={setCapacity}
        mono
        error={fieldError(error, "capacity")}
        help="Most projects placed on it."
      />
      <Switch isSelected={ssl} onChange={setSsl}>
        TLS
      </Switch>
      <InlineError error={errorBeside(error, "name", "host", "port", "adminUser", "adminPassword", "capacity")} />
    </Dialog>
  );
}
