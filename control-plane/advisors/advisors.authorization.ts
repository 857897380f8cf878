import { type AuthorizationTable, members, onProject, type ReachedBy } from "../testing/authorization.ts";

export const authorization: AuthorizationTable = {
  "Project.advisories": { rule: members("developer"), document: onProject("advisories { name }") },
  "Mutation.ignoreAdvisory": {
    rule: members("admin"),
    document: ({ ref }) => `mutation { ignoreAdvisory(ref: "${ref}", key: "x: y", reason: "known") }`,
  },
};

export const reachedBy: ReachedBy = {
  Advisory: "Project.advisories",
  IgnoredAdvisory: "Project.advisories",
};
