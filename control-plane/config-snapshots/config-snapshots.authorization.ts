import type { AuthorizationTable, ReachedBy } from "../testing/authorization.ts";

export const authorization: AuthorizationTable = {
  "Query.projectConfigs": {
    rule: { who: "services" },
    document: ({ ref }) => `{ projectConfigs(refs: ["${ref}"]) }`,
  },
  "Query.projectConfigsByHost": {
    rule: { who: "services" },
    document: () => '{ projectConfigsByHost(hosts: ["api.example.com"]) }',
  },
  "Subscription.projectConfigs": {
    rule: { who: "services" },
    document: () => "subscription { projectConfigs { cursor snapshots resync } }",
  },
};

export const reachedBy: ReachedBy = {
  ConfigChanges: "Subscription.projectConfigs",
};
