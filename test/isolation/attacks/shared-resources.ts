/** Tables, queues and places that all sessions of a cluster share, filled by the sessions of one project. */
import { type Attack, AttackSessions, moment } from "./cluster-attack.ts";

/** Leaves no room in the lock table; the locks stay although the statement fails. */
export const ADVISORY_LOCKS: Attack = {
  name: "takes advisory locks until the lock table is full",
  async run(login) {
    const sessions = new AttackSessions(login);
    await sessions.begin([
      `do $$ begin
         begin
           for i in 1..3000000 loop perform pg_advisory_lock(i); end loop;
         exception when out_of_memory then null; end;
         perform pg_sleep(1e6);
       end $$`,
    ]);
    await moment(1_500);
    return sessions.running();
  },
};

/** The same without malice: a migration that makes many tables in one transaction. */
export const MANY_TABLES: Attack = {
  name: "makes tens of thousands of tables in one transaction",
  async run(login) {
    const sessions = new AttackSessions(login);
    await sessions.begin([
      "begin",
      `do $$ begin
         for i in 1..1000 loop
           begin
             for j in 1..100 loop execute format('create table public.many_%s_%s ()', i, j); end loop;
           exception when out_of_memory then exit; end;
         end loop;
         perform pg_sleep(1e6);
       end $$`,
    ]);
    await moment(1_500);
    return sessions.running();
  },
};

/** A listener that stands in a transaction keeps all notifications of the cluster; others send until no more fit. */
export function notifications({ megabytes }: { readonly megabytes: number }): Attack {
  return {
    name: "fills the queue of notifications behind a listener that stands still",
    async run(login) {
      const sessions = new AttackSessions(login);
      await sessions.begin(["listen standstill", "begin", "select 1", "select pg_sleep(1e6)"]);
      const sender = await login();
      sender.on("error", () => {});
      try {
        await sender.query("set statement_timeout = 0");
        for (let sent = 0; sent < megabytes; sent += 8)
          await sender.query(
            "/* notifications */ select pg_notify('c', repeat('x', 7900) || i) from generate_series(1, 1000) i",
          );
      } catch {
        // The queue is full, or somebody has ended this session.
      } finally {
        await sender.end().catch(() => undefined);
      }
      return sessions.running();
    },
  };
}

/** As many sessions as the server gives to one project, by both of its logins. */
export const CONNECTIONS: Attack = {
  name: "opens as many connections as it is given",
  async run(login) {
    const sessions = new AttackSessions(login);
    for (const kind of ["user", "authenticator"] as const)
      for (let opened = 0; opened < 100; opened += 1) {
        const isIn = await sessions.begin(["select pg_sleep(1e6)"], kind).then(
          () => true,
          () => false,
        );
        if (!isIn) break;
      }
    return sessions.running();
  },
};

/** Values in variables: no setting of PostgreSQL bounds them. */
export function memory({ megabytes }: { readonly megabytes: number }): Attack {
  return {
    name: "keeps more in the memory of its sessions than one project may",
    async run(login) {
      const sessions = new AttackSessions(login);
      await sessions.begin([
        `do $$ declare held text[]; begin
           for i in 1..${Math.ceil(megabytes / 50)} loop held[i] := repeat(chr(64 + i % 26), 50 * 1024 * 1024); end loop;
           perform pg_sleep(1e6);
         end $$`,
      ]);
      await moment(1_500);
      return sessions.running();
    },
  };
}
