import { randomUUID } from "node:crypto";
import type { Actor, AuthorizationTable, ReachedBy, World } from "../testing/authorization.ts";
import { createAccessToken } from "./access-tokens.ts";
import { createServiceToken } from "./service-tokens.ts";

/** The asking account; for those without one, somebody else's. */
const accountOf = (world: World, actor: Actor) =>
  actor === "anonymous" || actor === "service" ? world.accounts.stranger : world.accounts[actor];

export const authorization: AuthorizationTable = {
  "Query.viewer": {
    rule: { who: "anybody" },
    document: () => "{ viewer { id organizations { id } accessTokens { id } } }",
  },
  "Query.instance": {
    rule: { who: "anybody" },
    document: () => "{ instance { version needsFirstAccount openSignUp } }",
  },
  "Mutation.signUp": {
    rule: { who: "anybody" },
    document: () =>
      `mutation { signUp(input: {email: "${randomUUID()}@example.com", password: "long enough"}) { id } }`,
  },
  "Mutation.signIn": {
    rule: { who: "anybody" },
    document: (world, actor) =>
      `mutation { signIn(email: "${accountOf(world, actor).email}", password: "${world.password}") { id } }`,
  },
  "Mutation.signOut": { rule: { who: "accounts", session: true }, document: () => "mutation { signOut }" },
  "Mutation.updateAccount": {
    rule: { who: "accounts" },
    document: () => 'mutation { updateAccount(name: "New") { id } }',
  },
  "Mutation.changeEmail": {
    rule: { who: "accounts", session: true },
    document: ({ password }) =>
      `mutation { changeEmail(currentPassword: "${password}", email: "${randomUUID()}@example.com") { id } }`,
  },
  "Mutation.changePassword": {
    rule: { who: "accounts", session: true },
    document: ({ password }) =>
      `mutation { changePassword(currentPassword: "${password}", newPassword: "${password}") }`,
  },
  "Mutation.createAccessToken": {
    rule: { who: "accounts", session: true },
    document: () => 'mutation { createAccessToken(name: "CI") { token } }',
  },
  "Mutation.revokeAccessToken": {
    rule: { who: "accounts" },
    document: async (world, actor) => {
      const { accessToken } = await createAccessToken(world.database, accountOf(world, actor).id, "old", null);
      return `mutation { revokeAccessToken(id: "${accessToken.id}") }`;
    },
  },
  "Query.accounts": { rule: { who: "instance-owner" }, document: () => "{ accounts { edges { node { email } } } }" },
  "Mutation.setAccountPassword": {
    rule: { who: "instance-owner", session: true },
    document: ({ accounts, password }) =>
      `mutation { setAccountPassword(accountId: "${accounts.viewer.id}", newPassword: "${password}") { id } }`,
  },
  "Mutation.deleteAccount": {
    rule: { who: "instance-owner", session: true },
    document: ({ accounts }) => `mutation { deleteAccount(accountId: "${accounts.viewer.id}") }`,
  },
  "Query.serviceTokens": { rule: { who: "instance-owner" }, document: () => "{ serviceTokens { id name } }" },
  "Mutation.createServiceToken": {
    rule: { who: "instance-owner", session: true },
    document: () => `mutation { createServiceToken(audience: GATEWAY, name: "${randomUUID()}") { token } }`,
  },
  "Mutation.revokeServiceToken": {
    rule: { who: "instance-owner" },
    document: async ({ database }) => {
      const { serviceToken } = await createServiceToken(database, "gateway", randomUUID());
      return `mutation { revokeServiceToken(id: "${serviceToken.id}") }`;
    },
  },
};

export const reachedBy: ReachedBy = {
  AccessToken: "Query.viewer",
  Account: "Query.accounts",
  AccountConnection: "Query.accounts",
  AccountEdge: "Query.accounts",
  CreateAccessTokenPayload: "Mutation.createAccessToken",
  CreateServiceTokenPayload: "Mutation.createServiceToken",
  Instance: "Query.instance",
  ServiceToken: "Query.serviceTokens",
  Viewer: "Query.viewer",
};
