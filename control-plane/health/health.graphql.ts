/** How a project is, and how much it uses. */
import { builder } from "../builder.ts";
import { requireProject } from "../permissions.ts";
import { ProjectType } from "../projects/project.graphql.ts";
import type { DatabaseHealth } from "./check-database.ts";
import type { ProjectHealth, ProjectUsage } from "./health-checks.ts";
import type { ServiceHealth } from "./probe-services.ts";

/** Each opens a session and asks four services: a page of hundreds is refused. */
const COMPLEXITY = 30;

const HealthStatusEnum = builder.enumType("HealthStatus", {
  values: {
    HEALTHY: { value: "healthy", description: "The database answers, and no service is known to be unwell." },
    DEGRADED: { value: "degraded", description: "The database answers; a service does not, or with failures." },
    UNREACHABLE: { value: "unreachable", description: "The database does not take the services' login." },
    NOT_RUNNING: { value: "not_running", description: "The project is not ACTIVE." },
  } as const,
});

const ServiceStatusEnum = builder.enumType("ServiceStatus", {
  values: {
    HEALTHY: { value: "healthy" },
    UNHEALTHY: { value: "unhealthy" },
    UNKNOWN: { value: "unknown", description: "The control plane cannot reach the gateway." },
  } as const,
});

const DatabaseHealthType = builder.objectRef<DatabaseHealth>("DatabaseHealth").implement({
  fields: (t) => ({
    reachable: t.exposeBoolean("isReachable"),
    latencyMs: t.exposeFloat("latencyMs", { nullable: true, description: "To open a session and get a first answer." }),
    problem: t.exposeString("problem", { nullable: true, description: "Why it is not reachable." }),
  }),
});

const ServiceHealthType = builder.objectRef<ServiceHealth>("ServiceHealth").implement({
  fields: (t) => ({
    name: t.exposeString("name", { description: "`rest`, `auth`, `storage`, `realtime`." }),
    status: t.expose("status", { type: ServiceStatusEnum }),
    latencyMs: t.exposeFloat("latencyMs", { nullable: true, description: "Through the gateway." }),
  }),
});

const ProjectHealthType = builder.objectRef<ProjectHealth>("ProjectHealth").implement({
  description: "At most a few seconds old.",
  fields: (t) => ({
    status: t.expose("status", { type: HealthStatusEnum }),
    checkedAt: t.expose("checkedAt", { type: "DateTime" }),
    database: t.expose("database", { type: DatabaseHealthType, nullable: true }),
    services: t.field({
      type: [ServiceHealthType],
      description: "Empty when the database is not reachable.",
      resolve: ({ services }) => [...services],
    }),
  }),
});

const ProjectUsageType = builder.objectRef<ProjectUsage>("ProjectUsage").implement({
  description: "At most a few seconds old.",
  fields: (t) => ({
    databaseBytes: t.exposeFloat("databaseBytes", { description: "On disk; a new project has about 10 MB." }),
    connections: t.exposeInt("connections", { description: "Sessions at this moment, the services' own included." }),
    maxConnections: t.exposeInt("maxConnections"),
    tables: t.exposeInt("tables", {
      nullable: true,
      description: "The project's own, not the services'. Null while it is not reachable.",
    }),
    storageBytes: t.exposeFloat("storageBytes", {
      nullable: true,
      description: "Of all objects of storage, by a running total. Null while the project is not reachable.",
    }),
    storageObjects: t.exposeFloat("storageObjects", {
      nullable: true,
      description: "Objects of storage. Null while the project is not reachable.",
    }),
    measuredAt: t.expose("measuredAt", { type: "DateTime" }),
  }),
});

builder.objectFields(ProjectType, (t) => ({
  health: t.field({
    type: ProjectHealthType,
    complexity: COMPLEXITY,
    resolve: async ({ ref }, _args, context) =>
      context.healthChecks.health(await requireProject(context, ref, "project.health")),
  }),
  usage: t.field({
    type: ProjectUsageType,
    nullable: true,
    description: "Null until the project has a database.",
    complexity: COMPLEXITY,
    resolve: async ({ ref }, _args, context) =>
      context.healthChecks.usage(await requireProject(context, ref, "project.health")),
  }),
}));
