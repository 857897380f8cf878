import { type AuthorizationTable, members, onProject, type ReachedBy } from "../testing/authorization.ts";

export const authorization: AuthorizationTable = {
  "Project.secrets": { rule: members("developer"), document: onProject("secrets { name isSystem updatedAt }") },
  "Mutation.revealSecret": {
    rule: members("admin"),
    document: ({ ref }) => `mutation { revealSecret(ref: "${ref}", name: "JWT_SECRET") }`,
  },
  "Mutation.setSecret": {
    rule: members("admin"),
    document: ({ ref }) => `mutation { setSecret(ref: "${ref}", name: "MINE", value: "x") { name } }`,
  },
  "Mutation.deleteSecret": {
    rule: members("admin"),
    document: async ({ ref, database, services }) => {
      await services.vault.put(database, ref, "MINE", "x");
      return `mutation { deleteSecret(ref: "${ref}", name: "MINE") { name } }`;
    },
  },
};

export const reachedBy: ReachedBy = {
  Secret: "Project.secrets",
};
