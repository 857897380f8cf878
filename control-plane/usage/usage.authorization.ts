import { type AuthorizationTable, members, onProject, type ReachedBy } from "../testing/authorization.ts";

const TIMES = 'names: [REQUESTS], from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z", stepSeconds: 3600';

export const authorization: AuthorizationTable = {
  "Project.metrics": { rule: members("viewer"), document: onProject(`metrics(${TIMES}) { stepSeconds }`) },
  "Project.traffic": { rule: members("viewer"), document: onProject("traffic { requests }") },
  "Mutation.reportTraffic": {
    rule: { who: "services" },
    document: () =>
      'mutation { reportTraffic(process: "7f3c9a52-5a0f-4a3c-9a3e-5d1f0c2b4a11", sequence: 1, entries: []) }',
  },
};

export const reachedBy: ReachedBy = {
  Metrics: "Project.metrics",
  MetricSeries: "Project.metrics",
  TrafficSummary: "Project.traffic",
};
