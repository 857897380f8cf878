import { afterAll, beforeAll, expect, inject, test, vi } from "vitest";
import {
  createRealtimeWorld,
  type RealtimeTestProject,
  type RealtimeWorld,
} from "../../test/harness/realtime-world.ts";
import type { MemoryClient } from "./testing/memory-client.ts";

let world: RealtimeWorld;
let project: RealtimeTestProject;
let neighbour: RealtimeTestProject;
beforeAll(async () => {
  world = await createRealtimeWorld(inject("clusterUrl"));
  [project, neighbour] = [await world.createProject(), await world.createProject()];
  for (const { db } of [project, neighbour]) {
    await db.query(`create table items (id int primary key, word text); grant all on items to anon;
      alter publication supabase_realtime add table items`);
  }
});
afterAll(() => world.close());

const BINDING = { event: "*", schema: "public", table: "items" };

async function following(of: RealtimeTestProject = project): Promise<MemoryClient> {
  const client = await of.client();
  expect(await client.follow("items", [BINDING])).toBe("ok");
  return client;
}

const systemMessages = (client: MemoryClient) =>
  client.received.filter(({ event }) => event === "system").map(({ payload }) => payload.status);

/** Resolves when the subscription is back. */
const untilOk = (client: MemoryClient, from: number) =>
  client.until(({ event, payload }) => event === "system" && payload.status === "ok", from);

async function killWalSenders(of: RealtimeTestProject): Promise<void> {
  await of.admin.query(
    "select pg_terminate_backend(pid) from pg_stat_replication join pg_stat_activity using (pid) where datname = current_database()",
  );
}

test("a walsender that is ended is told once, and the stream comes back; a neighbour notices nothing", async () => {
  const [client, other] = [await following(), await following(neighbour)];
  const from = client.received.length;
  await killWalSenders(project);
  await untilOk(client, from);
  expect(systemMessages(client)).toEqual(["ok", "error", "ok"]);
  await project.db.query("insert into items values (1, 'after')");
  await client.when(() => client.changes.length === 1);
  expect(systemMessages(other)).toEqual(["ok"]);
});

test("a publication that is dropped and made again is followed again", async () => {
  const client = await following();
  const from = client.received.length;
  await project.db.query("drop publication supabase_realtime");
  await project.db.query("insert into items values (2, 'nobody hears')");
  await client.until(({ event, payload }) => event === "system" && payload.status === "error", from);
  await project.db.query("create publication supabase_realtime for table items");
  await untilOk(client, from);
  await project.db.query("insert into items values (3, 'heard')");
  await client.when(() => client.changes.some(({ record }) => record?.id === 3));
});

test("a write transaction of a neighbour that is open delays the subscription, and nothing else", async () => {
  const fresh = await world.createProject();
  await fresh.db.query(
    "create table items (id int primary key); alter publication supabase_realtime add table items; grant all on items to anon",
  );
  const writer = await neighbour.db.connect();
  await writer.query("begin; insert into items values (1000, 'open')");
  const client = await fresh.client();
  const reply = await client.join("items", { postgres_changes: [BINDING], broadcast: { self: true } });
  expect(reply.payload.status).toBe("ok");
  client.push("realtime:items", "broadcast", { type: "broadcast", event: "hi", payload: {} }, reply.joinRef);
  await client.until(({ event }) => event === "broadcast");
  expect(systemMessages(client)).toEqual([]);
  await writer.query("rollback");
  writer.release();
  await untilOk(client, 0);
  await fresh.db.query("insert into items values (1)");
  await client.when(() => client.changes.length === 1);
});

test("one transaction of a million rows is followed to its end, and a neighbour's changes and broadcasts pass it by", async () => {
  await project.db.query(`create table huge (id int primary key, bucket int); grant all on huge to anon;
    alter publication supabase_realtime add table huge`);
  const client = await project.client();
  const binding = { event: "INSERT", schema: "public", table: "huge", filter: "bucket=eq.7" };
  expect(await client.follow("huge", [binding])).toBe("ok");
  const other = await following(neighbour);
  await project.db.query("insert into huge select n, n % 100000 from generate_series(1, 1000000) n");
  await neighbour.db.query("insert into items values (2000, 'meanwhile')");
  await other.when(() => other.changes.length === 1);
  await client.when(() => client.changes.length === 10);
  expect(client.changes.map(({ record }) => record.id)).toEqual(Array.from({ length: 10 }, (_, at) => at * 100000 + 7));
});

test("a row of megabytes is told without what is large in it, and the stream goes on", async () => {
  const client = await following();
  await project.db.query(
    "insert into items values (10, repeat('x', 1100000)), (11, repeat('y', 20000000)), (12, 'small')",
  );
  await client.when(() => client.changes.length === 3);
  expect(client.changes.map(({ record, errors }) => [record, errors])).toEqual([
    [{ id: 10 }, ["Error 413: Payload Too Large"]],
    [{ id: 11 }, ["Error 413: Payload Too Large"]],
    [{ id: 12, word: "small" }, null],
  ]);
  expect(client.changes[1].columns).toHaveLength(2);
});

test("a client that takes nothing is closed with 1013, and holds up nobody", async () => {
  const [slow, quick] = [await following(), await following()];
  slow.isReading = false;
  for (let round = 0; round < 8; round += 1) {
    await project.db.query(
      "insert into items select 10000 + $1 * 10 + n, repeat('x', 100000) from generate_series(0, 9) n",
      [round],
    );
  }
  await quick.when(() => quick.changes.length === 80);
  expect([slow.closeCode, quick.closeCode]).toEqual([1013, null]);
});

test("a project that is removed lets go of its slot and its listener at once", async () => {
  const doomed = await world.createProject();
  await doomed.db.query("create table items (id int primary key); alter publication supabase_realtime add table items");
  const client = await following(doomed);
  const slots = () =>
    doomed.admin.query("select count(*)::int as count from pg_replication_slots where database = current_database()");
  expect((await slots()).rows[0].count).toBe(1);
  doomed.remove();
  expect(client.closeCode).toBe(1012);
  await vi.waitFor(async () => expect((await slots()).rows[0].count).toBe(0), 5_000);
});

test("projects that come and go leave no slot behind, and one too many is told and gets its turn", async () => {
  const few = await createRealtimeWorld(inject("clusterUrl"), { maxSlotsPerCluster: 2 });
  try {
    const projects = await Promise.all(Array.from({ length: 3 }, () => few.createProject()));
    for (const { db } of projects) {
      await db.query("create table items (id int primary key); alter publication supabase_realtime add table items");
    }
    const before = await world.slots();
    const clients = await Promise.all(projects.map((of) => of.client()));
    const answers: string[] = [];
    for (const client of clients) answers.push(await client.follow("items", [BINDING]));
    // Slots of other processes on the cluster count as well.
    expect(answers.filter((answer) => answer === "ok").length).toBeLessThanOrEqual(2);
    expect(answers).toContain(
      "Too many projects of this database server follow database changes at the moment, trying again",
    );
    for (const [index, client] of clients.entries()) if (answers[index] === "ok") client.end();
    for (const client of clients) client.end();
    await vi.waitFor(async () => expect(await world.slots()).toBeLessThanOrEqual(before), 5_000);
  } finally {
    await few.close();
  }
});
