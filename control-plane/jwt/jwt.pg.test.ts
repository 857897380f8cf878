import { jwtVerify } from "jose";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import type { GraphqlClient } from "../testing/graphql-client.ts";
import { createTestControlPlane, insertTestAccount, type TestControlPlane } from "../testing/test-control-plane.ts";
import { insertTestProject } from "../testing/test-project.ts";

const KEYS = "project(ref: $ref) { apiKeys { kind role key revokedAt } }";

let plane: TestControlPlane;
let owner: GraphqlClient;

beforeAll(async () => {
  plane = await createTestControlPlane(inject("clusterUrl"));
  owner = plane.client((await insertTestAccount(plane.database, "owner")).token);
});
afterAll(() => plane[Symbol.asyncDispose]());

const project = () => insertTestProject(plane.database, plane.controlPlane.services.vault);

async function snapshots(ref: string) {
  const { configSnapshots } = plane.controlPlane.services;
  const gateway = (await configSnapshots.findByRefs("gateway", [ref])).get(ref);
  const service = (await configSnapshots.findByRefs("service", [ref])).get(ref);
  if (!gateway || !service) throw new Error("no snapshot");
  return { gateway, service };
}

const verifies = (token: string, secret: string) =>
  jwtVerify(token, new TextEncoder().encode(secret)).then(
    () => true,
    () => false,
  );

test("a rotated JWT secret signs everything anew, and what it replaces is good for nothing", async () => {
  const { ref } = await project();
  const before = await snapshots(ref);
  const { rotateJwtSecret } = await owner.data(`mutation ($ref: ID!) { rotateJwtSecret(ref: $ref) { ref } }`, { ref });
  expect(rotateJwtSecret.ref).toBe(ref);
  const after = await snapshots(ref);

  expect(after.service.jwt.secret).not.toBe(before.service.jwt.secret);
  expect(after.service.version).toBeGreaterThan(before.service.version);
  // Opaque keys go on, so what stands for them between gateways and services stays.
  expect(after.gateway.roleTokens).toEqual(before.gateway.roleTokens);
  const { apiKeys } = (await owner.data(`query ($ref: ID!) { ${KEYS} }`, { ref })).project;
  const legacy = apiKeys.filter(({ kind }: { kind: string }) => kind === "LEGACY");
  expect(legacy.map(({ revokedAt }: { revokedAt: string | null }) => revokedAt === null)).toEqual([
    false,
    false,
    true,
    true,
  ]);
  expect(await verifies(legacy[2].key, after.service.jwt.secret)).toBe(true);

  // The old pair need not be listed for gateways any more, so rotating again and again does not grow the snapshot.
  expect(after.gateway.apiKeys.length).toBe(before.gateway.apiKeys.length);
  const [entry] = await plane.database.query<{ action: string; details: object }>(
    "select action, details from audit_log where project_ref = $1",
    [ref],
  );
  expect(entry).toEqual({ action: "jwt_secret.rotate", details: {} });
});

test("signing keys go from standby to current to previous to gone, and snapshots follow", async () => {
  const { ref } = await project();
  const change = async (mutation: string) =>
    (await owner.data(`mutation ($ref: ID!) { ${mutation} { signingKeys { kid state } } }`, { ref }))[
      mutation.slice(0, mutation.indexOf("("))
    ].signingKeys;
  const [first] = await change("createSigningKey(ref: $ref)");
  expect((await snapshots(ref)).service.jwt).toMatchObject({
    signingKey: null,
    verificationKeys: [{ kid: first.kid }],
  });
  await change("rotateSigningKey(ref: $ref)");
  expect((await snapshots(ref)).service.jwt).toMatchObject({ signingKey: { kid: first.kid }, verificationKeys: [] });
  await change("createSigningKey(ref: $ref)");
  const rotated = await change("rotateSigningKey(ref: $ref)");
  expect(rotated.map(({ state }: { state: string }) => state)).toEqual(["CURRENT", "PREVIOUS"]);
  expect(await change(`removeSigningKey(ref: $ref, kid: "${first.kid}")`)).toHaveLength(1);
  expect((await snapshots(ref)).service.jwt.verificationKeys).toEqual([]);
  expect(JSON.stringify((await snapshots(ref)).gateway)).not.toContain(rotated[0].kid);
});

test("the private parts of signing keys never leave by the API", async () => {
  const { ref } = await project();
  await owner.data("mutation ($ref: ID!) { createSigningKey(ref: $ref) { ref } }", { ref });
  const { data } = await owner.request(
    "query ($ref: ID!) { project(ref: $ref) { signingKeys { publicJwk } secrets { name } } }",
    { ref },
  );
  expect(data.project.signingKeys[0].publicJwk).not.toHaveProperty("d");
  expect(JSON.stringify(data.project.secrets)).not.toContain("JWT_SIGNING_KEYS");
  expect(await owner.code(`mutation { revealSecret(ref: "${ref}", name: "JWT_SIGNING_KEYS") }`)).toBe("NOT_FOUND");
});

test("what cannot be is a conflict or not found", async () => {
  const { ref } = await project();
  expect(await owner.code(`mutation { rotateSigningKey(ref: "${ref}") { ref } }`)).toBe("CONFLICT");
  expect(await owner.code(`mutation { removeSigningKey(ref: "${ref}", kid: "x") { ref } }`)).toBe("NOT_FOUND");
  const creating = await insertTestProject(plane.database, plane.controlPlane.services.vault, { hasSecrets: false });
  expect(await owner.code(`mutation { rotateJwtSecret(ref: "${creating.ref}") { ref } }`)).toBe("CONFLICT");
});
