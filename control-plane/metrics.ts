/** Prometheus metrics of one instance. Labels are names of the schema and codes of the catalogue: their number is fixed. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

export interface Metrics {
  readonly registry: Registry;
  /** @param field The first root field. @param outcome `ok`, or the code of the first error. */
  operation(type: string, field: string, outcome: string, seconds: number): void;
  subscriptionOpened(field: string): void;
  subscriptionClosed(field: string): void;
  http(route: string, status: number): void;
  /** By the watch of a cluster. */
  sessionsEnded(reason: string, sessions: number): void;
  projectClosed(): void;
}

const PREFIX = "supalove_control_plane_";

/** @param defaults Also collect the process's own metrics; once a process. */
export function createMetrics({ defaults }: { defaults: boolean }): Metrics {
  const registry = new Registry();
  if (defaults) collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const operations = new Counter({
    name: `${PREFIX}graphql_operations_total`,
    help: "GraphQL operations by type, first root field and outcome (ok or error code).",
    labelNames: ["type", "field", "outcome"],
    registers,
  });
  const durations = new Histogram({
    name: `${PREFIX}graphql_operation_seconds`,
    help: "Time to execute queries and mutations.",
    labelNames: ["type"],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers,
  });
  const subscriptions = new Gauge({
    name: `${PREFIX}graphql_subscriptions`,
    help: "Open subscriptions by field.",
    labelNames: ["field"],
    registers,
  });
  const requests = new Counter({
    name: `${PREFIX}http_requests_total`,
    help: "HTTP requests by route and status.",
    labelNames: ["route", "status"],
    registers,
  });
  const endedSessions = new Counter({
    name: `${PREFIX}watch_ended_sessions_total`,
    help: "Sessions of projects that the watch of their cluster has ended, by reason.",
    labelNames: ["reason"],
    registers,
  });
  const closedProjects = new Counter({
    name: `${PREFIX}watch_closed_projects_total`,
    help: "Times that a project was closed for a while because its sessions endangered others.",
    registers,
  });
  return {
    registry,
    operation(type, field, outcome, seconds) {
      operations.inc({ type, field, outcome });
      if (type !== "subscription") durations.observe({ type }, seconds);
    },
    subscriptionOpened: (field) => subscriptions.inc({ field }),
    subscriptionClosed: (field) => subscriptions.dec({ field }),
    http: (route, status) => requests.inc({ route, status: String(status) }),
    sessionsEnded: (reason, sessions) => endedSessions.inc({ reason }, sessions),
    projectClosed: () => closedProjects.inc(),
  };
}
