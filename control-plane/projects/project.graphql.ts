/** Projects: the type, its queries, and what is done to a project as a whole. Features add fields to the type. */
import { ViewerType } from "../accounts/account.graphql.ts";
import { type AccountRow, parseName } from "../accounts/account-table.ts";
import { recordAudit } from "../audit/record-audit.ts";
import { builder } from "../builder.ts";
import { projectDatabaseName, projectUserName } from "../clusters/names.ts";
import { touchProject } from "../config-snapshots/touch.ts";
import { pageComplexity, resolveConnection } from "../connections.ts";
import type { GraphqlContext } from "../context.ts";
import type { Queryable } from "../database.ts";
import { Conflict, NotFound } from "../errors.ts";
import { publishEvent } from "../events.ts";
import { OrganizationType, RoleEnum } from "../organizations/organization.graphql.ts";
import { requireOrganization, requireProject } from "../permissions.ts";
import { PROJECT_STATES } from "../provisioning/lifecycle.ts";
import type { OperationKind } from "../provisioning/operation.ts";
import { createProject } from "./create-project.ts";
import { listOperations, OperationType } from "./operation.graphql.ts";
import { countProjects, listProjects, type ProjectFilter, type ProjectScope } from "./project-list.ts";
import { findProject, type ProjectRow, setProjectName } from "./project-row.ts";

export const ProjectStateEnum = builder.enumType("ProjectState", {
  description: "Those that end in -ING pass by themselves. FAILED is left by retryProject or deleteProject.",
  values: PROJECT_STATES,
});

export const PlanEnum = builder.enumType("Plan", {
  values: {
    SHARED: { value: "shared", description: "A database of its own in a shared cluster, served by shared services." },
    DEDICATED: { value: "dedicated", description: "Containers of its own." },
  },
});

interface DatabaseAddress {
  readonly host: string;
  readonly port: number;
  readonly name: string;
  readonly user: string;
}

const ProjectDatabaseType = builder.objectRef<DatabaseAddress>("ProjectDatabase").implement({
  description: "Where psql and migrations connect to. revealDatabaseUrl gives the password as well.",
  fields: (t) => ({
    host: t.exposeString("host"),
    port: t.exposeInt("port"),
    name: t.exposeString("name"),
    user: t.exposeString("user"),
  }),
});

export const ProjectType = builder.objectRef<ProjectRow>("Project").implement({
  description: "One tenant: a PostgreSQL database with REST, auth, storage and realtime in front of it.",
  fields: (t) => ({
    id: t.exposeID("ref", { description: "The ref again, for caches that go by ids." }),
    ref: t.exposeString("ref", { description: "20 lower-case letters; also the host label." }),
    name: t.exposeString("name"),
    plan: t.expose("plan", { type: PlanEnum }),
    state: t.expose("state", { type: ProjectStateEnum }),
    stateReason: t.exposeString("stateReason", { nullable: true, description: "Why it is FAILED." }),
    url: t.string({
      description: "What supabase-js takes, by path; works wherever the gateway is reachable.",
      resolve: ({ ref }, _args, { publicUrls }) => publicUrls.projectUrl(ref),
    }),
    hostUrl: t.string({
      description: "The same by host name: an origin of the project's own in browsers.",
      resolve: ({ ref }, _args, { publicUrls }) => publicUrls.hostUrl(ref),
    }),
    createdAt: t.expose("createdAt", { type: "DateTime" }),
    updatedAt: t.expose("updatedAt", { type: "DateTime", description: "Last change of the project or its state." }),
    viewerRole: t.field({
      type: RoleEnum,
      complexity: 5,
      description: "The asking account's own role in the project's organization.",
      resolve: async ({ organizationId }, _args, context) =>
        (await requireOrganization(context, organizationId, "organization.read")).viewerRole,
    }),
    organization: t.field({
      type: OrganizationType,
      complexity: 5,
      resolve: ({ organizationId }, _args, context) =>
        requireOrganization(context, organizationId, "organization.read"),
    }),
    operations: t.field({
      type: [OperationType],
      description: "Its provisioning runs, newest first.",
      args: { first: t.arg.int({ defaultValue: 10, description: "At most 50." }) },
      complexity: ({ first }) => ({ field: 5, multiplier: Math.min(first ?? 10, 50) }),
      resolve: ({ ref }, { first }, { database }) => listOperations(database, ref, Math.min(Math.max(first, 0), 50)),
    }),
    database: t.field({
      type: ProjectDatabaseType,
      complexity: 5,
      nullable: true,
      description: "Null until it has a place. Role DEVELOPER and up.",
      resolve: async ({ ref }, _args, context) => {
        const project = await requireProject(context, ref, "sql.run");
        return findDatabaseAddress(context.database, project);
      },
    }),
  }),
});

