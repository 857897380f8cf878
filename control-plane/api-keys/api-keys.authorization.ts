import { type AuthorizationTable, members, onProject, type ReachedBy, type World } from "../testing/authorization.ts";
import { listApiKeys } from "./api-key-table.ts";

async function secretKeyId({ database, ref }: World): Promise<string> {
  const keys = await listApiKeys(database, ref);
  return keys.find(({ kind }) => kind === "secret")?.id ?? "";
}

export const authorization: AuthorizationTable = {
  "Project.apiKeys": { rule: members("developer"), document: onProject("apiKeys { id prefix key }") },
  "Mutation.createApiKey": {
    rule: members("admin"),
    document: ({ ref }) => `mutation { createApiKey(ref: "${ref}", name: "x", kind: SECRET) { key } }`,
  },
  "Mutation.revokeApiKey": {
    rule: members("admin"),
    document: async (world) =>
      `mutation { revokeApiKey(ref: "${world.ref}", id: "${await secretKeyId(world)}") { revokedAt } }`,
  },
  "Mutation.revealApiKey": {
    rule: members("admin"), // of a secret key; public ones: api-keys.pg.test.ts
    document: async (world) => `mutation { revealApiKey(ref: "${world.ref}", id: "${await secretKeyId(world)}") }`,
  },
};

export const reachedBy: ReachedBy = {
  ApiKey: "Project.apiKeys",
  CreateApiKeyPayload: "Mutation.createApiKey",
};
