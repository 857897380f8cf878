import pg from "pg";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { createTestProjectDatabase, type TestProjectDatabase } from "../../test/harness/project-database.ts";
import type { ProjectDatabase, ProjectDatabases } from "../database/database.ts";
import { createProjectDatabases } from "../database/project-databases.ts";
import { readStandaloneConfig } from "./database-config.ts";

let project: TestProjectDatabase;
let databases: ProjectDatabases;
let database: ProjectDatabase;
let admin: pg.Client;
beforeAll(async () => {
  project = await createTestProjectDatabase(inject("clusterUrl"));
  databases = createProjectDatabases({ maxConnections: 2 });
  database = databases.get(project.projectRef, project.address);
  admin = new pg.Client({ connectionString: project.adminUrl });
  await admin.connect();
  // In a shared cluster nobody may look; the standalone form has a cluster where anybody may.
  await admin.query(`grant select on pg_catalog.pg_db_role_setting to ${project.address.user}`);
});
afterAll(async () => {
  await databases?.close();
  await admin?.end();
});

const configure = (setting: string) =>
  admin.query(`alter role ${project.address.user} in database ${project.address.database} ${setting}`);

test("the login's settings are those of now, and the pre-config function goes before them", async () => {
  await admin.query(`
    create schema setup;
    grant usage on schema setup to public;
    create function setup.configure() returns void language sql as $$
      select set_config('pgrst.db_aggregates_enabled', 'true', true), set_config('pgrst.jwt_aud', 'function', true)
    $$`);
  await configure("set pgrst.db_max_rows = '2'");
  await configure("set pgrst.jwt_aud = 'login'");
  expect(await readStandaloneConfig(database, null)).toEqual({ maxRows: 2, jwtAudience: "login" });
  expect(await readStandaloneConfig(database, "setup.configure")).toEqual({
    maxRows: 2,
    jwtAudience: "function",
    aggregatesEnabled: true,
  });
  // The pool's connection was made with the setting from before.
  await configure("set pgrst.db_max_rows = '1'");
  expect(await readStandaloneConfig(database, "setup.configure")).toMatchObject({ maxRows: 1 });
  await configure("reset pgrst.db_max_rows");
  expect(await readStandaloneConfig(database, "setup.configure")).not.toHaveProperty("maxRows");
});
