import { expect, test } from "vitest";
import { DEFAULT_MAXIMA } from "../client/maxima.ts";
import { InvalidInput } from "../errors.ts";
import { changeSettings, createSettingsPolicy, effectiveSettings, type SettingsGroup } from "./settings.ts";

const policy = createSettingsPolicy();
const untouched = { stored: {}, customHosts: [] };

function change(group: SettingsGroup, values: Record<string, unknown>, current = untouched) {
  return changeSettings(policy, current, group, values);
}

/** The field that a refused change names, and why. */
function refusal(group: SettingsGroup, values: Record<string, unknown>) {
  try {
    change(group, values);
  } catch (error) {
    if (error instanceof InvalidInput) return { field: error.details.field, message: error.message };
    throw error;
  }
  return null;
}

test("a project without choices has the defaults", () => {
  expect(effectiveSettings(policy, {}, [])).toEqual(policy.defaults);
  expect(policy.defaults.rest).toMatchObject({ schemas: ["public", "graphql_public"], maxRows: 1000 });
  expect(policy.defaults.auth).toMatchObject({ siteUrl: "http://localhost:3000", jwtExpSeconds: 3600 });
  expect(policy.defaults.gateway).toEqual({ requireApiKey: true, corsOrigins: ["*"], customHosts: [] });
});

test("every default passes its own rule", () => {
  for (const [group, fields] of Object.entries(policy.fields))
    for (const [name, field] of Object.entries(fields))
      expect(field.schema.safeParse(field.default).success, `${group}.${name}`).toBe(true);
});

test("only what differs is stored, and going back to the default stores nothing", () => {
  const { stored, changed } = change("rest", { maxRows: 50, aggregatesEnabled: false });
  expect(stored).toEqual({ rest: { maxRows: 50 } });
  expect(changed).toEqual(["maxRows"]);
  expect(change("rest", { maxRows: 1000 }, { stored, customHosts: [] }).stored).toEqual({ rest: {} });
});

test("what is left out stays; other groups stay", () => {
  const stored = { rest: { maxRows: 50 }, auth: { disableSignup: true } };
  const { effective } = change("rest", { schemas: ["api"], maxRows: undefined }, { stored, customHosts: [] } as never);
  expect(effective.rest).toMatchObject({ schemas: ["api"], maxRows: 50 });
  expect(effective.auth.disableSignup).toBe(true);
});

test("null is no limit where there may be none, and the default elsewhere", () => {
  const stored = { rest: { maxRows: 50, planEnabled: true } };
  const { effective } = change("rest", { maxRows: null, planEnabled: null }, { stored, customHosts: [] } as never);
  expect(effective.rest).toMatchObject({ maxRows: null, planEnabled: false });
});

test("settings that a newer version has stored are passed over", () => {
  const stored = { rest: { maxRows: 5, tomorrow: 1 }, nonsense: true };
  const { rest } = effectiveSettings(policy, stored, []);
  expect(rest).toEqual({ ...policy.defaults.rest, maxRows: 5 });
});

test.each(["pg_catalog", "information_schema", "pg_toast", "PG_CATALOG"])("schema %s cannot be exposed", (schema) => {
  expect(refusal("rest", { schemas: ["public", schema] })).toEqual({
    field: "settings.schemas.1",
    message: `db-schemas does not allow schema: '${schema}'`,
  });
});

