import { expect, test } from "vitest";
import { projectSnapshot } from "../auth/testing/snapshot.ts";
import { configOfProject, isServiceRoleName } from "./config.ts";

test.each([
  "anon",
  "authenticated",
  "service_role",
  "my_role",
  "Postgres",
  "xpg_monitor",
  "postgres2",
  "a_supabase_admin",
])("%s may be a role of a token", (role) => expect(isServiceRoleName(role)).toBe(false));

test.each([
  "supabase_admin",
  "supabase_",
  "project_abcdefghijklmnopqrst",
  "pg_read_all_data",
  "postgres",
  "authenticator",
  "dashboard_user",
  "pgbouncer",
  "none",
])("%s is a service's role or none at all, which no token gets", (role) => expect(isServiceRoleName(role)).toBe(true));

test("a project has the anonymous role, its own keys and the role settings of its own view", () => {
  const snapshot = projectSnapshot();
  const config = configOfProject(snapshot);
  expect(config).toMatchObject({
    anonRole: "anon",
    roleSettings: "project",
    cors: "off",
    channel: "pgrst",
    schemas: snapshot.rest.schemas,
    maxBodyBytes: snapshot.limits.maxBodyBytes,
    openApiServerProxyUri: `${snapshot.publicUrl}/rest/v1`,
  });
  expect(config.refusesRole("supabase_admin")).toBe(true);
  expect(config.jwtKeys?.secrets.map(({ key }) => key.toString("utf8"))).toEqual([snapshot.jwt.secret]);
});

test("keys of two projects are never the same", () => {
  const [first, second] = [projectSnapshot(), projectSnapshot()].map((snapshot) => configOfProject(snapshot));
  expect(first?.jwtKeys?.secrets[0]?.key.equals(second?.jwtKeys?.secrets[0]?.key ?? Buffer.alloc(0))).toBe(false);
});
