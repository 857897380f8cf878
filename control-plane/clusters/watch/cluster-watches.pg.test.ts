/** What follows when the watch ends sessions: audit log, metrics, the closing of the project, and its opening again. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import pg from "pg";
import { afterAll, beforeAll, expect, inject, test, vi } from "vitest";
import { createRunningProject, type RunningProject } from "../../testing/running-project.ts";
import { createTestControlPlane, type TestControlPlane } from "../../testing/test-control-plane.ts";
import { connectAsAdmin, parseClusterUrl } from "../cluster-connections.ts";
import { ensureCluster } from "../cluster-table.ts";

const PASSWORD = "set-by-the-test";
const address = parseClusterUrl(inject("clusterUrl"));
let plane: TestControlPlane;
let project: RunningProject;

beforeAll(async () => {
  plane = await createTestControlPlane(inject("clusterUrl"), { clusterWatch: {} });
  project = await createRunningProject(plane);
  const admin = await connectAsAdmin(address, "postgres");
  await admin.query(`alter role project_${project.ref}_user password '${PASSWORD}'`);
  await admin.end();
});
afterAll(() => plane?.[Symbol.asyncDispose]());

async function logIn(): Promise<pg.Client> {
  const [user, database] = [`project_${project.ref}_user`, `project_${project.ref}`];
  const { host, port } = address;
  const client = new pg.Client({ host, port, user, database, password: PASSWORD, connectionTimeoutMillis: 20_000 });
  client.on("error", () => {});
  await client.connect();
  return client;
}

/** Resolves when the session that waited for the lock was ended. */
async function attack(): Promise<void> {
  const reader = await logIn();
  const waiter = await logIn();
  await reader.query("begin; select count(*) from pg_database");
  const ended = waiter.query("create rule r as on insert to pg_catalog.pg_database do instead nothing");
  await expect(ended).rejects.toThrow(/terminat/);
  await reader.end().catch(() => undefined);
}

async function actions(): Promise<string[]> {
  const { project: found } = await project.client.data(
    `{ project(ref: "${project.ref}") { auditLog(first: 50) { edges { node { action } } } } }`,
  );
  return found.auditLog.edges
    .map(({ node }: { node: { action: string } }) => node.action)
    .filter((action: string) => /end_sessions|\.close$|\.open$/.test(action))
    .reverse();
}

async function servingState(): Promise<string | undefined> {
  const found = await plane.controlPlane.services.configSnapshots.findByRefs("gateway", [project.ref]);
  return found.get(project.ref)?.state;
}

const within = { timeout: 20_000, interval: 50 };

test("a cluster that takes connections and never answers keeps no project of another one closed", async () => {
  const open = new Set<Socket>();
  const silent = createServer((socket) => void open.add(socket)).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo;
  const { vault } = plane.controlPlane.services;
  const place = { name: "silent", capacity: 3, publicHost: null, publicPort: null };
  const { id } = await ensureCluster(plane.database, vault, { ...place, address: { ...address, port } });
  const [there, here] = ["a".repeat(20), "b".repeat(20)] as const;
  try {
    // Paused, so that it needs no logins.
    const insertClosed = (ref: string, clusterId: string | null) =>
      plane.database.query(
        `insert into projects (ref, organization_id, name, plan, state, cluster_id, closed_until)
         select $2, organization_id, 'closed', 'shared', 'PAUSED', coalesce($3, cluster_id), now() from projects where ref = $1`,
        [project.ref, ref, clusterId],
      );
    await insertClosed(there, id);
    await vi.waitFor(() => expect(open.size).toBeGreaterThan(0), within);
    await insertClosed(here, null);
    await vi.waitFor(async () => {
      const closed = await plane.database.query("select ref from projects where closed_until is not null");
      expect(closed).toEqual([{ ref: there }]);
    }, within);
  } finally {
    await plane.database.query("delete from projects where ref = any ($1)", [[here, there]]);
    await plane.database.query("delete from clusters where id = $1", [id]);
    for (const socket of open) socket.destroy();
    silent.close();
  }
});

test("three attacks in ten minutes close a project, and it opens again by itself, also after a restart", async () => {
  await attack();
  await vi.waitFor(async () => expect(await actions()).toEqual(["project.end_sessions"]), within);
  expect(await servingState()).toBe("active");
  await (await logIn()).end();

  await attack();
  await vi.waitFor(async () => expect(await actions()).toHaveLength(2), within);
  await attack();
  await vi.waitFor(async () => expect(await actions()).toContain("project.close"), within);
  expect(await servingState()).toBe("closed");
  await vi.waitFor(() => expect(logIn()).rejects.toThrow(/not permitted to log in/), within);
  const metrics = await plane.controlPlane.registry.metrics();
  expect(metrics).toMatch(/watch_ended_sessions_total\{reason="shared_lock"\} 3/);
  expect(metrics).toMatch(/watch_closed_projects_total 1/);

  await plane.controlPlane.close();
  await plane.database.query("update projects set closed_until = now() where ref = $1", [project.ref]);
  const second = await plane.startAnother();
  await plane.database.query("select 1");
  const reopened = async () =>
    (await second.controlPlane.services.configSnapshots.findByRefs("gateway", [project.ref])).get(project.ref)?.state;
  await vi.waitFor(async () => expect(await reopened()).toBe("active"), within);
  await (await logIn()).end();
  const [strikes] = await plane.database.query<{ count: number }>("select count(*) from project_strikes");
  expect(strikes?.count).toBe(0);
  const opened = await plane.database.query(
    "select from audit_log where action = 'project.open' and project_ref = $1",
    [project.ref],
  );
  expect(opened).toHaveLength(1);
});
