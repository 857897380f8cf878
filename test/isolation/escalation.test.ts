/** A tenant lays out objects of his own and waits for somebody more powerful to use them. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasPostgres } from "../harness/cluster.ts";
import { type Neighbours, startNeighbours, type Tenant, VERSIONS } from "./tenants.ts";

for (const major of VERSIONS) {
  describe.skipIf(!hasPostgres(major))(`PostgreSQL ${major}`, () => {
    let neighbours: Neighbours;
    let alice: Tenant;
    beforeAll(async () => {
      neighbours = await startNeighbours(major);
      ({ alice } = neighbours);
      await alice.user.query(`
        create table public.ran_as (current_name text, is_super boolean, via text);
        grant insert on public.ran_as to public;
        create function public.note(via text) returns void language plpgsql as $$ begin
          insert into public.ran_as select current_user, rolsuper, via from pg_catalog.pg_roles where rolname = current_user;
        end $$;`);
    });
    afterAll(() => neighbours?.stop());

    test("functions of ours that run with their owner's rights are these five, and all pin their search_path", async () => {
      const { rows } = await alice.user.query(
        `select p.oid::regprocedure::text as function, r.rolname as owner, r.rolsuper as super, array_to_string(proconfig, ' ') as settings
         from pg_proc p join pg_roles r on r.oid = p.proowner where p.prosecdef order by 1`,
      );
      expect(rows).toEqual([
        {
          function: "realtime.drop_expired_partitions()",
          ...{
            owner: "supabase_realtime_admin",
            super: false,
            settings: "search_path=pg_catalog, pg_temp lock_timeout=200ms",
          },
        },
        {
          function: "realtime.ensure_partitions()",
          ...{ owner: "supabase_realtime_admin", super: false, settings: "search_path=pg_catalog, pg_temp" },
        },
        {
          function: "supalove.own_statements()",
          ...{ owner: "supabase_admin", super: true, settings: "search_path=pg_catalog, pg_temp" },
        },
        {
          function: "supalove.own_statements_info()",
          ...{ owner: "supabase_admin", super: true, settings: "search_path=pg_catalog, pg_temp" },
        },
        {
          function: "supalove.track_storage_objects()",
          ...{ owner: "supabase_admin", super: true, settings: "search_path=pg_catalog, pg_temp" },
        },
      ]);
    });

    test("the superuser's trigger function serves no table of a tenant's, whose types and casts it would run", async () => {
      await expect(
        alice.user.query(`create table public.bait (id int, metadata jsonb);
          create trigger mine after insert on public.bait referencing new table as new_rows
          for each statement execute function supalove.track_storage_objects()`),
      ).rejects.toMatchObject({ code: "42501" });
    });

    test("every event trigger's function pins its search_path and belongs to the superuser", async () => {
      const { rows } = await alice.user.query(
        `select distinct r.rolsuper as super, array_to_string(p.proconfig, ' ') as settings
         from pg_event_trigger e join pg_proc p on p.oid = e.evtfoid join pg_roles r on r.oid = p.proowner`,
      );
      expect(rows).toEqual([{ super: true, settings: "search_path=pg_catalog, pg_temp" }]);
    });

    test("in extensions the superuser has what his first file put there, and nothing that a tenant could have made before", async () => {
      const { rows } = await alice.user.query(
        `select p.proname as name from pg_proc p join pg_roles r on r.oid = p.proowner
         where p.pronamespace = 'extensions'::regnamespace and r.rolsuper
           and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
         union all select c.relname from pg_class c where c.relnamespace = 'extensions'::regnamespace order by 1`,
      );
      expect(rows.map(({ name }) => name)).toEqual([
        "pg_stat_statements",
        "pg_stat_statements_info",
        "pgrst_ddl_watch",
        "pgrst_drop_watch",
      ]);
    });

    test("nobody of a project may create where the superuser's objects are", async () => {
      const { rows } = await alice.user.query(
        `select n.nspname as schema, r.rolname as role from pg_namespace n cross join pg_roles r
         where not r.rolsuper and (r.rolname ~ '^(project_|supabase_|anon|authenticated|service_role|postgres)')
           and n.nspname in ('pg_catalog', 'information_schema', 'auth', 'storage', 'supalove', 'graphql_public', 'supabase_functions')
           and has_schema_privilege(r.oid, n.oid, 'create')`,
      );
      expect(rows).toEqual([]);
    });

    test("tables the superuser writes in a migration have no trigger, rule, default or index of the tenant's", async () => {
      for (const table of [
        "auth.schema_migrations",
        "storage.migrations",
        "supalove.managed_objects",
        "supalove.api_role_settings",
      ]) {
        for (const statement of [
          `create trigger mine after insert on ${table} execute function supabase_functions.http_request()`,
          `create rule mine as on insert to ${table} do also select public.note('rule')`,
          `alter table ${table} add column mine text default current_user`,
          `create policy mine on ${table} using (true)`,
          `alter table ${table} rename to mine`,
          `create view public.mine as select 1; drop table ${table}`,
        ]) {
          for (const role of ["none", "supabase_auth_admin", "supabase_storage_admin", "postgres"]) {
            await alice.user.query(`set role ${role}`);
            await expect(alice.user.query(statement)).rejects.toMatchObject({ code: "42501" });
            await alice.user.query("reset role");
          }
        }
      }
    });

    test("the rails do not look at what the tenant has put into his temporary schema", async () => {
      await alice.user.query(`
        create temp table pg_roles as select current_user as rolname, true as rolsuper;
        create temp table managed_objects (classid oid, objid oid, fingerprint text);
        create temp table pg_depend (refclassid oid, refobjid oid, deptype "char", classid oid);`);
      await expect(alice.user.query("drop table auth.users cascade")).rejects.toMatchObject({ code: "42501" });
      await expect(alice.user.query("alter table auth.users add column mine text")).rejects.toMatchObject({
        code: "42501",
      });
      await expect(alice.user.query("create extension pltcl")).rejects.toMatchObject({ code: "42501" });
      await alice.user.query("discard temp");
    });

    test("the DDL watch calls nothing of the tenant's, whatever his search_path says", async () => {
      await alice.user.query(`
        create schema trap;
        create function trap.pg_notify(text, text) returns void language sql as $$ select public.note('pg_notify') $$;
        create function trap.pg_event_trigger_ddl_commands(out command_tag text, out schema_name text) returns setof record
          language sql as $$ select public.note('commands'); select 'x'::text, 'y'::text $$;
        create function trap.equal(text, text) returns bool language plpgsql as $$ begin perform public.note('='); return true; end $$;
        create operator trap.= (leftarg = text, rightarg = text, function = trap.equal);
        set search_path = trap, pg_catalog, public;
        create table public.watched (); drop table public.watched;
        reset search_path;`);
      expect((await alice.user.query("select * from public.ran_as")).rows).toEqual([]);
    });

    test("a trusted extension's script, run by PostgreSQL as superuser, does not stumble into the tenant's operators", async () => {
      const types = ["text", "name", "oid", "int4", "regclass", "bool"];
      await alice.user.query("create schema target");
      for (const type of types) {
        await alice.user.query(`
          create function target.equal(${type}, ${type}) returns bool language plpgsql as $$ begin perform public.note('= ${type}'); return true; end $$;
          create operator target.= (leftarg = ${type}, rightarg = ${type}, function = target.equal);`);
      }
      const { rows } = await alice.user.query<{ name: string }>(
        "select distinct name from pg_available_extension_versions where trusted and not installed and name !~ '^(plperl|pltcl|bool_plperl|jsonb_plperl|hstore_plperl)'",
      );
      expect(rows.length).toBeGreaterThan(10);
      for (const { name } of rows) {
        await alice.user.query(`create extension if not exists "${name}" schema target cascade`).catch(() => {});
      }
      expect(
        (await alice.user.query("select distinct current_name, via from public.ran_as where is_super")).rows,
      ).toEqual([]);
    });

    test("code that a service runs for the tenant gets no further than the tenant", async () => {
      // The auth service inserts into auth.users as supabase_auth_admin: the trigger's code is the tenant's.
      await alice.user.query(`
        create table public.attempts (statement text, outcome text);
        grant insert on public.attempts to public;
        create function public.try_all() returns trigger language plpgsql as $$
        declare statement text;
        begin
          foreach statement in array array[
            'set role supabase_admin', 'set session authorization supabase_admin', 'alter role supabase_auth_admin createrole',
            'create role mine', 'copy (select 1) to program ''true''',
            'reset role; create role mine', 'set role ${neighbours.bob.userRole}'
          ] loop
            begin
              execute statement;
              insert into public.attempts values (statement, 'ok');
            exception when others then
              insert into public.attempts values (statement, sqlstate);
            end;
          end loop;
          return new;
        end $$;
        create trigger try_all after insert on auth.users for each row execute function public.try_all();`);
      await alice.authenticator.query("begin; set local role supabase_auth_admin");
      await alice.authenticator.query(
        "insert into auth.users (instance_id, id, email) values ('00000000-0000-0000-0000-000000000000', gen_random_uuid(), 'a@example.com')",
      );
      await alice.authenticator.query("commit");
      const { rows } = await alice.user.query("select outcome, count(*)::int as times from public.attempts group by 1");
      expect(rows).toEqual([{ outcome: "42501", times: 7 }]);
    });
  });
}
