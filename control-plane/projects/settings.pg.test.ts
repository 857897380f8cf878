import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { DEFAULT_MAXIMA } from "../client/maxima.ts";
import type { GraphqlClient } from "../testing/graphql-client.ts";
import { createTestControlPlane, insertTestAccount, type TestControlPlane } from "../testing/test-control-plane.ts";
import { insertTestProject } from "../testing/test-project.ts";

const UPDATE = {
  rest: "mutation ($ref: ID!, $settings: RestSettingsInput!) { updateRestSettings(ref: $ref, settings: $settings) { ref } }",
  auth: "mutation ($ref: ID!, $settings: AuthSettingsInput!) { updateAuthSettings(ref: $ref, settings: $settings) { ref } }",
  storage:
    "mutation ($ref: ID!, $settings: StorageSettingsInput!) { updateStorageSettings(ref: $ref, settings: $settings) { ref } }",
  realtime:
    "mutation ($ref: ID!, $settings: RealtimeSettingsInput!) { updateRealtimeSettings(ref: $ref, settings: $settings) { ref } }",
  limits:
    "mutation ($ref: ID!, $settings: ProjectLimitsInput!) { updateLimits(ref: $ref, settings: $settings) { ref } }",
  gateway:
    "mutation ($ref: ID!, $settings: GatewaySettingsInput!) { updateGatewaySettings(ref: $ref, settings: $settings) { ref } }",
};

let plane: TestControlPlane;
let owner: GraphqlClient;

beforeAll(async () => {
  plane = await createTestControlPlane(inject("clusterUrl"), {
    publicGatewayUrl: "https://gateway.example.net",
    baseDomain: "projects.example.net",
    maxima: { ...DEFAULT_MAXIMA, sockets: 500 },
  });
  owner = plane.client((await insertTestAccount(plane.database, "owner")).token);
});
afterAll(() => plane[Symbol.asyncDispose]());

const project = async () => (await insertTestProject(plane.database, plane.controlPlane.services.vault)).ref;

const update = (ref: string, group: keyof typeof UPDATE, settings: object) =>
  owner.request(UPDATE[group], { ref, settings });

async function snapshot(audience: "gateway" | "service", ref: string) {
  return (await plane.controlPlane.services.configSnapshots.findByRefs(audience, [ref])).get(ref);
}

test("settings are typed, reach the snapshots of those who need them, and are audited", async () => {
  const ref = await project();
  const changes = [
    ["rest", { schemas: ["api"], maxRows: null, openApiMode: "DISABLED", appSettings: { key: "s3cret" } }],
    ["auth", { siteUrl: "https://app.example.com", disableSignup: true }],
    ["storage", { fileSizeLimitBytes: 1000 }],
    ["realtime", { maxConcurrentUsers: 500, privateOnly: true }],
    ["limits", { sockets: 500 }],
    ["gateway", { requireApiKey: false, corsOrigins: ["https://app.example.com"] }],
  ] as const;
  for (const [group, settings] of changes) expect((await update(ref, group, settings)).errors).toEqual([]);

  const service = await snapshot("service", ref);
  expect(service).toMatchObject({
    rest: { schemas: ["api"], maxRows: null, openApiMode: "disabled", appSettings: { key: "s3cret" }, txEnd: "commit" },
    auth: { siteUrl: "https://app.example.com", disableSignup: true },
    storage: { fileSizeLimitBytes: 1000 },
    realtime: { maxConcurrentUsers: 500, privateOnly: true, maxJoinsPerSecond: 100 },
    limits: { sockets: 500 },
  });
  expect(await snapshot("gateway", ref)).toMatchObject({
    requireApiKey: false,
    corsOrigins: ["https://app.example.com"],
    limits: { sockets: 500 },
  });
  const { data } = await owner.request(
    `query ($ref: ID!) { project(ref: $ref) {
       restSettings { schemas maxRows openApiMode appSettings } authSettings { disableSignup jwtExpSeconds }
       storageSettings { fileSizeLimitBytes } limits { sockets maxUploadBytes } gatewaySettings { requireApiKey } } }`,
    { ref },
  );
  expect(data.project).toEqual({
    restSettings: { schemas: ["api"], maxRows: null, openApiMode: "DISABLED", appSettings: { key: "s3cret" } },
    authSettings: { disableSignup: true, jwtExpSeconds: 3600 },
    storageSettings: { fileSizeLimitBytes: 1000 },
    limits: { sockets: 500, maxUploadBytes: 64 * 1024 * 1024 },
    gatewaySettings: { requireApiKey: false },
  });
  const log = await plane.database.query<{ details: object }>(
    "select details from audit_log where project_ref = $1 and action = 'settings.update' order by id",
    [ref],
  );
  expect(log[1]?.details).toEqual({
    group: "auth",
    settings: { siteUrl: "https://app.example.com", disableSignup: true },
  });
  expect(log).toHaveLength(6);
  expect(JSON.stringify(log)).not.toContain("s3cret");
});

test("a refused change names its field and changes nothing", async () => {
  const ref = await project();
  const { errors } = await update(ref, "rest", { maxRows: 5, schemas: ["pg_catalog"] });
  expect(errors[0]).toMatchObject({
    message: "db-schemas does not allow schema: 'pg_catalog'",
    extensions: { code: "INVALID_INPUT", field: "settings.schemas.0" },
  });
  expect(await snapshot("service", ref)).toMatchObject({ rest: { maxRows: 1000 } });
  const beyond = await update(ref, "limits", { sockets: 501 });
  expect(beyond.errors[0]?.extensions).toMatchObject({ field: "settings.sockets" });
});

test("changes at the same time do not undo each other", async () => {
  const ref = await project();
  const fields = ["disableSignup", "phoneEnabled", "anonymousUsersEnabled", "manualLinkingEnabled", "smsAutoconfirm"];
  const answers = await Promise.all(fields.map((field) => update(ref, "auth", { [field]: true })));
  expect(answers.flatMap(({ errors }) => errors)).toEqual([]);
  const service = await snapshot("service", ref);
  expect(service).toMatchObject({ auth: Object.fromEntries(fields.map((field) => [field, true])) });
});

test.each([
  "gateway.example.net",
  "projects.example.net",
  `${"a".repeat(20)}.projects.example.net`,
  "x.y.projects.example.net",
])("%s is the installation's own", async (host) => {
  const { errors } = await update(await project(), "gateway", { customHosts: [host] });
  expect(errors[0]?.message).toBe(`${host} belongs to this installation`);
});
