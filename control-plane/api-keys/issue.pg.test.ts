import { randomBytes } from "node:crypto";
import { jwtVerify } from "jose";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { parseMasterKeys } from "../secrets/master-keys.ts";
import { createVault } from "../secrets/vault.ts";
import { type ControlPlaneDatabase, createControlPlaneDatabase } from "../testing/fresh-database.ts";
import { insertTestProject } from "../testing/test-project.ts";
import { listApiKeys, openApiKey } from "./api-key-table.ts";
import { issueInitialKeys } from "./issue.ts";
import { isWellFormedOpaqueKey } from "./key-format.ts";

const vault = createVault(parseMasterKeys(randomBytes(32).toString("base64")));
let db: ControlPlaneDatabase;

beforeAll(async () => {
  db = await createControlPlaneDatabase(inject("clusterUrl"));
});
afterAll(() => db.drop());

test("a project begins with a JWT pair, a publishable and a secret key; issuing again changes nothing", async () => {
  const { ref } = await insertTestProject(db.database, vault);
  const keys = await listApiKeys(db.database, ref);
  expect(keys.map(({ kind, role, name }) => [kind, role, name])).toEqual([
    ["legacy", "anon", "anon"],
    ["legacy", "service_role", "service_role"],
    ["publishable", "anon", "default"],
    ["secret", "service_role", "default"],
  ]);
  await issueInitialKeys(db.database, vault, ref, Date.now());
  expect(await listApiKeys(db.database, ref)).toEqual(keys);
  const dataKey = await vault.dataKey(db.database, ref);
  const texts = keys.map((key) => openApiKey(dataKey, key));
  expect(texts.slice(2).every(isWellFormedOpaqueKey)).toBe(true);
  expect(keys.every(({ prefix }, index) => texts[index]?.startsWith(prefix))).toBe(true);
});

test("legacy keys carry the role, for ten years, under the project's own secret; what stands for opaque keys means nothing", async () => {
  const { ref } = await insertTestProject(db.database, vault);
  const secrets = await vault.getAll(db.database, ref);
  const secret = secrets.get("JWT_SECRET") ?? "";
  expect(secret.length).toBeGreaterThanOrEqual(32);
  const dataKey = await vault.dataKey(db.database, ref);
  const [anon, service] = (await listApiKeys(db.database, ref)).map((key) => openApiKey(dataKey, key));
  const claims = await Promise.all(
    [anon, service].map(async (token = "") => (await jwtVerify(token, new TextEncoder().encode(secret))).payload),
  );
  expect(claims.map(({ iss, ref: project, role }) => [iss, project, role])).toEqual([
    ["supabase", ref, "anon"],
    ["supabase", ref, "service_role"],
  ]);
  for (const { iat = 0, exp = 0 } of claims) expect((exp - iat) / (365.25 * 24 * 3600)).toBe(10);
  const roleTokens = [secrets.get("GATEWAY_ANON_TOKEN"), secrets.get("GATEWAY_SERVICE_ROLE_TOKEN")];
  expect(new Set(roleTokens).size).toBe(2);
  for (const token of roleTokens) expect(token).toMatch(/^[\w-]{43}$/);
});
