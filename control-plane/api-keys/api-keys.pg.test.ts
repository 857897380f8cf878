import { afterAll, beforeAll, expect, inject, test } from "vitest";
import type { GraphqlClient } from "../testing/graphql-client.ts";
import { createTestControlPlane, insertTestAccount, type TestControlPlane } from "../testing/test-control-plane.ts";
import { insertTestMembership, insertTestProject } from "../testing/test-project.ts";
import { hashKey } from "./key-format.ts";

const LIST = "query ($ref: ID!) { project(ref: $ref) { apiKeys { id name kind role prefix key revokedAt } } }";
const CREATE = `mutation ($ref: ID!, $name: String!, $kind: NewApiKeyKind!) {
  createApiKey(ref: $ref, name: $name, kind: $kind) { key apiKey { id kind role key prefix } } }`;
const REVOKE = "mutation ($ref: ID!, $id: ID!) { revokeApiKey(ref: $ref, id: $id) { id revokedAt } }";
const REVEAL = "mutation ($ref: ID!, $id: ID!) { revealApiKey(ref: $ref, id: $id) }";

interface ListedKey {
  id: string;
  name: string;
  kind: string;
  role: string;
  prefix: string;
  key: string | null;
  revokedAt: string | null;
}

let plane: TestControlPlane;
let owner: GraphqlClient;

beforeAll(async () => {
  plane = await createTestControlPlane(inject("clusterUrl"));
  owner = plane.client((await insertTestAccount(plane.database, "owner")).token);
});
afterAll(() => plane[Symbol.asyncDispose]());

const project = () => insertTestProject(plane.database, plane.controlPlane.services.vault);

async function list(client: GraphqlClient, ref: string): Promise<ListedKey[]> {
  return (await client.data(LIST, { ref })).project.apiKeys;
}

/** Hashes of the keys that a gateway lets in. */
async function hashesAtGateway(ref: string): Promise<string[]> {
  const found = await plane.controlPlane.services.configSnapshots.findByRefs("gateway", [ref]);
  const keys = found.get(ref)?.apiKeys ?? [];
  return keys.filter(({ revoked }) => !revoked).map(({ hash }) => hash);
}

const audited = async (ref: string) => {
  const rows = await plane.database.query<{ action: string; details: object }>(
    "select action, details from audit_log where project_ref = $1 order by id",
    [ref],
  );
  return rows;
};

test("lists public keys as they are and of the others only how they begin", async () => {
  const { ref } = await project();
  const keys = await list(owner, ref);
  expect(keys.map(({ kind, role, key }) => [kind, role, key !== null])).toEqual([
    ["LEGACY", "ANON", true],
    ["LEGACY", "SERVICE_ROLE", false],
    ["PUBLISHABLE", "ANON", true],
    ["SECRET", "SERVICE_ROLE", false],
  ]);
  expect(keys[3]?.prefix).toMatch(/^sb_secret_\w{6}$/);
});

test("a new key works at once, a revoked one no more, and both are in the audit log without their texts", async () => {
  const { ref } = await project();
  const { createApiKey } = await owner.data(CREATE, { ref, name: "  backend ", kind: "SECRET" });
  expect(createApiKey.apiKey).toMatchObject({ kind: "SECRET", role: "SERVICE_ROLE", key: null });
  const hash = hashKey(createApiKey.key).toString("hex");
  expect(await hashesAtGateway(ref)).toContain(hash);
  const { id } = createApiKey.apiKey;
  const first = await owner.data(REVOKE, { ref, id });
  expect(first.revokeApiKey.revokedAt).not.toBeNull();
  expect(await hashesAtGateway(ref)).not.toContain(hash);
  expect(await owner.data(REVOKE, { ref, id })).toEqual(first); // again: nothing more happens
  const log = await audited(ref);
  expect(log.map(({ action }) => action)).toEqual(["api_key.create", "api_key.revoke"]);
  expect(log[0]?.details).toMatchObject({ name: "backend", kind: "secret" });
  expect(JSON.stringify(log)).not.toContain(createApiKey.key);
});

test("a revoked legacy key stays listed for gateways: its signature is still good", async () => {
  const { ref } = await project();
  const anon = (await list(owner, ref)).find(({ kind, role }) => kind === "LEGACY" && role === "ANON");
  await owner.data(REVOKE, { ref, id: anon?.id });
  const found = await plane.controlPlane.services.configSnapshots.findByRefs("gateway", [ref]);
  expect(found.get(ref)?.apiKeys.find(({ id }) => id === anon?.id)).toMatchObject({ kind: "legacy", revoked: true });
});

test("revealing gives the whole key and is audited", async () => {
  const { ref } = await project();
  const { createApiKey } = await owner.data(CREATE, { ref, name: "x", kind: "SECRET" });
  const { revealApiKey } = await owner.data(REVEAL, { ref, id: createApiKey.apiKey.id });
  expect(revealApiKey).toBe(createApiKey.key);
  expect((await audited(ref)).at(-1)).toMatchObject({ action: "api_key.reveal", details: { name: "x" } });
});

test("a developer may reveal public keys only", async () => {
  const { ref, organizationId } = await project();
  const account = await insertTestAccount(plane.database);
  await insertTestMembership(plane.database, organizationId, account.id, "developer");
  const developer = plane.client(account.token);
  for (const { id, role, key } of await list(developer, ref)) {
    const { data, errors } = await developer.request(REVEAL, { ref, id });
    if (role === "ANON") expect(data.revealApiKey).toBe(key);
    else expect(errors[0]?.extensions?.code).toBe("FORBIDDEN");
  }
});

test("another project's key cannot be revealed or revoked through one's own", async () => {
  const [mine, other] = [await project(), await project()];
  const [key] = await list(owner, other.ref);
  for (const document of [REVEAL, REVOKE]) {
    expect(await owner.code(document, { ref: mine.ref, id: key?.id })).toBe("NOT_FOUND");
    expect(await owner.code(document, { ref: mine.ref, id: "' or 1=1 --" })).toBe("NOT_FOUND");
    expect(await owner.code(document, { ref: mine.ref, id: "\0" })).toBe("NOT_FOUND");
  }
});

test("what is being deleted or not made yet takes no new key", async () => {
  const { vault } = plane.controlPlane.services;
  const deleting = await insertTestProject(plane.database, vault, { state: "DELETING" });
  const creating = await insertTestProject(plane.database, vault, { state: "CREATING", hasSecrets: false });
  for (const { ref } of [deleting, creating])
    expect(await owner.code(CREATE, { ref, name: "x", kind: "SECRET" })).toBe("CONFLICT");
  expect(await list(owner, creating.ref)).toEqual([]);
});

test("names are checked, and the number of keys is bounded", async () => {
  const { ref } = await project();
  expect(await owner.code(CREATE, { ref, name: " ", kind: "SECRET" })).toBe("INVALID_INPUT");
  await plane.database.query(
    `insert into api_keys (project_ref, name, kind, role, key_hash, key_ciphertext, prefix)
     select $1, 'many', 'publishable', 'anon', int4send(number), '', '' from generate_series(1, 96) as number`,
    [ref],
  );
  expect(await owner.code(CREATE, { ref, name: "one too many", kind: "SECRET" })).toBe("CONFLICT");
});
