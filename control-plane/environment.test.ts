import { expect, test } from "vitest";
import { parseEnvironment } from "./environment.ts";

const DATABASE_URL = "postgresql://supabase_admin:hunter2@localhost:5435/postgres";

test("a database URL is all that must be given", () => {
  expect(parseEnvironment({ DATABASE_URL })).toMatchObject({ CONTROL_PLANE_PORT: 8000, SUPALOVE_OPEN_SIGNUP: false });
});

test("an empty variable counts as unset, as compose files leave them", () => {
  expect(parseEnvironment({ DATABASE_URL, SUPALOVE_GATEWAY_TOKEN: "" }).SUPALOVE_GATEWAY_TOKEN).toBeUndefined();
});

test("all problems are reported at once, and no value", () => {
  const parse = () =>
    parseEnvironment({
      DATABASE_URL: "mysql://root:hunter2@localhost",
      CONTROL_PLANE_PORT: "many",
      SUPALOVE_GATEWAY_TOKEN: "hunter2",
      SUPALOVE_DASHBOARD_ORIGINS: "https://a.example/path",
    });
  for (const name of ["DATABASE_URL", "CONTROL_PLANE_PORT", "SUPALOVE_DASHBOARD_ORIGINS", "SUPALOVE_GATEWAY_TOKEN"]) {
    expect(parse).toThrow(`  ${name}: `);
  }
  expect(parse).not.toThrow(/hunter2/);
});

test("an owner's e-mail without a password is a mistake", () => {
  expect(() => parseEnvironment({ DATABASE_URL, SUPALOVE_OWNER_EMAIL: "a@example.com" })).toThrow(/go together/);
});
