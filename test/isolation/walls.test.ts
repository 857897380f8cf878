/** One tenant tries to reach another, or the cluster, by statements that must simply be refused: as everybody he can be. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasPostgres } from "../harness/cluster.ts";
import { type Neighbours, startNeighbours, type Tenant, tryAsEverybody, VERSIONS } from "./tenants.ts";

type Attack = (bob: Tenant, alice: Tenant) => string;

const DENIED = "42501";

/** Each line is a sentence and a statement that nobody of a project may run. */
const ATTACKS: Readonly<Record<string, Readonly<Record<string, Attack>>>> = {
  "becoming somebody else": {
    "takes the role of the other project's user": (bob) => `set role ${bob.userRole}`,
    "takes the role of the other project's authenticator": (bob) => `set role ${bob.authenticatorRole}`,
    "takes the superuser's role": () => "set role supabase_admin",
    "takes the replication role": () => "set role supabase_replication_admin",
    "takes a predefined role that reads everything": () => "set role pg_read_all_data",
    "takes a predefined role that runs programs": () => "set role pg_execute_server_program",
    "takes a predefined role that sees all sessions": () => "set role pg_monitor",
    "takes the other user as session": (bob) => `set session authorization ${bob.userRole}`,
    "takes the superuser as session": () => "set session authorization supabase_admin",
  },
  "roles and memberships": {
    "grants himself the other project's user": (bob, alice) => `grant ${bob.userRole} to ${alice.userRole}`,
    "grants himself the superuser": (_bob, alice) => `grant supabase_admin to ${alice.userRole}`,
    "grants himself a predefined role": (_bob, alice) => `grant pg_read_server_files to ${alice.userRole}`,
    "grants himself the replication role": (_bob, alice) => `grant supabase_replication_admin to ${alice.userRole}`,
    "grants his own role to a role all tenants have": (_bob, alice) => `grant ${alice.userRole} to anon`,
    "grants the shared group to a role all tenants have": () => "grant postgres to anon",
    "takes the other project's user out of the group": (bob) => `revoke postgres from ${bob.userRole}`,
    "makes a role": () => "create role mine",
    "makes a login": () => "create role mine login password 'mine'",
    "drops the other project's user": (bob) => `drop role ${bob.userRole}`,
    "drops a shared role": () => "drop role service_role",
    "renames a shared role": () => "alter role dashboard_user rename to mine",
    "sets the other user's password": (bob) => `alter role ${bob.userRole} password 'mine'`,
    "locks the other user out": (bob) => `alter role ${bob.userRole} nologin`,
    "stores a setting for the other user": (bob) => `alter role ${bob.userRole} set search_path = mine`,
    "stores a setting for the other user in his database": (bob) =>
      `alter role ${bob.userRole} in database ${bob.database} set work_mem = '1MB'`,
    "stores a setting for the other authenticator": (bob) =>
      `alter role ${bob.authenticatorRole} in database ${bob.database} set pgrst.db_schemas = 'auth'`,
    "stores a setting for the superuser": () => "alter role supabase_admin set search_path = mine",
    "makes himself superuser": (_bob, alice) => `alter role ${alice.userRole} superuser`,
    "makes himself a maker of roles": (_bob, alice) => `alter role ${alice.userRole} createrole`,
    "makes himself a maker of databases": (_bob, alice) => `alter role ${alice.userRole} createdb`,
    "makes himself a replica": (_bob, alice) => `alter role ${alice.userRole} replication`,
    "lifts his connection limit": (_bob, alice) => `alter role ${alice.userRole} connection limit -1`,
    "lets a shared role log in": () => "alter role anon login",
    "comments on the other user": (bob) => `comment on role ${bob.userRole} is 'mine'`,
  },
  "databases and the cluster": {
    "drops the other database": (bob) => `drop database ${bob.database}`,
    "drops the other database by force": (bob) => `drop database ${bob.database} with (force)`,
    "makes a database": () => "create database mine",
    "copies the other database": (bob) => `create database mine template ${bob.database}`,
    "renames the other database": (bob) => `alter database ${bob.database} rename to mine`,
    "makes the other database his own": (bob, alice) => `alter database ${bob.database} owner to ${alice.userRole}`,
    "gives his own database to all tenants": (_bob, alice) => `alter database ${alice.database} owner to postgres`,
    "stores a setting for the other database": (bob) => `alter database ${bob.database} set search_path = mine`,
    "closes the other database": (bob) => `alter database ${bob.database} connection limit 0`,
    "closes the other database for good": (bob) => `alter database ${bob.database} allow_connections false`,
    "lifts the limits of his own database": (_bob, alice) => `alter database ${alice.database} connection limit -1`,
    "makes his own database a template": (_bob, alice) => `alter database ${alice.database} is_template true`,
    "makes a tablespace": () => "create tablespace mine location '/tmp'",
    "changes the server's configuration": () => "alter system set log_statement = 'all'",
    "makes a subscription to another server": () =>
      "create subscription mine connection 'host=127.0.0.1 dbname=postgres' publication p with (connect = false)",
    "publishes all tables": () => "create publication mine for all tables",
    "makes a foreign data wrapper": () => "create foreign data wrapper mine",
    "makes an event trigger": () =>
      "create event trigger mine on ddl_command_end execute function extensions.pgrst_ddl_watch()",
    "switches the DDL watch off": () => "alter event trigger pgrst_ddl_watch disable",
    "makes an access method": () => "create access method mine type table handler heap_tableam_handler",
    "makes a function of C code": () => "create function pg_temp.mine() returns int language c as 'libc', 'system'",
    "makes a function of the server's own code": () =>
      "create function pg_temp.mine() returns int language internal as 'pg_backend_pid'",
    "makes a language": () => "create language mine handler plpgsql_call_handler",
    "makes an operator class": () =>
      "create operator class pg_temp.mine for type int4 using btree as function 1 btint4cmp(int4, int4)",
    "makes a text search template": () => "create text search template pg_temp.mine (lexize = dsimple_lexize)",
    "loads a library": () => "load 'pg_prewarm'",
    "empties a shared catalog": () => "delete from pg_auth_members",
    "writes a shared catalog": (bob) => `update pg_database set datacl = null where datname = '${bob.database}'`,
    "makes himself superuser in the catalog": (_bob, alice) =>
      `update pg_authid set rolsuper = true where rolname = '${alice.userRole}'`,
    "writes the table of the guarded objects": () => "delete from supalove.managed_objects",
  },
  "files, programs and the network": {
    "runs a program by COPY": () => "copy (select 1) to program 'true'",
    "reads a program's output by COPY": () => "copy pg_temp.mine from program 'id'",
    "writes a file by COPY": () => "copy (select 1) to '/tmp/mine'",
    "reads a file": () => "select pg_read_file('postgresql.conf')",
    "reads a file as bytes": () => "select pg_read_binary_file('PG_VERSION')",
    "lists a folder": () => "select pg_ls_dir('.')",
    "looks at a file": () => "select pg_stat_file('PG_VERSION')",
    "lists the logs": () => "select pg_ls_logdir()",
    "lists the write-ahead log": () => "select pg_ls_waldir()",
    "lists temporary files": () => "select pg_ls_tmpdir()",
    "asks where the log is": () => "select pg_current_logfile()",
    "reads who may log in from where": () => "select * from pg_hba_file_rules",
    "reads the configuration files": () => "select * from pg_file_settings",
    "asks how the server was built": () => "select * from pg_config",
    "imports a file as large object": () => "select lo_import('/etc/passwd')",
    "exports a large object to a file": () => "select lo_export(1, '/tmp/mine')",
  },
  "settings only a superuser makes": {
    "switches the log of statements on": () => "set log_statement = 'all'",
    "fills the log": () => "set log_min_duration_statement = 0",
    "hides errors from the log": () => "set log_min_messages = panic",
    "opens the catalogs for writing": () => "set allow_system_table_mods = on",
    "lifts the limit of temporary files": () => "set temp_file_limit = -1",
    "lifts the limit by function": () => "select set_config('temp_file_limit', '-1', false)",
    "lifts the stored limit": (_bob, alice) => `alter role ${alice.userRole} set temp_file_limit = -1`,
    "loads libraries into new sessions": (_bob, alice) =>
      `alter role ${alice.userRole} set session_preload_libraries = 'mine'`,
    "changes where libraries come from": () => "set dynamic_library_path = '/tmp'",
    "switches the statement statistics off": () => "set pg_stat_statements.track = none",
  },
  "other sessions and the server": {
    "drops a replication slot": () => "select pg_drop_replication_slot('somebodys')",
    "makes a logical slot": () => "select pg_create_logical_replication_slot('mine', 'test_decoding')",
    "makes a physical slot": () => "select pg_create_physical_replication_slot('mine')",
    "reads a logical slot": () => "select pg_logical_slot_get_changes('somebodys', null, null)",
    "peeks into a logical slot": () => "select pg_logical_slot_peek_binary_changes('somebodys', null, null)",
    "makes a replication origin": () => "select pg_replication_origin_create('mine')",
    "reloads the configuration": () => "select pg_reload_conf()",
    "rotates the log": () => "select pg_rotate_logfile()",
    "switches the write-ahead log": () => "select pg_switch_wal()",
    "marks a point in the write-ahead log": () => "select pg_create_restore_point('mine')",
    "resets the statistics": () => "select pg_stat_reset()",
    "resets the shared statistics": () => "select pg_stat_reset_shared('bgwriter')",
    "resets the statistics of statements": () => "select supalove.pg_stat_statements_reset()",
    "makes a checkpoint": () => "checkpoint",
  },
  "what is stored of others": {
    "reads password verifiers": () => "select rolpassword from pg_authid",
    "reads password verifiers in the old view": () => "select passwd from pg_shadow",
    "reads the settings stored for roles and databases": () => "select * from pg_db_role_setting",
    "reads the statements of all databases": () => "select * from supalove.pg_stat_statements",
    "reads connection strings of subscriptions": () => "select subconninfo from pg_subscription",
    "measures the other database": (bob) => `select pg_database_size('${bob.database}')`,
    "measures a database of the control plane": () => "select pg_database_size('postgres')",
    "locks the catalog of roles": () => "lock table pg_authid in access share mode",
    "locks the catalog of databases for all": () => "lock table pg_database in access exclusive mode",
  },
};

