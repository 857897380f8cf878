/** What a tenant can see and touch of others through what all databases of a cluster share, and what exactly he can not. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasPostgres } from "../harness/cluster.ts";
import { identitiesOf, type Neighbours, startNeighbours, type Tenant, VERSIONS } from "./tenants.ts";

for (const major of VERSIONS) {
  describe.skipIf(!hasPostgres(major))(`PostgreSQL ${major}`, () => {
    let neighbours: Neighbours;
    let alice: Tenant;
    let bob: Tenant;
    beforeAll(async () => {
      neighbours = await startNeighbours(major);
      ({ alice, bob } = neighbours);
    });
    afterAll(() => neighbours?.stop());

    /** Everything that any of alice's identities reads with the query, as text. */
    const allThatAliceReads = async (query: string): Promise<string> => {
      const rows: unknown[] = [];
      for (const { client, role } of identitiesOf(alice)) {
        if (role) await client.query(`set role ${role}`);
        rows.push(...(await client.query(query)).rows);
        await client.query("reset role");
      }
      return JSON.stringify(rows);
    };

    test("names of databases and roles are visible, and nothing else of a role", async () => {
      const seen = await allThatAliceReads("select * from pg_roles union all select * from pg_roles");
      expect(seen).toContain(bob.userRole);
      expect(await allThatAliceReads("select datname from pg_database")).toContain(bob.database);
      const { rows } = await alice.user.query("select * from pg_roles where rolname = $1", [bob.userRole]);
      expect(rows[0]).toMatchObject({ rolpassword: "********", rolconfig: null, rolcanlogin: true });
    });

    test("of others' databases one sees comments, totals, slots' names and locks by number: PostgreSQL hides none of these", async () => {
      await neighbours.admin.query(`comment on database ${bob.database} is 'comment-of-bob'`);
      await neighbours.admin.query("select pg_create_physical_replication_slot('slot_of_the_cluster')");
      await bob.user.query("begin; lock table storage.objects in share mode");
      const counts = await alice.user.query(
        `select (select shobj_description(oid, 'pg_database') from pg_database where datname = $1) as comment,
           (select count(*)::int from pg_stat_database where datname = $1 and xact_commit is not null) as totals,
           (select count(*)::int from pg_replication_slots where slot_name = 'slot_of_the_cluster') as slots,
           (select count(*)::int from pg_locks l join pg_database d on d.oid = l.database
            where d.datname = $1 and l.mode = 'ShareLock' and l.locktype = 'relation') as locks,
           (select count(*)::int from pg_auth_members where member = to_regrole($2)) as memberships`,
        [bob.database, bob.userRole],
      );
      await bob.user.query("rollback");
      await neighbours.admin.query("select pg_drop_replication_slot('slot_of_the_cluster')");
      expect(counts.rows).toEqual([{ comment: "comment-of-bob", totals: 1, slots: 1, locks: 1, memberships: 2 }]);
    });

    test("settings stored for others, secrets among them, are not visible in any view", async () => {
      await bob.user.query(`alter role ${bob.userRole} set application_name = 'secret-of-bob'`);
      await bob.user.query(
        `alter role ${bob.userRole} in database ${bob.database} set application_name = 'secret-of-bob'`,
      );
      await bob.user.query("set role anon; alter role anon set application_name = 'secret-of-bob'; reset role");
      await neighbours.admin.query(`alter database ${bob.database} set "app.settings.jwt_secret" = 'secret-of-bob'`);
      for (const view of ["pg_roles", "pg_user", "supalove.role_settings", "information_schema.enabled_roles"]) {
        expect((await allThatAliceReads(`select * from ${view}`)).includes("secret-of-bob"), view).toBe(false);
      }
      // His own are.
      const own = await bob.user.query("select rolconfig::text from pg_roles where rolname = current_user");
      expect(own.rows[0].rolconfig).toContain("secret-of-bob");
      const inDatabase = await bob.user.query(
        "select value from supalove.role_settings where name = 'application_name'",
      );
      expect(inDatabase.rows).toEqual([{ value: "secret-of-bob" }]);
    });

    test("of another's session one sees that it is there: database, login, application name and no more", async () => {
      await bob.user.query("set application_name = 'app-of-bob'; select 'secret-of-bob'");
      const { rows } = await alice.user.query("select * from pg_stat_activity where usename = $1", [bob.userRole]);
      expect(rows.length).toBeGreaterThan(0);
      for (const row of rows) {
        const known = Object.entries(row).filter(([, value]) => value !== null);
        expect(
          known
            .map(([name]) => name)
            .filter((name) => name !== "leader_pid")
            .sort(),
        ).toEqual(["application_name", "datid", "datname", "pid", "query", "usename", "usesysid"]);
        expect(row.query).toBe("<insufficient privilege>");
      }
      for (const view of [
        "pg_stat_replication",
        "pg_stat_ssl",
        "pg_stat_progress_copy",
        "pg_stat_progress_create_index",
      ]) {
        expect((await allThatAliceReads(`select * from ${view}`)).includes("secret-of-bob"), view).toBe(false);
      }
    });

    test("statements of others do not show, also when they ran as a role that everybody has", async () => {
      for (const role of ["anon", "postgres", "supabase_auth_admin"]) {
        await bob.user.query(`set role ${role}`);
        await bob.user.query("select 1 as secret_of_bob");
        await bob.user.query("reset role");
      }
      await alice.user.query("select 1 as statement_of_alice");
      const seen: string[] = [];
      for (const role of [null, "postgres"]) {
        if (role) await alice.user.query(`set role ${role}`);
        const { rows } = await alice.user.query<{ query: string }>("select query from extensions.pg_stat_statements");
        seen.push(...rows.map(({ query }) => query));
        await alice.user.query("reset role");
      }
      expect(seen.join("\n")).toContain("statement_of_alice");
      expect(seen.join("\n")).not.toContain("secret_of_bob");
      // No table or view of alice's own making may stand in for what the function reads.
      await alice.user.query(
        "create temp table pg_database as select oid, 'x'::name as datname from pg_catalog.pg_database",
      );
      expect(
        (await alice.user.query("select from extensions.pg_stat_statements where query like '%secret_of_bob%'"))
          .rowCount,
      ).toBe(0);
      await alice.user.query("drop table pg_temp.pg_database");
    });

    test("what one tenant stores for a shared role changes nothing for another", async () => {
      const settings = async () => {
        const { rows } = await bob.authenticator.query(
          "select role_name, name, value from supalove.role_settings order by 1, 2",
        );
        return rows.filter(({ role_name }) => role_name !== bob.userRole);
      };
      const before = await settings();
      for (const role of ["anon", "authenticated", "service_role", "postgres", "supabase_auth_admin"]) {
        // PostgreSQL allows it: everybody may store settings for the role he is, in any database.
        await alice.user.query(`set role ${role};
          alter role ${role} set statement_timeout = 1; alter role ${role} in database ${bob.database} set statement_timeout = 1;
          alter role ${role} in database ${bob.database} set search_path = mine; reset role`);
      }
      expect(await settings()).toEqual(before);
      const session = await bob.connect();
      for (const role of ["anon", "postgres"]) {
        await session.query(`set role ${role}`);
        const { rows } = await session.query(
          "select current_setting('statement_timeout') as timeout, current_setting('search_path') as path",
        );
        expect(rows).toEqual([{ timeout: "2min", path: '"$user", public, extensions' }]);
        await session.query("reset role");
      }
      await session.end();
    });

    test("notifications stay in their database", async () => {
      const heard: string[] = [];
      bob.user.on("notification", ({ payload }) => heard.push(payload ?? ""));
      await bob.user.query("listen pgrst; listen supalove_realtime_messages; listen mine");
      await alice.user.query(
        "notify pgrst, 'from-alice'; notify supalove_realtime_messages, 'from-alice'; notify mine, 'from-alice'",
      );
      await bob.user.query("notify mine, 'from-bob'");
      await bob.user.query("select 1");
      expect(heard).toEqual(["from-bob"]);
      await bob.user.query("unlisten *");
    });

    test("advisory locks stay in their database", async () => {
      await alice.user.query("select pg_advisory_lock(4711)");
      expect((await bob.user.query("select pg_try_advisory_lock(4711) as free")).rows).toEqual([{ free: true }]);
      await alice.user.query("select pg_advisory_unlock_all()");
      await bob.user.query("select pg_advisory_unlock_all()");
    });

    test("large objects stay in their database", async () => {
      const { rows } = await bob.user.query<{ id: number }>("select lo_from_bytea(0, 'secret-of-bob') as id");
      await expect(alice.user.query(`select lo_get(${rows[0]?.id})`)).rejects.toMatchObject({ code: "42704" });
    });

    test("there are no prepared transactions, which would outlive their session and hold up a deletion", async () => {
      await alice.user.query("begin; create table public.t ()");
      await expect(alice.user.query("prepare transaction 'mine'")).rejects.toMatchObject({ code: "55000" });
      await alice.user.query("rollback");
    });

    test("tearing down what shared roles own and may do ends at one's own database", async () => {
      const carol = await neighbours.addTenant();
      await bob.user.query(
        "create table public.kept (id int); alter table public.kept owner to postgres; insert into public.kept values (1)",
      );
      const databases = async () =>
        (await neighbours.admin.query("select datname, datacl::text from pg_database order by 1")).rows;
      const before = await databases();
      for (const role of ["anon", "authenticated", "service_role", "postgres"]) {
        await carol.user
          .query(`set role ${role}; drop owned by ${role} cascade; reset role`)
          .catch(() => carol.user.query("reset role"));
      }
      await carol.user.query(`reassign owned by postgres to ${carol.userRole}`);
      expect(await databases()).toEqual(before);
      for (const role of ["anon", "authenticated", "service_role"]) {
        await bob.authenticator.query(`set role ${role}`);
        expect((await bob.authenticator.query("select * from public.kept")).rows).toEqual([{ id: 1 }]);
        await bob.authenticator.query("reset role");
      }
      await bob.user.query("set role authenticated");
      expect((await bob.user.query("select auth.uid() as id")).rows).toEqual([{ id: null }]);
      await bob.user.query("reset role; drop table public.kept");
    });

    test("a login has its limits from outside: connections, temporary files, and times it may shorten or lengthen itself", async () => {
      const dave = await neighbours.addTenant();
      const { rows } = await dave.user.query(
        `select name, setting, unit from pg_settings where name in
           ('statement_timeout', 'idle_in_transaction_session_timeout', 'temp_file_limit') order by 1`,
      );
      expect(rows).toEqual([
        { name: "idle_in_transaction_session_timeout", setting: "300000", unit: "ms" },
        { name: "statement_timeout", setting: "120000", unit: "ms" },
        { name: "temp_file_limit", setting: String(1024 * 1024), unit: "kB" },
      ]);
      // PostgreSQL lets everybody set these two for himself: they guard against accidents, not against intent.
      await dave.user.query("set statement_timeout = 0; set idle_in_transaction_session_timeout = 0");
      const sessions = [dave.user];
      while (sessions.length < 20) sessions.push(await dave.connect());
      await expect(dave.connect()).rejects.toMatchObject({ code: "53300" });
    });
  });
}
