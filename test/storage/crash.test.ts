/** What is acknowledged is there, and whole, whoever is killed meanwhile; what is not leaves nothing behind. */
import { type ChildProcess, fork } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort, startTestCluster, type TestCluster } from "../harness/cluster.ts";
import type { ServingOrder } from "../harness/storage-process.ts";
import { createStorageWorld, md5, type StorageProject, type StorageWorld } from "../harness/storage-world.ts";

const OPERATIONS = 1_000;
const WORKERS = 12;
let cluster: TestCluster;
let world: StorageWorld;
let project: StorageProject;
let directory: string;
let port: number;
let child: ChildProcess | null = null;

/** Of the services; those of this process's own one are there from the beginning. */
let own: readonly number[] = [];

async function sessions(): Promise<number[]> {
  const text = "select pid from pg_stat_activity where usename = $1 and application_name = 'supalove'";
  for (;;) {
    try {
      const { rows } = await project.db.query<{ pid: number }>(text, [project.snapshot.database.user]);
      return rows.map(({ pid }) => pid);
    } catch {
      await delay(50); // the server is in recovery
    }
  }
}

async function serve(): Promise<void> {
  const started = fork(join(import.meta.dirname, "../harness/storage-process.ts"), {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  child = started;
  const order: ServingOrder = { directory, port, service: project.snapshot, gateway: project.gatewaySnapshot };
  started.send(order);
  await new Promise((listening) => started.once("message", listening));
}

async function end(): Promise<void> {
  const dying = child;
  child = null;
  if (!dying) return;
  const gone = new Promise((exited) => dying.once("exit", exited));
  dying.kill("SIGKILL");
  await gone;
}

async function kill(): Promise<void> {
  await end();
  // PostgreSQL still does what it had been sent: only then is it known what became of requests without an answer.
  while ((await sessions()).some((pid) => !own.includes(pid))) await delay(20);
}

beforeAll(async () => {
  cluster = await startTestCluster(18, { synchronous_commit: "on" });
  directory = mkdtempSync(join(tmpdir(), "supalove-test-crash-"));
  port = await freePort();
  world = await createStorageWorld(cluster.url, { directory });
  project = await world.createProject({ trashSeconds: 0 });
  await project.client().storage.createBucket("b", { public: true });
  own = await sessions();
  await serve();
});
afterAll(async () => {
  await end();
  await world.close();
  await cluster.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** Null: there is no such object. */
type Content = string | null;

const url = (path: string) => `http://127.0.0.1:${port}/projects/${project.ref}/storage/v1${path}`;

async function call(method: string, path: string, body?: Buffer | object, upsert = false): Promise<boolean> {
  const isJson = body !== undefined && !Buffer.isBuffer(body);
  try {
    const response = await fetch(url(path), {
      method,
      headers: {
        authorization: `Bearer ${project.serviceKey}`,
        ...(isJson ? { "content-type": "application/json" } : {}),
        ...(upsert ? { "x-upsert": "true" } : {}),
      },
      ...(body === undefined ? {} : { body: isJson ? JSON.stringify(body) : new Uint8Array(body as Buffer) }),
      signal: AbortSignal.timeout(20_000),
    });
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false;
  }
}

test("1,000 uploads, overwrites, moves, copies and deletes under kill -9 of the service and of PostgreSQL", async () => {
  /** What each name may hold: one thing when the last operation on it was acknowledged, else what was before as well. */
  const possible = new Map<string, Set<Content>>();
  const mayBe = (name: string) => possible.get(name) ?? new Set<Content>([null]);
  const settle = (name: string, isDone: boolean, after: Content) => {
    possible.set(name, isDone ? new Set([after]) : new Set([...mayBe(name), after]));
  };
  let acknowledged = 0;

  async function work(worker: number): Promise<void> {
    const name = (index: number) => `w${worker}/${index}`;
    const pick = () => name(Math.floor(Math.random() * 12));
    while (acknowledged < OPERATIONS) {
      const target = pick();
      const dice = Math.random();
      let isDone: boolean;
      if (dice < 0.6) {
        const bytes = randomBytes(Math.floor(Math.random() * 150_000));
        isDone = await call("POST", `/object/b/${target}`, bytes, true);
        settle(target, isDone, md5(bytes));
      } else if (dice < 0.8) {
        const source = pick();
        const before = mayBe(source);
        if (
          source === target ||
          before.size !== 1 ||
          before.has(null) ||
          mayBe(target).size !== 1 ||
          !mayBe(target).has(null)
        )
          continue;
        const [content = null] = before;
        const verb = dice < 0.7 ? "move" : "copy";
        isDone = await call("POST", `/object/${verb}`, { bucketId: "b", sourceKey: source, destinationKey: target });
        settle(target, isDone, content);
        if (verb === "move") settle(source, isDone, null);
      } else {
        isDone = await call("DELETE", "/object/b", { prefixes: [target] });
        settle(target, isDone, null);
      }
      if (isDone) acknowledged += 1;
      else await delay(30);
    }
  }

  async function disturb(): Promise<void> {
    for (let round = 0; acknowledged < OPERATIONS; round += 1) {
      await delay(1_000);
      if (round % 2 === 0) {
        await kill();
        await serve();
      } else {
        // A backend that is killed takes the whole server through recovery.
        const { rows } = await project.db
          .query(
            "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() limit 1",
          )
          .catch(() => ({ rows: [] as { pid: number }[] }));
        for (const { pid } of rows) process.kill(pid, "SIGKILL");
      }
    }
  }

  await Promise.all([...Array.from({ length: WORKERS }, (_, worker) => work(worker)), disturb()]);
  await end();
  await serve();
  await sessions();

  for (const [name, contents] of possible) {
    const response = await fetch(url(`/object/public/b/${name}`));
    const body = Buffer.from(await response.arrayBuffer());
    const content = response.status === 200 ? md5(body) : null;
    expect(
      response.status === 200 || body.toString().includes("not_found"),
      `${name}: ${body.toString("latin1", 0, 200)}`,
    ).toBe(true);
    expect([...contents], name).toContain(content);
  }

  // Nothing is a row without bytes, and after the leases have run out nothing is bytes without a row.
  const { rows } = await project.db.query("select version, metadata ->> 'eTag' as etag from storage.objects");
  for (const { version, etag } of rows) {
    const object = await world.store.open(project.ref, version);
    if (object === null) throw new Error(`no bytes of ${version}`);
    const hash = createHash("md5");
    for await (const chunk of object.read(0, object.bytes)) hash.update(chunk);
    expect(`"${hash.digest("hex")}"`).toBe(etag);
  }
  await project.db.query("update supalove.storage_versions set expires_at = now() - interval '1 second'");
  while ((await world.service.upkeep.sweep(project.snapshot)) > 0);
  const left: string[] = [];
  for await (const { version } of world.store.list(project.ref)) left.push(version);
  expect(left.sort()).toEqual(rows.map(({ version }) => version).sort());
  const usage = await project.db.query("select sum(objects)::int as n from supalove.storage_usage");
  expect(usage.rows).toEqual([{ n: rows.length }]);
}, 180_000);
