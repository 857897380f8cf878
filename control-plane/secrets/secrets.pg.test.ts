import { afterAll, beforeAll, beforeEach, expect, inject, test } from "vitest";
import type { GraphqlClient } from "../testing/graphql-client.ts";
import { createTestControlPlane, insertTestAccount, type TestControlPlane } from "../testing/test-control-plane.ts";
import { insertTestProject } from "../testing/test-project.ts";

const LIST = "query ($ref: ID!) { project(ref: $ref) { secrets { name isSystem description } } }";
const SET =
  "mutation ($ref: ID!, $name: String!, $value: String!) { setSecret(ref: $ref, name: $name, value: $value) { name isSystem } }";
const REVEAL = "mutation ($ref: ID!, $name: String!) { revealSecret(ref: $ref, name: $name) }";
const DELETE = "mutation ($ref: ID!, $name: String!) { deleteSecret(ref: $ref, name: $name) { name } }";

let plane: TestControlPlane;
let owner: GraphqlClient;
let ref: string;

beforeAll(async () => {
  plane = await createTestControlPlane(inject("clusterUrl"));
  owner = plane.client((await insertTestAccount(plane.database, "owner")).token);
});
beforeEach(async () => {
  ({ ref } = await insertTestProject(plane.database, plane.controlPlane.services.vault));
});
afterAll(() => plane[Symbol.asyncDispose]());

const names = async () => (await owner.data(LIST, { ref })).project.secrets.map(({ name }: { name: string }) => name);

test("system secrets are listed with what they are for, internal ones not at all", async () => {
  const { secrets } = (await owner.data(LIST, { ref })).project;
  expect(secrets.map(({ name }: { name: string }) => name)).toEqual([
    "AUTHENTICATOR_USER",
    "JWT_SECRET",
    "POSTGRES_DB",
    "POSTGRES_PASSWORD",
    "POSTGRES_USER",
  ]);
  for (const secret of secrets) expect(secret).toMatchObject({ isSystem: true, description: expect.any(String) });
});

test("a secret of one's own is set, changed, revealed and deleted, each noted without its value", async () => {
  const name = "STRIPE_KEY";
  expect((await owner.data(SET, { ref, name, value: "one" })).setSecret).toEqual({ name, isSystem: false });
  await owner.data(SET, { ref, name, value: "zwei €" });
  expect((await owner.data(REVEAL, { ref, name })).revealSecret).toBe("zwei €");
  expect(await names()).toContain(name);
  await owner.data(DELETE, { ref, name });
  expect(await names()).not.toContain(name);
  expect(await owner.code(REVEAL, { ref, name })).toBe("NOT_FOUND");
  const log = await plane.database.query<{ action: string; details: object }>(
    "select action, details from audit_log where project_ref = $1 order by id",
    [ref],
  );
  expect(log).toEqual(
    ["secret.set", "secret.set", "secret.reveal", "secret.delete"].map((action) => ({ action, details: { name } })),
  );
});

test.each([
  "JWT_SECRET",
  "POSTGRES_DB",
  "ADMIN_TEMP_PASSWORD",
  "GATEWAY_ANON_TOKEN",
  "SUPALOVE_X",
  "lower",
  "A-B",
  "A\0",
  "",
])("%j cannot be set or deleted", async (name) => {
  expect(await owner.code(SET, { ref, name, value: "x" })).toBe("INVALID_INPUT");
  expect(await owner.code(DELETE, { ref, name })).toBe("INVALID_INPUT");
});

test.each([
  ["GATEWAY_SERVICE_ROLE_TOKEN", "NOT_FOUND"],
  ["A\0", "NOT_FOUND"],
  ["ADMIN_TEMP_PASSWORD", "CONFLICT"], // it is taken once, with a mutation of its own
])("%j is not revealed", async (name, code) => {
  expect(await owner.code(REVEAL, { ref, name })).toBe(code);
});

test("values are bounded, and so is their number", async () => {
  expect(await owner.code(SET, { ref, name: "BIG", value: "x".repeat(65_537) })).toBe("INVALID_INPUT");
  expect(await owner.code(SET, { ref, name: "NUL", value: "a\0b" })).toBe("INVALID_INPUT");
  const { vault } = plane.controlPlane.services;
  await vault.putAll(plane.database, ref, Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`S${n}`, "x"])));
  expect(await owner.code(SET, { ref, name: "ONE_MORE", value: "x" })).toBe("CONFLICT");
  expect(await owner.code(SET, { ref, name: "S0", value: "changed" })).toBeNull();
});

test("no value of a secret is ever logged", async () => {
  const value = "this-is-the-value-of-a-secret";
  await owner.data(SET, { ref, name: "QUIET", value });
  await owner.data(REVEAL, { ref, name: "QUIET" });
  expect(plane.log.join("")).not.toContain(value);
});
