/** One project attacks what all projects of a cluster share; its quiet neighbour logs in and works meanwhile. */
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { endHinderingSessions } from "../../compose/postgres/hindering-sessions.ts";
import { parseClusterUrl } from "../../control-plane/clusters/cluster-connections.ts";
import { terminateSessions } from "../../control-plane/clusters/project-sessions.ts";
import type { WatchBounds } from "../../control-plane/clusters/watch/bounds.ts";
import {
  ClusterWatch,
  type ClusterWatchOptions,
  type EndedSession,
} from "../../control-plane/clusters/watch/cluster-watch.ts";
import { readPrivateMemory } from "../../control-plane/clusters/watch/process-memory.ts";
import { createLogger } from "../../control-plane/logger.ts";
import { hasPostgres } from "../harness/cluster.ts";
import type { Attack, HostileLogin, RunningAttack } from "./attacks/cluster-attack.ts";
import { SHARED_LOCK_ATTACKS } from "./attacks/shared-locks.ts";
import { ADVISORY_LOCKS, CONNECTIONS, MANY_TABLES, memory, notifications } from "./attacks/shared-resources.ts";
import { type Neighbours, startNeighbours, type Tenant, VERSIONS } from "./tenants.ts";

/** Longer than the watch takes, shorter than the attacks go on. */
const LOGIN_WITHIN_MS = 15_000;

