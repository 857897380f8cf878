/** Opaque keys alone are enough on every route that asks for a key; against a real stack. */
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type CreatedProject,
  createProject,
  removeDataDir,
  type Stack,
  startStack,
  temporaryDataDir,
} from "../harness/standalone.ts";

const dataDir = temporaryDataDir();
let stack: Stack;
let project: CreatedProject;
beforeAll(async () => {
  stack = await startStack(dataDir);
  project = await createProject(dataDir, "keys");
});
afterAll(async () => {
  await stack?.stop();
  removeDataDir(dataDir);
});

const ask = (method: string, path: string, apikey: string, body?: unknown) =>
  fetch(project.url + path, {
    method,
    headers: { apikey, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

test.each([
  ["GET", "/auth/v1/admin/users", undefined],
  ["GET", "/auth/v1/admin/audit", undefined],
  ["POST", "/auth/v1/admin/users", { email: "made@example.com", password: "correct horse" }],
  ["POST", "/auth/v1/admin/generate_link", { type: "signup", email: "linked@example.com", password: "correct horse" }],
  ["POST", "/auth/v1/invite", { email: "invited@example.com" }],
  ["GET", "/rest/v1/", undefined],
])("the secret key without Authorization opens %s %s, the publishable one does not", async (method, path, body) => {
  expect((await ask(method, path, project.secretKey, body)).status).toBe(200);
  expect([401, 403]).toContain((await ask(method, path, project.publishableKey, body)).status);
});

test("the publishable key alone signs a user up, and names no user", async () => {
  const body = { email: "ada@example.com", password: "correct horse" };
  expect((await ask("POST", "/auth/v1/signup", project.publishableKey, body)).status).toBe(200);
  expect([401, 403]).toContain((await ask("GET", "/auth/v1/user", project.publishableKey)).status);
});