export const ProjectConnection = builder.connectionObject({ type: ProjectType, name: "ProjectConnection" });

builder.objectField(OrganizationType, "projects", (t) =>
  t.connection(
    {
      type: ProjectType,
      complexity: pageComplexity,
      description: "Newest first.",
      args: {
        search: t.arg.string({ required: false, description: "Part of a name, or a whole ref." }),
        states: t.arg({ type: [ProjectStateEnum], required: false }),
      },
      resolve: (organization, args, { database }) =>
        projectConnection(database, args, {
          scope: { kind: "organization", organizationId: organization.id },
          search: args.search ?? null,
          states: args.states ?? null,
        }),
    },
    ProjectConnection,
  ),
);

builder.objectField(ViewerType, "projects", (t) =>
  t.connection(
    {
      type: ProjectType,
      complexity: pageComplexity,
      description: "Of all organizations the account belongs to, of the installation for its owner; newest first.",
      args: {
        search: t.arg.string({ required: false, description: "Part of a name, or a whole ref." }),
        states: t.arg({ type: [ProjectStateEnum], required: false }),
      },
      resolve: (account, args, { database }) =>
        projectConnection(database, args, {
          scope: scopeOfAccount(account),
          search: args.search ?? null,
          states: args.states ?? null,
        }),
    },
    ProjectConnection,
  ),
);

builder.queryFields((t) => ({
  project: t.field({
    type: ProjectType,
    description: "A project of an organization the viewer belongs to.",
    args: { ref: t.arg.id() },
    resolve: (_root, { ref }, context) => requireProject(context, ref, "project.read"),
  }),
  projects: t.connection(
    {
      type: ProjectType,
      complexity: pageComplexity,
      description: "Projects of an organization, newest first.",
      args: {
        organizationId: t.arg.id(),
        search: t.arg.string({ required: false, description: "Part of a name, or a whole ref." }),
        states: t.arg({ type: [ProjectStateEnum], required: false }),
      },
      resolve: async (_root, args, context) => {
        const { id } = await requireOrganization(context, args.organizationId, "project.read");
        const scope = { kind: "organization", organizationId: id } as const;
        return projectConnection(context.database, args, {
          scope,
          search: args.search ?? null,
          states: args.states ?? null,
        });
      },
    },
    ProjectConnection,
  ),
}));

const CreateProjectInput = builder.inputType("CreateProjectInput", {
  fields: (t) => ({
    organizationId: t.id(),
    name: t.string({ description: "1 to 100 characters; need not be unique." }),
    plan: t.field({ type: PlanEnum, defaultValue: "shared" }),
    adminUser: t.boolean({
      defaultValue: true,
      description:
        "Whether the project begins with a first user (the owner's e-mail, role admin). False for applications whose first sign-up becomes the administrator.",
    }),
  }),
});