describe.each(VERSIONS.filter(hasPostgres))("on PostgreSQL %i", (major) => {
  let neighbours: Neighbours;
  let ended: EndedSession[] = [];
  let watch: ClusterWatch;
  let attack: RunningAttack | undefined;

  beforeAll(async () => {
    neighbours = await startNeighbours(major, {
      max_connections: 45,
      superuser_reserved_connections: 5,
      ...(major >= 17 ? { max_notify_queue_pages: 8192 } : {}),
    });
  });
  afterAll(() => neighbours?.stop());

  /** With the bounds and the pace of an installation, except where a test would take too long or too much. */
  const startWatch = (options: Partial<ClusterWatchOptions> = {}) =>
    new ClusterWatch({
      clusterId: "test",
      address: parseClusterUrl(neighbours.cluster.url),
      logger: createLogger("silent", () => {}),
      closed: () => new Set(),
      onEnded: (endings) => ended.push(...endings),
      memoryOf: readPrivateMemory,
      bounds: { memoryOfProjectBytes: 300 * 1024 ** 2 },
      ...options,
    });

  beforeEach(async () => {
    ended = [];
    watch = startWatch();
    await until(() => watch.isWatching);
  });
  afterEach(async () => {
    await watch.stop();
    await attack?.stop();
    attack = undefined;
    await terminateSessions(neighbours.admin, neighbours.bob.database);
  });

  const hostile: HostileLogin = async (login = "user") => {
    const { bob } = neighbours;
    const client = new pg.Client({
      host: "127.0.0.1",
      port: neighbours.cluster.port,
      user: login === "user" ? bob.userRole : bob.authenticatorRole,
      password: login === "user" ? bob.passwords.user : bob.passwords.authenticator,
      database: bob.database,
      connectionTimeoutMillis: LOGIN_WITHIN_MS,
    });
    client.on("error", () => {});
    await client.connect();
    return client;
  };

  /** A new session of the neighbour's changes his schema, tells of it, and leaves. */
  async function workAs({ userRole, passwords, database }: Tenant): Promise<void> {
    const client = new pg.Client({
      host: "127.0.0.1",
      port: neighbours.cluster.port,
      user: userRole,
      password: passwords.user,
      database,
      connectionTimeoutMillis: LOGIN_WITHIN_MS,
      query_timeout: LOGIN_WITHIN_MS,
    });
    client.on("error", () => {});
    try {
      await client.connect();
      await client.query("create table public.quiet (id int)");
      await client.query("notify pgrst, 'reload schema'");
      await client.query("drop table public.quiet");
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  async function survives(hostility: Attack): Promise<void> {
    attack = await hostility.run(hostile);
    await eventually(() => workAs(neighbours.alice));
    await until(() => ended.length > 0);
    await eventually(() => workAs(neighbours.alice));
    await administrate(neighbours.cluster.url);
    expect(new Set(ended.map(({ session }) => session.ref))).toEqual(new Set([neighbours.bob.ref]));
  }

  test.each(SHARED_LOCK_ATTACKS.map((one) => [one.name, one] as const))(
    "the neighbour of a project that %s can log in",
    async (_name, one) => {
      await survives(one);
      expect(ended.map(({ reason }) => reason)).toContain("shared_lock");
    },
  );

  test.each([ADVISORY_LOCKS, MANY_TABLES].map((one) => [one.name, one] as const))(
    "the neighbour of a project that %s can log in and change his schema",
    async (_name, one) => {
      await survives(one);
      expect(ended.map(({ reason }) => reason)).toContain("lock_table");
    },
  );

  test.runIf(major >= 17)("a listener that stands still keeps nobody else's notifications back", async () => {
    await survives(notifications({ megabytes: 80 }));
    expect(ended.map(({ reason }) => reason)).toContain("notify_queue");
  });

  test("a project that takes all connections loses some of them before nobody can log in", async () => {
    await survives(CONNECTIONS);
    expect(ended.map(({ reason }) => reason)).toContain("connections");
  });

  test.runIf(process.platform === "linux")(
    "a project that takes too much memory loses its largest session",
    async () => {
      await survives(memory({ megabytes: 500 }));
      expect(ended.map(({ reason }) => reason)).toContain("memory");
    },
  );

  /** Another watch, for a bound that the installation's own is too far from to be reached in a test. */
  async function watchWith(bounds: Partial<WatchBounds>): Promise<void> {
    await watch.stop();
    watch = startWatch({ bounds });
    await until(() => watch.isWatching);
  }

  test("a snapshot that is kept while many transactions pass is taken away", async () => {
    await watchWith({ snapshotAge: 50 });
    const reader = await hostile();
    await reader.query("begin isolation level repeatable read; select 1");
    for (let turn = 0; turn < 60; turn += 1) await neighbours.alice.user.query("select pg_current_xact_id()");
    await until(() => ended.length > 0);
    expect(ended.map(({ reason, session }) => [reason, session.ref])).toEqual([["vacuum", neighbours.bob.ref]]);
    await workAs(neighbours.alice);
  });

  test("a writing transaction that keeps the write-ahead log is ended, a reading one goes on", async () => {
    await watchWith({ retainedWalBytes: 32 * 1024 ** 2 });
    await neighbours.admin.query("select pg_create_physical_replication_slot('held_back', true)");
    try {
      const writer = await hostile();
      await writer.query("begin; create table public.written (id int)");
      const reader = await neighbours.alice.connect();
      await reader.query("begin; select 1");
      for (let turn = 0; turn < 4; turn += 1)
        await neighbours.admin.query("select pg_logical_emit_message(false, 'test', 'x'), pg_switch_wal()");
      await until(() => ended.length > 0);
      expect(new Set(ended.map(({ session }) => session.ref))).toEqual(new Set([neighbours.bob.ref]));
      expect(ended.map(({ reason }) => reason)).toContain("wal");
      await reader.query("select 1; commit");
    } finally {
      await neighbours.admin.query("select pg_drop_replication_slot('held_back')");
    }
  });

  test("a transaction that stands idle is ended, although its session has lifted PostgreSQL's own limit", async () => {
    await watchWith({ idleInTransactionMs: 1_000 });
    const idle = await hostile();
    const busy = await hostile();
    await idle.query("set idle_in_transaction_session_timeout = 0; begin; select 1");
    await busy.query("begin; select pg_sleep(2); commit");
    await until(() => ended.length > 0);
    expect(ended.map(({ reason }) => reason)).toEqual(["idle_in_transaction"]);
    await busy.query("select 1");
  });

  test
    .runIf(process.platform === "linux")
    .each(SHARED_LOCK_ATTACKS.filter(({ hangsLogins }) => hangsLogins).map((one) => [one.name, one] as const))(
    "a watch that starts while a project %s gets in and ends it",
    async (_name, one) => {
      await watch.stop();
      attack = await one.run(hostile);
      const { rows } = await neighbours.admin.query("select current_setting('data_directory') as directory");
      watch = startWatch({ onLoginTrouble: (trouble) => endHinderingSessions(rows[0].directory, trouble) });
      await until(() => watch.isWatching);
      await eventually(() => workAs(neighbours.alice));
      // What the watch itself waited for while it logged in may be told as the reason as well.
      expect(new Set(ended.map(({ session }) => session.ref))).toEqual(new Set([neighbours.bob.ref]));
      expect(ended.map(({ reason }) => reason)).toContain("shared_lock");
    },
  );

  test("a lock that a statement of the control plane waits for is taken away", async () => {
    const holder = await hostile();
    await holder.query("create table if not exists public.held (id int)");
    await holder.query("set idle_in_transaction_session_timeout = 0; begin");
    await holder.query("lock table public.held");
    const admin = new pg.Client({
      connectionString: neighbours.cluster.url.replace(/\/postgres$/, `/${neighbours.bob.database}`),
      application_name: "supalove control plane",
    });
    await admin.connect();
    await admin.query("set statement_timeout = '30s'; alter table public.held add column more int");
    await admin.end();
    expect(ended.map(({ reason }) => reason)).toContain("blocks_control_plane");
  });

  test("a watch that takes over finds the cluster when the first one stands still or is gone", async () => {
    const second = startWatch();
    try {
      await new Promise((resume) => setTimeout(resume, 600));
      expect(second.isWatching).toBe(false);
      await watch.stop();
      await until(() => second.isWatching);
      attack = await (SHARED_LOCK_ATTACKS[0] as Attack).run(hostile);
      await workAs(neighbours.alice);
    } finally {
      await second.stop();
    }
  });
});

/** New as everybody who comes from outside. */
async function administrate(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: LOGIN_WITHIN_MS });
  client.on("error", () => {});
  await client.connect();
  await client.query("create role administered");
  await client.query("drop role administered");
  await client.end();
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + LOGIN_WITHIN_MS;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error("it did not come to be");
    await new Promise((resume) => setTimeout(resume, 20));
  }
}

/** Refused in the first moment is no harm, if it does not last. */
async function eventually(work: () => Promise<void>): Promise<void> {
  const deadline = Date.now() + LOGIN_WITHIN_MS;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resume) => setTimeout(resume, 100));
    }
  }
}
