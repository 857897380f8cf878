import { expect, test } from "vitest";
import { fieldsFromDatabase, InvalidEnvironment, readEnvironment } from "./environment.ts";

const SECRET = "reallyreallyreallyreallyverysafe";

test("PostgREST's names and defaults", () => {
  const { config, database, pool } = readEnvironment({
    PGRST_DB_URI: "postgres://me:p%40ss@db.example:5433/app?sslmode=require",
    PGRST_DB_SCHEMAS: "api, other",
    PGRST_DB_ANON_ROLE: "web",
    PGRST_JWT_SECRET: SECRET,
    PGRST_APP_SETTINGS_MY_KEY: "v",
    PGRST_DB_POOL: "3",
  });
  expect(database).toEqual({
    host: "db.example",
    port: 5433,
    database: "app",
    user: "me",
    password: "p@ss",
    ssl: true,
  });
  expect(pool.size).toBe(3);
  expect(config).toMatchObject({
    schemas: ["api", "other"],
    extraSearchPath: ["public"],
    anonRole: "web",
    maxRows: null,
    txEnd: "commit",
    appSettings: { my_key: "v" },
    cors: { allowedOrigins: [] },
    channel: "pgrst",
    serverHost: "0.0.0.0",
  });
  expect(config.jwtKeys?.secrets[0]?.key.toString()).toBe(SECRET);
});

test("keywords and libpq's variables give what the URI leaves out", () => {
  const { database } = readEnvironment({
    PGRST_DB_URI: "host=h password='a b'",
    PGUSER: "u",
    PGDATABASE: "d",
    PGPORT: "9",
  });
  expect(database).toEqual({ host: "h", port: 9, database: "d", user: "u", password: "a b", ssl: false });
});

test("secrets may be base64, a key or a set of keys", () => {
  const keys = (secret: string, base64 = "false") =>
    readEnvironment({ PGRST_JWT_SECRET: secret, PGRST_JWT_SECRET_IS_BASE64: base64 }).config.jwtKeys;
  expect(keys(Buffer.from(SECRET).toString("base64"), "true")?.secrets[0]?.key.toString()).toBe(SECRET);
  expect(keys('{"kty":"RSA","n":"x"}')?.jwks).toEqual([{ kty: "RSA", n: "x" }]);
  expect(keys('{"keys":[{"kty":"RSA"}]}')?.jwks).toEqual([{ kty: "RSA" }]);
});

test("all problems are told at once", () => {
  expect(() =>
    readEnvironment({
      PGRST_DB_SCHEMAS: "pg_catalog",
      PGRST_JWT_SECRET: "short",
      PGRST_JWT_ROLE_CLAIM_KEY: "nonsense",
    }),
  ).toThrow(
    expect.objectContaining({
      problems: [
        "PGRST_DB_SCHEMAS: pg_catalog cannot be exposed",
        "PGRST_JWT_SECRET: needs at least 32 characters",
        "PGRST_JWT_ROLE_CLAIM_KEY: jwt-role-claim-key is no JSON path: nonsense",
      ],
    }),
  );
  expect(() => readEnvironment({ PGRST_DB_POOL: "many", PGRST_DB_TX_END: "never" })).toThrow(InvalidEnvironment);
});

test("the database sets only what it may, by its own names", () => {
  const fields = fieldsFromDatabase(
    new Map([
      ["pgrst.db_schemas", "a,b"],
      ["pgrst.db_max_rows", "5"],
      ["pgrst.server_port", "1"],
      ["search_path", "x"],
      ["app.settings.x", "y"],
    ]),
  );
  expect(fields).toEqual({ schemas: ["a", "b"], maxRows: 5, appSettings: { x: "y" } });
});

test("the database cannot have files read", () => {
  const { jwtKeys } = fieldsFromDatabase(new Map([["pgrst.jwt_secret", `@${"/etc/passwd".padEnd(40, "x")}`]]));
  expect(jwtKeys?.secrets[0]?.key.toString()).toMatch(/^@\/etc/);
});