test.each<[SettingsGroup, Record<string, unknown>, string]>([
  ["rest", { schemas: [] }, "settings.schemas"],
  ["rest", { schemas: ["a", "a"] }, "settings.schemas"],
  ["rest", { schemas: ["x".repeat(64)] }, "settings.schemas.0"],
  ["rest", { schemas: ["a\0b"] }, "settings.schemas.0"],
  ["rest", { extraSearchPath: [""] }, "settings.extraSearchPath.0"],
  ["rest", { maxRows: -1 }, "settings.maxRows"],
  ["rest", { maxRows: 1.5 }, "settings.maxRows"],
  ["rest", { preRequest: "a(); drop table x" }, "settings.preRequest"],
  ["rest", { hoistedTxSettings: ["role"] }, "settings.hoistedTxSettings.0"],
  ["rest", { hoistedTxSettings: ["request.jwt.claims"] }, "settings.hoistedTxSettings.0"],
  ["rest", { txEnd: "explode" }, "settings.txEnd"],
  ["rest", { jwtRoleClaimKey: "role" }, "settings.jwtRoleClaimKey"],
  ["rest", { jwtRoleClaimKey: "$.roles[" }, "settings.jwtRoleClaimKey"],
  ["rest", { jwtRoleClaimKey: "$" }, "settings.jwtRoleClaimKey"],
  ["rest", { jwtRoleClaimKey: "" }, "settings.jwtRoleClaimKey"],
  ["rest", { appSettings: { "a.b": "c" } }, "settings.appSettings.a.b"],
  ["rest", { appSettings: { a: 1 } }, "settings.appSettings.a"],
  ["rest", { unheard: 1 }, "settings.unheard"],
  ["rest", { constructor: 1 }, "settings.constructor"],
  ["auth", { siteUrl: "javascript://alert(1)" }, "settings.siteUrl"],
  ["auth", { siteUrl: "https://good.com@evil.com" }, "settings.siteUrl"],
  ["auth", { siteUrl: "example.com" }, "settings.siteUrl"],
  ["auth", { siteUrl: "https://example.com/\r\nset-cookie: a=b" }, "settings.siteUrl"],
  ["auth", { uriAllowList: ["**"] }, "settings.uriAllowList.0"],
  ["auth", { uriAllowList: ["javascript://**"] }, "settings.uriAllowList.0"],
  [
    "auth",
    { uriAllowList: Array.from({ length: 101 }, (_, index) => `https://${index}.com`) },
    "settings.uriAllowList",
  ],
  ["auth", { passwordMinLength: 5 }, "settings.passwordMinLength"],
  ["auth", { mailerOtpLength: 11 }, "settings.mailerOtpLength"],
  ["auth", { jwtExpSeconds: 8 * 24 * 3600 }, "settings.jwtExpSeconds"],
  ["auth", { disableSignup: "yes" }, "settings.disableSignup"],
  ["storage", { fileSizeLimitBytes: 100 * 1024 * 1024 }, "settings.fileSizeLimitBytes"],
  ["limits", { requestsPerSecond: 0 }, "settings.requestsPerSecond"],
  ["limits", { sockets: DEFAULT_MAXIMA.sockets + 1 }, "settings.sockets"],
  ["limits", { maxUploadBytes: 1024 }, "settings.maxUploadBytes"],
  ["limits", { maxBodyBytes: DEFAULT_MAXIMA.bodyBytes + 1 }, "settings.maxBodyBytes"],
  ["limits", { concurrentRequests: DEFAULT_MAXIMA.concurrentRequests + 1 }, "settings.concurrentRequests"],
  ["rest", { maxRows: DEFAULT_MAXIMA.rows + 1 }, "settings.maxRows"],
  ["gateway", { corsOrigins: ["https://a.com/path"] }, "settings.corsOrigins.0"],
  ["gateway", { corsOrigins: ["null"] }, "settings.corsOrigins.0"],
  ["gateway", { corsOrigins: ["*", "https://a.com"] }, "settings.corsOrigins"],
  ["gateway", { customHosts: ["API.example.com"] }, "settings.customHosts.0"],
  ["gateway", { customHosts: ["127.0.0.1"] }, "settings.customHosts.0"],
  ["gateway", { customHosts: ["localhost"] }, "settings.customHosts.0"],
  ["gateway", { customHosts: ["a.localhost"] }, "settings.customHosts.0"],
  ["gateway", { customHosts: ["api.example.com:80"] }, "settings.customHosts.0"],
  ["gateway", { customHosts: ["*.example.com"] }, "settings.customHosts.0"],
])("%s %j is refused and the field named", (group, values, field) => {
  expect(refusal(group, values)?.field).toBe(field);
});

test.each<[SettingsGroup, Record<string, unknown>]>([
  ["rest", { schemas: ["api", "Größe", 'sp"ecial'], jwtRoleClaimKey: "$.app_metadata.role" }],
  ["rest", { preRequest: "public.check_request", appSettings: { jwt_exp: "3600" } }],
  ["auth", { siteUrl: "com.example.app://login", uriAllowList: ["https://*-team.example.app/**", "com.app://**"] }],
  ["auth", { siteUrl: "http://localhost:5173/" }],
  ["gateway", { corsOrigins: ["https://a.com", "http://localhost:5173"] }],
  ["gateway", { customHosts: ["api.example.com", "xn--bcher-kva.example"] }],
])("%s %j is taken as it is", (group, values) => {
  expect(change(group, values).effective[group]).toMatchObject(values);
});

test("an installation can allow less; what a project chose before is brought within", () => {
  const small = { ...DEFAULT_MAXIMA, sockets: 10, uploadBytes: 1024 };
  const strict = createSettingsPolicy(small);
  const chosen = { limits: { sockets: 500, concurrentRequests: 7 }, storage: { fileSizeLimitBytes: 4096 } };
  const { limits, storage } = effectiveSettings(strict, chosen, []);
  expect(limits).toMatchObject({ sockets: 10, concurrentRequests: 7, maxUploadBytes: 1024 });
  expect(storage.fileSizeLimitBytes).toBe(1024);
  expect(() => changeSettings(strict, untouched, "limits", { sockets: 11 })).toThrow("must be at most 10");
});

test("autoconfirm is on by default and says why", () => {
  expect(policy.defaults.auth.mailerAutoconfirm).toBe(true);
  expect(policy.fields.auth.mailerAutoconfirm?.description).toContain("no mail server");
});
