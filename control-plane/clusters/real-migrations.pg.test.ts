/** What public applications' migrations, tools and dumps expect of the database, in the words they use. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";
import type pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { hasPostgres, startTestCluster, type TestCluster } from "../../test/harness/cluster.ts";
import { bootstrapCluster } from "./bootstrap.ts";
import { type ClusterAddress, connectAsAdmin, parseClusterUrl } from "./cluster-connections.ts";
import { ensureProjectDatabase, grantExistingObjects, grantProject } from "./project-database.ts";
import { ensureProjectRoles } from "./project-roles.ts";
import { ensureTemplate } from "./template.ts";

const REF = "mmmmmmmmmmmmmmmmmmmm";
const DATABASE = `project_${REF}`;
const PG_DUMP = "/usr/lib/postgresql/15/bin/pg_dump";

for (const major of [15, 17, 18] as const) {
  describe.skipIf(!hasPostgres(major))(`PostgreSQL ${major}`, () => {
    let cluster: TestCluster;
    let address: ClusterAddress;
    let user: pg.Client;

    beforeAll(async () => {
      cluster = await startTestCluster(major, { shared_preload_libraries: "pg_stat_statements" });
      address = parseClusterUrl(cluster.url);
      const admin = await connectAsAdmin(address, "postgres");
      const roles = await bootstrapCluster(admin);
      const template = await ensureTemplate(admin, (database) => connectAsAdmin(address, database), roles);
      await ensureProjectRoles(admin, REF, roles, {
        userPassword: "user-password",
        authenticatorPassword: "no-matter",
      });
      await ensureProjectDatabase(admin, REF, template);
      await admin.end();
      const session = await connectAsAdmin(address, DATABASE);
      await grantProject(session, REF, roles);
      await session.end();
      user = await connectAsAdmin({ ...address, user: `${DATABASE}_user`, password: "user-password" }, DATABASE);
    });
    afterAll(async () => {
      await user?.end();
      await cluster?.stop();
    });
    // Each input is tried as a migration file is run: in a transaction of its own.
    beforeEach(() => user.query("begin"));
    afterEach(() => user.query("rollback"));

    test.each([
      ["a schema", "create schema api; create table api.x (id int)", "select * from api.x"],
      [
        "the list of migrations",
        "create schema supabase_migrations; create table supabase_migrations.schema_migrations (version text primary key)",
        "insert into supabase_migrations.schema_migrations values ('1'); select * from supabase_migrations.schema_migrations",
      ],
      ["a sequence", "create schema api; create sequence api.s", "select nextval('api.s')"],
      [
        "a function",
        "create schema api; create function api.f() returns int language sql as 'select 1'; revoke all on function api.f from public",
        "select api.f()",
      ],
      [
        "a type",
        "create schema api; create type api.mood as enum ('ok'); revoke all on type api.mood from public",
        "select 'ok'::api.mood; create table api.of_it (m api.mood)",
      ],
    ])("what the project's user makes is open to role postgres: %s", async (_, made, used) => {
      await user.query(made);
      await user.query("set local role postgres");
      await user.query(used);
    });

    test("so is what he made before it was", async () => {
      await user.query("commit");
      await user.query(`alter default privileges revoke all on schemas from postgres;
        alter default privileges revoke all on tables from postgres;
        alter default privileges revoke all on functions from postgres`);
      await user.query(`create schema "old one"; create table "old one"."a.b" (id int); create type "old one".kind as enum ('x');
        create function "old one".f("x y" int) returns int language sql as 'select 1'; revoke all on function "old one".f from public`);
      const session = await connectAsAdmin(address, DATABASE);
      const roles = { postgresGroup: "postgres" } as Parameters<typeof grantExistingObjects>[2];
      await grantExistingObjects(session, REF, roles);
      await grantProject(session, REF, roles);
      await session.end();
      await user.query("begin");
      await user.query("set local role postgres");
      await user.query(`select * from "old one"."a.b"; select "old one".f(1); select 'x'::"old one".kind`);
      await user.query("commit");
      await user.query('drop schema "old one" cascade');
      await user.query("begin");
    });

    test("he goes on being himself", async () => {
      const { rows } = await user.query("select current_database(), current_user, session_user");
      expect(rows).toEqual([
        { current_database: DATABASE, current_user: `${DATABASE}_user`, session_user: `${DATABASE}_user` },
      ]);
    });

    test.each([
      ["a starter kit's revoke on database postgres", 'revoke all privileges on database "postgres" from anon'],
      ["the first line of a data dump", "set session_replication_role = replica"],
      ["a function in extensions", "create function extensions.f() returns int language sql as 'select 1'"],
      ["a comment on a preinstalled extension", `comment on extension "uuid-ossp" is 'x'`],
      ["dropping a preinstalled extension", "drop extension if exists pgcrypto"],
      ["statistics of statements", "select query, calls from extensions.pg_stat_statements limit 1"],
      ["since when they are counted", "select stats_reset from extensions.pg_stat_statements_info"],
      ["a publication by name", "drop publication if exists supabase_realtime; create publication supabase_realtime"],
      ["an owner by name", "create table public.t (id int); alter table public.t owner to postgres"],
    ])("%s", async (_, sql) => {
      await user.query(sql);
    });

    test("statistics show statements of this project's database alone", async () => {
      await user.query("select 'mine' as only_here");
      const { rows } = await user.query(
        "select count(*)::int as others from extensions.pg_stat_statements where dbid <> (select oid from pg_database where datname = current_database())",
      );
      expect(rows).toEqual([{ others: 0 }]);
    });

    test.each([
      "drop table auth.users cascade",
      "alter table auth.users drop column email",
      "drop function auth.uid cascade",
      "drop schema storage cascade",
    ])("who silences triggers does not silence the guards: %s", async (sql) => {
      await user.query("set local session_replication_role = replica");
      await expect(user.query(sql)).rejects.toMatchObject({ code: "42501" });
    });

    test("the schema cache hears of what a dump loads with triggers silenced", async () => {
      const heard = new Promise((resolve) => user.once("notification", resolve));
      await user.query("listen pgrst");
      await user.query("set local session_replication_role = replica");
      await user.query("create table public.loaded (id int)");
      await user.query("commit");
      await heard;
      await user.query("unlisten *; drop table public.loaded; begin");
    });

    describe.skipIf(major !== 15 || !existsSync(PG_DUMP))("pg_dump", () => {
      const dump = (...args: string[]) =>
        promisify(execFile)(
          PG_DUMP,
          ["-d", `postgresql://${DATABASE}_user@${address.host}:${address.port}/${DATABASE}`, ...args],
          {
            env: { PGPASSWORD: "user-password" },
            maxBuffer: 1 << 26,
          },
        );

      test("writes plain SQL, as the project's user and as postgres", async () => {
        await user.query("commit");
        await user.query("create schema app; create table app.dumped (id int)");
        expect((await dump()).stdout).toContain("CREATE TABLE app.dumped");
        expect((await dump("--role", "postgres", "-n", "app")).stdout).toContain("CREATE TABLE app.dumped");
        await user.query("drop schema app cascade; begin");
      });

      test("in an archive's format is refused, for it wants the settings of all databases", async () => {
        await expect(dump("-Fc", "-f", "/dev/null")).rejects.toThrow("permission denied for table pg_db_role_setting");
      });
    });
  });
}