/** Not in the core, or not with a library in this build: what matters is that no superuser's script runs for a tenant. */
const FORBIDDEN_EXTENSIONS = [
  ...["dblink", "postgres_fdw", "file_fdw", "adminpack", "plperl", "plperlu", "plpython3u", "pltcl", "pltclu"],
  ...[
    "pageinspect",
    "pg_buffercache",
    "pg_walinspect",
    "pg_visibility",
    "pg_surgery",
    "pg_prewarm",
    "amcheck",
    "sslinfo",
  ],
];

for (const major of VERSIONS) {
  describe.skipIf(!hasPostgres(major))(`PostgreSQL ${major}`, () => {
    let neighbours: Neighbours;
    let alice: Tenant;
    let bob: Tenant;
    beforeAll(async () => {
      neighbours = await startNeighbours(major);
      ({ alice, bob } = neighbours);
      // Something to fail on for COPY, whoever tries.
      for (const client of [alice.user, alice.authenticator]) {
        await client.query("create temp table mine (a text); grant all on pg_temp.mine to public");
      }
    });
    afterAll(() => neighbours?.stop());

    for (const [subject, attacks] of Object.entries(ATTACKS)) {
      describe(subject, () => {
        test.each(Object.entries(attacks))("nobody of a project %s", async (_sentence, attack) => {
          // LOCK needs a transaction; without one it is refused for that reason only.
          const statement = attack(bob, alice);
          const guarded = statement.startsWith("lock ") ? `do $$ begin ${statement}; end $$` : statement;
          expect(await tryAsEverybody(alice, guarded)).toEqual([DENIED]);
        });
      });
    }

    test.each(FORBIDDEN_EXTENSIONS)("nobody of a project installs %s", async (name) => {
      for (const outcome of await tryAsEverybody(alice, `create extension ${name} schema extensions`)) {
        // 0A000/58P01: not in this build or version; refused before anything is run.
        expect(outcome).toMatch(/^(42501|0A000|58P01|42704)/);
      }
      const { rowCount } = await alice.user.query("select from pg_extension where extname = $1", [name]);
      expect(rowCount).toBe(0);
    });

    test("a project's logins connect to their own database and to no other", async () => {
      for (const [user, password] of [
        [alice.userRole, alice.passwords.user],
        [alice.authenticatorRole, alice.passwords.authenticator],
      ] as const) {
        for (const database of [bob.database, "postgres", "template1"]) {
          await expect(neighbours.connect({ user, password, database })).rejects.toMatchObject({ code: DENIED });
        }
        for (const database of ["template0", neighbours.templateName]) {
          await expect(neighbours.connect({ user, password, database })).rejects.toMatchObject({ code: "55000" });
        }
      }
    });

    test("no password of one project opens another's, and shared roles have no login at all", async () => {
      const { user, authenticator } = alice.passwords;
      for (const [login, password] of [
        [bob.userRole, user],
        [bob.authenticatorRole, authenticator],
        [alice.authenticatorRole, user],
      ] as const) {
        const attempt = neighbours.connect({ user: login, password, database: bob.database });
        await expect(attempt).rejects.toMatchObject({ code: "28P01" });
      }
      // A role may set its own password, shared or not; it must not help.
      await alice.user.query("set role anon; alter role anon password 'known'; reset role");
      await alice.user.query("set role postgres; alter role postgres password 'known'; reset role");
      for (const login of ["anon", "postgres"]) {
        const attempt = neighbours.connect({ user: login, password: "known", database: alice.database });
        await expect(attempt).rejects.toMatchObject({ code: "28000" });
      }
    });

    test("a project's logins start no replication, logical or physical", async () => {
      for (const replication of ["database", "true"]) {
        const attempt = neighbours.connect({
          user: alice.userRole,
          password: alice.passwords.user,
          database: alice.database,
          replication,
        });
        // Physical replication is a matter of pg_hba.conf as well: 28000.
        await expect(attempt).rejects.toMatchObject({ code: expect.stringMatching(/^(42501|28000)$/) });
      }
    });

    test("a project's people end and cancel no sessions of others", async () => {
      const { rows } = await bob.user.query<{ pid: number }>("select pg_backend_pid() as pid");
      const admins = await neighbours.admin.query<{ pid: number }>("select pg_backend_pid() as pid");
      for (const pid of [rows[0]?.pid, admins.rows[0]?.pid]) {
        for (const call of ["pg_terminate_backend", "pg_cancel_backend", "pg_log_backend_memory_contexts"]) {
          expect(await tryAsEverybody(alice, `select ${call}(${pid})`)).toEqual([DENIED]);
        }
      }
      await bob.user.query("select 1");
    });

    test("a project's database cannot be opened to others from inside", async () => {
      const acl = async () =>
        (await neighbours.admin.query("select datname, datdba, datacl::text from pg_database order by 1")).rows;
      const before = await acl();
      for (const statement of [
        `grant connect on database ${alice.database} to public`,
        `grant all on database ${alice.database} to postgres`,
        `grant connect on database ${bob.database} to ${alice.userRole}`,
        `grant connect on database postgres to ${alice.userRole}`,
        `revoke connect on database ${bob.database} from ${bob.userRole}`,
        `reassign owned by ${alice.userRole} to postgres`,
        `reassign owned by ${alice.userRole} to ${bob.userRole}`,
      ]) {
        await tryAsEverybody(alice, statement);
      }
      expect(await acl()).toEqual(before);
    });
  });
}
