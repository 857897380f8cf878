import { expect, test } from "vitest";
import { DEDICATED_SERVICES, defaultImages, environmentNames, imageOverrides, withOverrides } from "./images.ts";
import { type OfficialSettings, officialEnvironment } from "./official-environment.ts";

const SETTINGS: OfficialSettings = {
  ref: "abcdefghijklmnopqrst",
  gatewayUrl: "http://localhost:8083/projects/abcdefghijklmnopqrst",
  siteUrl: "http://localhost:3000",
  redirectUrls: ["http://localhost:3000/a", "http://localhost:3000/b"],
  jwtSecret: "jwt-secret",
  jwtExpirySeconds: 3600,
  anonKey: "anon-key",
  serviceRoleKey: "service-key",
  isSignUpDisabled: false,
  databasePassword: "p@ss/word$HOME",
  schemas: ["public", "storage", "graphql_public"],
  maxRows: 1000,
  maxUploadBytes: 52_428_800,
  smtp: null,
  realtime: { encryptionKey: "k".repeat(16), secretKeyBase: "s".repeat(64), metricsSecret: "metrics" },
  s3: { accessKeyId: "id", secretAccessKey: "secret" },
};

test("every image of both sets has a fixed version", () => {
  const { supalove, supabase } = defaultImages("1.2.3");
  for (const { image } of [...Object.values(supalove), ...Object.values(supabase)]) {
    expect(image).toMatch(/:[\w.]+$/);
    expect(image).not.toMatch(/:latest$/);
  }
});

test("an operator replaces single images, and the others stay", () => {
  const changed = imageOverrides.parse('{"supabase":{"rest":"registry.example.com:5000/postgrest:v14.18"}}');
  const table = withOverrides(defaultImages("1.2.3"), changed);
  expect(table.supabase.rest).toEqual({ image: "registry.example.com:5000/postgrest:v14.18", port: 3000 });
  expect(table.supabase.auth).toEqual(defaultImages("1.2.3").supabase.auth);
  expect(table.supalove).toEqual(defaultImages("1.2.3").supalove);
});

test.each([
  ["no JSON", "rest=x", /must be JSON/],
  ["latest", '{"supalove":{"rest":"a/b:latest"}}', /supalove.rest: must have a fixed tag/],
  ["no tag", '{"supalove":{"rest":"a/b"}}', /supalove.rest: must be <repository>:<tag>/],
  ["an unknown service", '{"supalove":{"studio":"a/b:1"}}', /studio|supalove/],
])("%s is refused with the place", (_case, text, message) => {
  expect(() => imageOverrides.parse(text)).toThrow(message);
});

test("auth's links lead to the gateway, and its password survives in the URL whatever it holds", () => {
  const auth = officialEnvironment("auth", SETTINGS);
  expect(auth.API_EXTERNAL_URL).toBe(`${SETTINGS.gatewayUrl}/auth/v1`);
  expect(decodeURIComponent(new URL(auth.GOTRUE_DB_DATABASE_URL ?? "").password)).toBe(SETTINGS.databasePassword);
  expect(auth.GOTRUE_URI_ALLOW_LIST).toBe("http://localhost:3000/a,http://localhost:3000/b");
});

test("realtime and storage know the project as their tenant", () => {
  expect(officialEnvironment("realtime", SETTINGS)).toMatchObject({
    SELF_HOST_TENANT_NAME: SETTINGS.ref,
    DB_HOST: "db",
  });
  expect(officialEnvironment("storage", SETTINGS)).toMatchObject({
    TENANT_ID: SETTINGS.ref,
    POSTGREST_URL: "http://rest:3000",
  });
});

test("each official service is given exactly the variables of Supabase's compose file that it needs", () => {
  const names = Object.fromEntries(
    DEDICATED_SERVICES.map((service) => [service, environmentNames("supabase", service)]),
  );
  const prefixed = (prefix: string, list: string) => list.split(" ").map((name) => `${prefix}${name}`);
  expect(names.db?.sort()).toEqual(
    "JWT_EXP PGDATABASE PGPASSWORD PGPORT POSTGRES_DB POSTGRES_HOST POSTGRES_PASSWORD POSTGRES_PORT".split(" "),
  );
  expect(names.rest?.sort()).toEqual(
    prefixed(
      "PGRST_",
      "ADMIN_SERVER_HOST ADMIN_SERVER_PORT APP_SETTINGS_JWT_EXP DB_ANON_ROLE DB_EXTRA_SEARCH_PATH DB_MAX_ROWS DB_SCHEMAS DB_URI DB_USE_LEGACY_GUCS JWT_SECRET",
    ),
  );
  expect(names.auth?.sort()).toEqual([
    "API_EXTERNAL_URL",
    ...prefixed(
      "GOTRUE_",
      "API_HOST API_PORT DB_DATABASE_URL DB_DRIVER DISABLE_SIGNUP EXTERNAL_ANONYMOUS_USERS_ENABLED EXTERNAL_EMAIL_ENABLED EXTERNAL_PHONE_ENABLED JWT_ADMIN_ROLES JWT_AUD JWT_DEFAULT_GROUP_NAME JWT_EXP JWT_ISSUER JWT_SECRET MAILER_AUTOCONFIRM MAILER_URLPATHS_CONFIRMATION MAILER_URLPATHS_EMAIL_CHANGE MAILER_URLPATHS_INVITE MAILER_URLPATHS_RECOVERY SITE_URL SMS_AUTOCONFIRM SMTP_ADMIN_EMAIL SMTP_HOST SMTP_PASS SMTP_PORT SMTP_SENDER_NAME SMTP_USER URI_ALLOW_LIST",
    ),
  ]);
  expect(names.storage?.sort()).toEqual(
    "ANON_KEY AUTH_JWT_SECRET DATABASE_URL ENABLE_IMAGE_TRANSFORMATION FILE_SIZE_LIMIT FILE_STORAGE_BACKEND_PATH GLOBAL_S3_BUCKET IMGPROXY_URL POSTGREST_URL REGION REQUEST_ALLOW_X_FORWARDED_PATH S3_PROTOCOL_ACCESS_KEY_ID S3_PROTOCOL_ACCESS_KEY_SECRET SERVICE_KEY STORAGE_BACKEND STORAGE_PUBLIC_URL TENANT_ID".split(
      " ",
    ),
  );
  expect(names.realtime?.sort()).toEqual(
    "API_JWT_SECRET APP_NAME DB_AFTER_CONNECT_QUERY DB_ENC_KEY DB_HOST DB_NAME DB_PASSWORD DB_PORT DB_USER DNS_NODES ERL_AFLAGS METRICS_JWT_SECRET PORT RLIMIT_NOFILE RUN_JANITOR SECRET_KEY_BASE SEED_SELF_HOST SELF_HOST_TENANT_NAME".split(
      " ",
    ),
  );
  expect(names.gateway).toEqual([]);
});