builder.mutationFields((t) => {
  const lifecycle = (kind: "pause" | "resume" | "restart", description: string) =>
    t.field({
      type: ProjectType,
      description: `${description} Role ADMIN. CONFLICT in states that do not allow it, PROJECT_BUSY while another operation runs.`,
      args: { ref: t.arg.id() },
      resolve: (_root, { ref }, context) =>
        operate(context, ref, kind, (tx) => context.provisioner.begin(tx, ref, kind)),
    });
  return {
    createProject: t.field({
      type: ProjectType,
      description: "Answers at once with state CREATING; projectStatus tells when it is ACTIVE. Role ADMIN.",
      args: { input: t.arg({ type: CreateProjectInput }) },
      resolve: (_root, { input }, context) => createProject(context, input),
    }),
    pauseProject: lifecycle("pause", "Stops serving and closes its connections; the data stays."),
    resumeProject: lifecycle("resume", "Serves a paused project again."),
    restartProject: lifecycle(
      "restart",
      "Ends its connections, gives its logins the stored passwords again and makes services read everything anew.",
    ),
    deleteProject: t.field({
      type: ProjectType,
      description:
        "Deletes the database, roles and secrets for good; also a FAILED project. Role ADMIN. CONFLICT in states that do not allow it, PROJECT_BUSY while another operation runs.",
      args: {
        ref: t.arg.id(),
        force: t.arg.boolean({
          defaultValue: false,
          description:
            "For a project whose deletion has failed, CONFLICT otherwise: should its cluster still be out of reach, the project is deleted nevertheless, and what it has there is removed once the cluster is back. Role OWNER.",
        }),
      },
      resolve: async (_root, { ref, force }, context) => {
        if (force) await requireProject(context, ref, "project.abandon");
        const kind = force ? "abandon" : "delete";
        return operate(context, ref, kind, (tx) => context.provisioner.begin(tx, ref, kind));
      },
    }),
    retryProject: t.field({
      type: ProjectType,
      description: "Begins again what brought the project to FAILED. Role ADMIN.",
      args: { ref: t.arg.id() },
      resolve: (_root, { ref }, context) => operate(context, ref, "retry", (tx) => context.provisioner.retry(tx, ref)),
    }),
    renameProject: t.field({
      type: ProjectType,
      description: "The ref and the URLs stay. Role ADMIN.",
      args: { ref: t.arg.id(), name: t.arg.string() },
      resolve: async (_root, args, context) => {
        const { ref, organizationId, state, ...project } = await requireProject(context, args.ref, "project.update");
        const name = parseName("name", args.name);
        return context.database.transaction(async (tx) => {
          await setProjectName(tx, ref, name);
          const details = { from: project.name, to: name };
          await recordAudit(tx, context, { action: "project.rename", organizationId, projectRef: ref, details });
          await touchProject(tx, ref); // project lists follow the version
          await publishEvent(tx, { topic: "project-state", ref, organizationId, state });
          return getProject(tx, ref);
        });
      },
    }),
    revealDatabaseUrl: t.string({
      description:
        "The connection string of the project's owner login, password included. Role ADMIN; the audit log notes it.",
      args: { ref: t.arg.id() },
      resolve: async (_root, args, context) => {
        const project = await requireProject(context, args.ref, "secrets.reveal");
        const address = await findDatabaseAddress(context.database, project);
        const password = await context.vault.get(context.database, project.ref, "POSTGRES_PASSWORD");
        if (!address || password === null) throw new Conflict("the project has no database yet");
        await recordAudit(context.database, context, {
          action: "project.reveal_database_url",
          organizationId: project.organizationId,
          projectRef: project.ref,
        });
        const { host, port, name, user } = address;
        return `postgresql://${user}:${encodeURIComponent(password)}@${host}:${port}/${name}`;
      },
    }),
  };
});

async function operate(
  context: GraphqlContext,
  ref: string,
  verb: string,
  begin: (tx: Queryable) => Promise<{ kind: OperationKind }>,
): Promise<ProjectRow> {
  const { organizationId } = await requireProject(context, ref, "project.lifecycle");
  return context.database.transaction(async (tx) => {
    const { kind } = await begin(tx);
    const details = verb === kind ? {} : { kind };
    await recordAudit(tx, context, { action: `project.${verb}`, organizationId, projectRef: ref, details });
    return getProject(tx, ref);
  });
}

async function getProject(tx: Queryable, ref: string): Promise<ProjectRow> {
  const project = await findProject(tx, ref);
  if (!project) throw new NotFound("project");
  return project;
}

/** What an account sees without naming an organization. */
function scopeOfAccount({ id, isInstanceOwner }: AccountRow): ProjectScope {
  return isInstanceOwner ? { kind: "installation" } : { kind: "account", accountId: id };
}

export function projectConnection(
  database: Queryable,
  args: Parameters<typeof resolveConnection>[0],
  filter: ProjectFilter,
) {
  return resolveConnection<ProjectRow>(args, {
    cursorOf: ({ ref }) => ref,
    page: (page) => listProjects(database, filter, page),
    count: () => countProjects(database, filter),
  });
}

/** Null for a project that no cluster holds (yet). */
async function findDatabaseAddress(db: Queryable, { ref, clusterId }: ProjectRow): Promise<DatabaseAddress | null> {
  if (clusterId === null) return null;
  const [cluster] = await db.query<{ host: string; port: number }>(
    `/* findDatabaseAddress */ select coalesce(public_host, host) as host, coalesce(public_port, port) as port
     from clusters where id = $1`,
    [clusterId],
  );
  return cluster ? { ...cluster, name: projectDatabaseName(ref), user: projectUserName(ref) } : null;
}
