import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasPostgres, startTestCluster, type TestCluster } from "../../test/harness/cluster.ts";
import { bootstrapCluster } from "./bootstrap.ts";
import { connectAsAdmin, parseClusterUrl } from "./cluster-connections.ts";
import { dropProjectDatabase, ensureProjectDatabase, grantProject } from "./project-database.ts";
import { dropProjectRoles, ensureProjectRoles } from "./project-roles.ts";
import { ensureTemplate } from "./template.ts";

const SHARED = [
  "anon",
  "authenticated",
  "service_role",
  "supabase_auth_admin",
  "supabase_realtime_admin",
  "supabase_storage_admin",
];

for (const major of [15, 17, 18] as const) {
  describe.skipIf(!hasPostgres(major))(`PostgreSQL ${major}`, () => {
    let cluster: TestCluster;
    let admin: pg.Client;
    beforeAll(async () => {
      cluster = await startTestCluster(major);
      admin = await connectAsAdmin(parseClusterUrl(cluster.url), "postgres");
    });
    afterAll(async () => {
      await admin?.end();
      await cluster?.stop();
    });

    const rolesOf = async (names: readonly string[]) =>
      (
        await admin.query<{ rolname: string; powers: string }>(
          `select rolname, concat_ws(' ', case when rolsuper then 'super' end, case when rolcreaterole then 'createrole' end,
             case when rolcreatedb then 'createdb' end, case when rolreplication then 'replication' end,
             case when rolcanlogin then 'login' end, case when rolbypassrls then 'bypassrls' end,
             case when not rolinherit then 'noinherit' end) as powers
           from pg_roles where rolname = any ($1) order by rolname`,
          [names],
        )
      ).rows.map(({ rolname, powers }) => `${rolname}: ${powers}`);
    const membershipsOf = async (member: string) =>
      (
        await admin.query<{ role: string }>(
          "select roleid::regrole::text as role from pg_auth_members where member = $1::regrole order by 1",
          [member],
        )
      ).rows.map(({ role }) => role);

    test("an empty cluster gets powerless shared roles, and running it at once twice or again changes nothing", async () => {
      const second = await connectAsAdmin(parseClusterUrl(cluster.url), "postgres");
      const results = await Promise.all([bootstrapCluster(admin), bootstrapCluster(second)]);
      await second.end();
      expect(results).toEqual([
        { postgresGroup: "postgres", openDatabases: [] },
        { postgresGroup: "postgres", openDatabases: [] },
      ]);
      const snapshot = async () => (await admin.query("select oid, rolname, xmin from pg_authid order by oid")).rows;
      const before = await snapshot();
      await bootstrapCluster(admin);
      expect(await snapshot()).toEqual(before);
      expect(await rolesOf([...SHARED, "postgres", "supabase_replication_admin"])).toEqual([
        "anon: ",
        "authenticated: ",
        "postgres: bypassrls",
        "service_role: bypassrls",
        "supabase_auth_admin: ",
        "supabase_realtime_admin: ",
        "supabase_replication_admin: replication login noinherit",
        "supabase_storage_admin: ",
      ]);
      expect(await membershipsOf("postgres")).toEqual(SHARED);
    });

    test("the maintenance databases are closed to PUBLIC; a stranger's database is named and left alone", async () => {
      await admin.query("create database somebodys_app");
      const { openDatabases } = await bootstrapCluster(admin);
      expect(openDatabases).toEqual(["somebodys_app"]);
      const { rows } = await admin.query(
        "select datname from pg_database where datallowconn and has_database_privilege('public', oid, 'connect')",
      );
      expect(rows).toEqual([{ datname: "somebodys_app" }]);
      await admin.query("drop database somebodys_app");
    });

    test("databases with the connection limit of earlier versions get today's; one that an operator has chosen stays", async () => {
      const limits = { [`project_${"a".repeat(20)}`]: 60, [`project_${"b".repeat(20)}`]: 90, somebodys_app: 60 };
      for (const [name, limit] of Object.entries(limits))
        await admin.query(`create database ${name} connection limit ${limit}`);
      await bootstrapCluster(admin);
      const { rows } = await admin.query(
        "select datconnlimit as limit from pg_database where datname = any ($1) order by datname",
        [Object.keys(limits)],
      );
      expect(rows.map(({ limit }) => limit)).toEqual([30, 90, 60]);
      for (const name of Object.keys(limits)) await admin.query(`drop database ${name}`);
    });

    test("the replication login can log in with the password it was given, and only then", async () => {
      const login = (password: string) =>
        connectAsAdmin({ ...parseClusterUrl(cluster.url), user: "supabase_replication_admin", password }, "postgres");
      await bootstrapCluster(admin);
      await expect(login("replication-password")).rejects.toMatchObject({ code: "28P01" });
      await bootstrapCluster(admin, { replicationPassword: "replication-password" });
      // The password is right, and still database `postgres` is closed to it.
      await expect(login("replication-password")).rejects.toMatchObject({ code: "42501" });
    });

    test("roles of a Supabase installation lose what would reach across projects", async () => {
      await admin.query(`
        alter role supabase_auth_admin login createrole noinherit password 'x';
        alter role supabase_storage_admin login createrole noinherit;
        alter role supabase_realtime_admin replication createrole;
        alter role authenticator login noinherit;
        grant authenticator to supabase_storage_admin;
        grant pg_read_all_data, pg_signal_backend, pg_monitor to postgres;
        grant anon to postgres with admin option;
        alter role postgres login createrole createdb replication;`);
      const { postgresGroup } = await bootstrapCluster(admin);
      expect(postgresGroup).toBe("supabase_postgres");
      expect(await rolesOf([...SHARED, "supabase_postgres"])).toEqual([
        "anon: ",
        "authenticated: ",
        "service_role: bypassrls",
        "supabase_auth_admin: ",
        "supabase_postgres: bypassrls",
        "supabase_realtime_admin: ",
        "supabase_storage_admin: ",
      ]);
      expect(await membershipsOf("supabase_storage_admin")).toEqual([]);
      expect(await membershipsOf("supabase_postgres")).toEqual(SHARED);
      // Not ours to change: nobody of ours can become it.
      expect(await rolesOf(["postgres", "authenticator"])).toEqual([
        "authenticator: login noinherit",
        "postgres: createrole createdb replication login bypassrls",
      ]);
      expect(await bootstrapCluster(admin)).toEqual({ postgresGroup: "supabase_postgres", openDatabases: [] });
    });

    test("where `postgres` is a superuser the group has another name", async () => {
      await admin.query("alter role postgres superuser");
      const roles = await bootstrapCluster(admin);
      expect(roles.postgresGroup).toBe("supabase_postgres");
      // A project there is as any other, and its user has nothing of `postgres`.
      const [ref, address] = ["a".repeat(20), parseClusterUrl(cluster.url)];
      const connect = (database: string) => connectAsAdmin(address, database);
      const template = await ensureTemplate(admin, connect, roles);
      await ensureProjectRoles(admin, ref, roles, {
        userPassword: "user-password",
        authenticatorPassword: "no-matter",
      });
      await ensureProjectDatabase(admin, ref, template);
      const session = await connect(`project_${ref}`);
      await grantProject(session, ref, roles);
      await session.end();
      const user = await connectAsAdmin(
        { ...address, user: `project_${ref}_user`, password: "user-password" },
        `project_${ref}`,
      );
      await expect(user.query("set role postgres")).rejects.toMatchObject({ code: "42501" });
      await user.query(`create table public.todos (id int); alter table public.todos owner to supabase_postgres;
        create policy mine on storage.objects using (true); set role anon; select from public.todos`);
      await user.end();
      await dropProjectDatabase(admin, ref);
      await dropProjectRoles(admin, connect, ref);
      await admin.query(`drop database ${template.name}`);
      await admin.query("alter role postgres nosuperuser nocreaterole nocreatedb noreplication nologin");
    });

    test("a powerless `postgres` that owns a database is no group for tenants either", async () => {
      await admin.query("create database prior owner postgres");
      await admin.query("revoke all on database prior from public");
      expect((await bootstrapCluster(admin)).postgresGroup).toBe("supabase_postgres");
      await admin.query("drop database prior");
    });
  });
}
