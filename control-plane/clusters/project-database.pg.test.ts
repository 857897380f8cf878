/** A project's life in a cluster: made, again after a cut, many at once, paused, dropped with what others have tied to it. */
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasPostgres, startTestCluster, type TestCluster } from "../../test/harness/cluster.ts";
import { bootstrapCluster, type ClusterRoles } from "./bootstrap.ts";
import { type ClusterAddress, ClusterConnections, connectAsAdmin, parseClusterUrl } from "./cluster-connections.ts";
import { migrateProjectDatabase } from "./migrate.ts";
import {
  dropProjectDatabase,
  ensureProjectDatabase,
  grantProject,
  pauseProject,
  projectLeftovers,
  resumeProject,
} from "./project-database.ts";
import { dropProjectRoles, ensureProjectRoles, setAuthenticatorPassword } from "./project-roles.ts";
import { terminateProjectSessions } from "./project-sessions.ts";
import { dropUnusedTemplates, ensureTemplate, type Template } from "./template.ts";

const passwords = { userPassword: "user-password", authenticatorPassword: "authenticator-password" };
const refOf = (letter: string) => letter.repeat(20);

for (const major of [15, 17, 18] as const) {
  describe.skipIf(!hasPostgres(major))(`PostgreSQL ${major}`, () => {
    let cluster: TestCluster;
    let address: ClusterAddress;
    let clusters: ClusterConnections;
    let admin: pg.Client;
    let roles: ClusterRoles;
    let template: Template;
    const connect = (database: string) => clusters.projectAdmin("c", database);
    const login = (
      ref: string,
      kind: "user" | "authenticator",
      password = passwords[`${kind}Password`],
      database = ref,
    ) => connectAsAdmin({ ...address, user: `project_${ref}_${kind}`, password }, `project_${database}`);
    const create = async (ref: string, client: pg.ClientBase = admin) => {
      await ensureProjectRoles(client, ref, roles, passwords);
      await ensureProjectDatabase(client, ref, template);
      await clusters.withProjectAdmin("c", `project_${ref}`, (session) => grantProject(session, ref, roles));
    };
    const drop = async (ref: string) => {
      await dropProjectDatabase(admin, ref);
      await dropProjectRoles(admin, connect, ref);
    };

    beforeAll(async () => {
      cluster = await startTestCluster(major);
      address = parseClusterUrl(cluster.url);
      clusters = new ClusterConnections({ getAddress: async () => address });
      admin = await connectAsAdmin(address, "postgres");
      roles = await bootstrapCluster(admin, { replicationPassword: "replication-password" });
      template = await ensureTemplate(admin, connect, roles);
    });
    afterAll(async () => {
      await admin?.end();
      await clusters?.close();
      await cluster?.stop();
    });

    test("a template is whole or not there: a build that was cut off is thrown away", async () => {
      await admin.query(`create database supalove_template_build_deadbeef`);
      await admin.query(`create database supalove_template_4711`);
      await admin.query(`drop database ${template.name}`);
      const again = await Promise.all([
        ensureTemplate(admin, connect, roles),
        clusters.withAdmin("c", (client) => ensureTemplate(client, connect, roles)),
      ]);
      expect(again).toEqual([template, template]);
      expect(await dropUnusedTemplates(admin, template)).toEqual(["supalove_template_4711"]);
      const { rows } = await admin.query(
        "select datname, datallowconn from pg_database where datname like 'supalove%'",
      );
      expect(rows).toEqual([{ datname: template.name, datallowconn: false }]);
      await expect(connect(template.name)).rejects.toThrow(/not currently accepting connections/);
    });

    test("made twice it is the same, and exactly three logins may connect", async () => {
      const ref = refOf("a");
      await create(ref);
      await create(ref);
      const { rows } = await admin.query(
        `select r.rolname from pg_roles r where has_database_privilege(r.oid, $1, 'connect') and not r.rolsuper order by 1`,
        [`project_${ref}`],
      );
      expect(rows.map(({ rolname }) => rolname)).toEqual([
        `project_${ref}_authenticator`,
        `project_${ref}_user`,
        "supabase_replication_admin",
      ]);
      const attributes = await admin.query(
        `select rolname, rolsuper or rolcreaterole or rolcreatedb or rolreplication as power, rolinherit, rolcanlogin, rolconnlimit
         from pg_roles where rolname like 'project_aaaa%' order by 1`,
      );
      expect(attributes.rows).toEqual([
        {
          rolname: `project_${ref}_authenticator`,
          power: false,
          rolinherit: false,
          rolcanlogin: true,
          rolconnlimit: 30,
        },
        { rolname: `project_${ref}_user`, power: false, rolinherit: true, rolcanlogin: true, rolconnlimit: 20 },
      ]);
      await drop(ref);
      expect(await projectLeftovers(admin, ref)).toEqual([]);
    });

    test("passwords are stored as verifiers, and are set again over what the tenant has made of them", async () => {
      const ref = refOf("b");
      await create(ref);
      const tenant = await login(ref, "user");
      await tenant.query(`alter role current_user password 'his-own'; set role project_${ref}_authenticator;
        alter role current_user password null; reset role`);
      await tenant.end();
      await expect(login(ref, "user")).rejects.toMatchObject({ code: "28P01" });
      await expect(login(ref, "authenticator")).rejects.toMatchObject({ code: "28P01" });
      await ensureProjectRoles(admin, ref, roles, passwords);
      await (await login(ref, "user")).end();
      await (await login(ref, "authenticator")).end();
      await setAuthenticatorPassword(admin, ref, "third-password");
      await (await login(ref, "authenticator", "third-password")).end();
      await expect(setAuthenticatorPassword(admin, ref, "quote'; drop role x")).resolves.toBeUndefined();
      await drop(ref);
    });

    test("an open transaction of the tenant's that has changed a login holds up neither a pause nor a password", async () => {
      const ref = refOf("k");
      await create(ref);
      const hold = async () => {
        const tenant = await login(ref, "user");
        tenant.on("error", () => {});
        await tenant.query(`begin; alter role current_user password 'held-password';
          set local role project_${ref}_authenticator; alter role current_user password 'held-password'`);
      };
      await hold();
      await setAuthenticatorPassword(admin, ref, passwords.authenticatorPassword);
      await (await login(ref, "authenticator")).end();
      await hold();
      await pauseProject(admin, ref);
      await expect(login(ref, "user")).rejects.toThrow(/not permitted to log in/);
      await drop(ref);
    });

    test("nobody can be in the database before its walls stand", async () => {
      const ref = refOf("c");
      await ensureProjectRoles(admin, ref, roles, passwords);
      // As after a kill between the two statements of ensureProjectDatabase.
      await admin.query(`create database project_${ref} template ${template.name} allow_connections false`);
      await expect(login(ref, "user")).rejects.toThrow(/not currently accepting connections/);
      await create(ref);
      await (await login(ref, "user")).end();
      await drop(ref);
    });

    test("twenty-four projects at once, from one template", async () => {
      const refs = Array.from({ length: 24 }, (_, index) => `d${"x".repeat(18)}${String.fromCharCode(97 + index)}`);
      await Promise.all(refs.map((ref) => clusters.withAdmin("c", (client) => create(ref, client))));
      const user = await login(refs[0] ?? "", "user");
      expect((await user.query("select from auth.users")).rowCount).toBe(0);
      await user.end();
      await Promise.all(
        refs.map((ref) =>
          clusters.withAdmin("c", async (client) => {
            await dropProjectDatabase(client, ref);
            await dropProjectRoles(client, connect, ref);
          }),
        ),
      );
      expect((await admin.query("select from pg_database where datname like 'project_d%'")).rowCount).toBe(0);
    });

    test("a template that is gone is told apart from other failures", async () => {
      const ref = refOf("e");
      await ensureProjectRoles(admin, ref, roles, passwords);
      await expect(
        ensureProjectDatabase(admin, ref, { ...template, name: "supalove_template_0" }),
      ).rejects.toMatchObject({
        code: "3D000",
      });
      await drop(ref);
    });

    test("paused nobody comes in and nobody stays; the superuser may; resumed all is as before", async () => {
      const ref = refOf("f");
      await create(ref);
      const user = await login(ref, "user");
      const ended = new Promise((resolve) => user.once("error", resolve));
      user.on("end", () => {});
      await pauseProject(admin, ref);
      await ended;
      await pauseProject(admin, ref);
      await expect(login(ref, "user")).rejects.toThrow(/not permitted to log in/);
      await expect(login(ref, "authenticator")).rejects.toThrow(/not permitted to log in/);
      await clusters.withProjectAdmin("c", `project_${ref}`, (session) => migrateProjectDatabase(session, null, roles));
      await resumeProject(admin, ref);
      await resumeProject(admin, ref);
      const authenticator = await login(ref, "authenticator");
      await authenticator.query("set role anon; create temp table t ()");
      const gone = new Promise((resolve) => authenticator.once("error", resolve));
      await terminateProjectSessions(admin, ref);
      await gone;
      await drop(ref);
    });

    test("it is dropped with its sessions, slots and replication in flight", async () => {
      const ref = refOf("g");
      await create(ref);
      const user = await login(ref, "user");
      user.on("error", () => {});
      const walsender = new pg.Client({
        ...{ host: address.host, port: address.port, database: `project_${ref}` },
        ...{ user: "supabase_replication_admin", password: "replication-password" },
        ...({ replication: "database" } as object),
      });
      walsender.on("error", () => {});
      await walsender.connect();
      await walsender.query("CREATE_REPLICATION_SLOT live TEMPORARY LOGICAL pgoutput");
      await walsender.query("CREATE_REPLICATION_SLOT left_behind LOGICAL pgoutput");
      expect(await projectLeftovers(admin, ref)).toContain("slot left_behind");
      await drop(ref);
      await drop(ref);
      expect(await projectLeftovers(admin, ref)).toEqual([]);
    });

    test("what others have tied to a login does not keep it from being dropped", async () => {
      const [victim, neighbour] = [refOf("h"), refOf("i")];
      await create(victim);
      await create(neighbour);
      const hostile = await login(neighbour, "user");
      hostile.on("error", () => {});
      await hostile.query(`
        create table public.trap (id int);
        grant select on public.trap to project_${victim}_user, project_${victim}_authenticator;
        create policy trap on public.trap to project_${victim}_user using (true);
        alter default privileges grant select on tables to project_${victim}_user;
        grant create on schema public to project_${victim}_authenticator;`);
      await hostile.query("begin; lock table public.trap in access exclusive mode");
      // Two more that hold the role and the database themselves.
      const holders = await Promise.all([login(neighbour, "user"), login(neighbour, "user")]);
      for (const holder of holders) holder.on("error", () => {});
      await holders[0].query(
        `begin; create table public.trap2 (); grant select on public.trap2 to project_${victim}_user`,
      );
      await holders[1].query(
        `begin; set role anon; alter role anon in database project_${victim} set work_mem = '1MB'`,
      );
      await drop(victim);
      expect(await projectLeftovers(admin, victim)).toEqual([]);
      await drop(neighbour);
    });

    test("objects the tenant has planted are not run by the superuser who migrates his database", async () => {
      const ref = refOf("j");
      await create(ref);
      const user = await login(ref, "user");
      // Everything a careless statement of ours could stumble over: operators, functions and tables in schemas that an
      // unpinned search_path has, triggers where the service writes, casts; all report who ran them.
      await user.query(`
        create table public.ran_as (name text);
        grant insert on public.ran_as to public;
        create function public.report() returns trigger language plpgsql as
          $$ begin insert into public.ran_as values (current_user); return new; end $$;
        create schema ${address.user}; grant usage on schema ${address.user} to public;
        create function ${address.user}.to_regtype(text) returns regtype language plpgsql as
          $$ begin insert into public.ran_as values (current_user); return null; end $$;
        create function public.to_regclass(text) returns regclass language plpgsql as
          $$ begin insert into public.ran_as values (current_user); return null; end $$;
        create table ${address.user}.pg_proc (oid oid); create table ${address.user}.pg_class (oid oid);
        create trigger report before insert or update or delete on auth.users for each statement execute function public.report();
        create trigger report before insert or update or delete on storage.buckets for each statement execute function public.report();
        create policy report on storage.objects using (exists (select from public.ran_as));`);
      for (const type of ["regrole", "regclass", "regnamespace"]) {
        // A closer match than what pg_catalog has for oid: chosen wherever the search_path reaches public at all.
        await user.query(`create function public.equal(oid, ${type}) returns bool language plpgsql as
            $$ begin insert into public.ran_as values (current_user); return true; end $$;
          create operator public.= (leftarg = oid, rightarg = ${type}, function = public.equal);
          create operator public.<> (leftarg = oid, rightarg = ${type}, function = public.equal);`);
      }
      // The trap works: whoever has public in his path steps into it.
      await user.query("set search_path = public; select from pg_class where relowner = 'anon'::regrole");
      expect((await user.query("delete from public.ran_as")).rowCount).toBeGreaterThan(0);
      await expect(
        user.query("create trigger report after insert on auth.schema_migrations execute function public.report()"),
      ).rejects.toMatchObject({ code: "42501" });
      await expect(
        user.query("create trigger report after insert on storage.migrations execute function public.report()"),
      ).rejects.toMatchObject({ code: "42501" });
      await expect(
        user.query("create trigger report after insert on supalove.managed_objects execute function public.report()"),
      ).rejects.toMatchObject({ code: "42501" });
      await clusters.withProjectAdmin("c", `project_${ref}`, async (session) => {
        await migrateProjectDatabase(session, null, roles);
        await grantProject(session, ref, roles);
      });
      expect((await user.query("select name from public.ran_as")).rows).toEqual([]);
      await user.end();
      await drop(ref);
    });
  });
}
