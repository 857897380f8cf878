import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { createRunningProject, type RunningProject, untilState } from "../testing/running-project.ts";
import { createTestControlPlane, type TestControlPlane } from "../testing/test-control-plane.ts";

const HEALTH = `query ($ref: ID!) { project(ref: $ref) { health {
  status checkedAt database { reachable latencyMs problem } services { name status } } } }`;
const USAGE = "query ($ref: ID!) { project(ref: $ref) { usage { databaseBytes connections maxConnections tables } } }";
const RUN = "mutation ($input: RunSqlInput!) { runSql(input: $input) { durationMs } }";

let gateway: Server;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let asked: { url: string; apikey: string }[];
let plane: TestControlPlane;

beforeAll(async () => {
  gateway = createServer((request, response) => {
    asked.push({ url: request.url ?? "", apikey: String(request.headers.apikey) });
    answer(request, response);
  }).listen(0, "127.0.0.1");
  await new Promise((listening) => gateway.once("listening", listening));
  const { port } = gateway.address() as { port: number };
  plane = await createTestControlPlane(inject("clusterUrl"), { publicGatewayUrl: `http://127.0.0.1:${port}` });
});
afterAll(async () => {
  await plane[Symbol.asyncDispose]();
  gateway.closeAllConnections();
  await new Promise((closed) => gateway.close(closed));
});
beforeEach(() => {
  asked = [];
  answer = (_request, response) => response.end("{}");
});

async function disposable(): Promise<RunningProject & AsyncDisposable> {
  const project = await createRunningProject(plane);
  return { ...project, [Symbol.asyncDispose]: project.remove };
}

const healthOf = async ({ client, ref }: RunningProject) => (await client.data(HEALTH, { ref })).project.health;
const usageOf = async ({ client, ref }: RunningProject) => (await client.data(USAGE, { ref })).project.usage;
const sql = ({ client, ref }: RunningProject, script: string) => client.data(RUN, { input: { ref, sql: script } });

describe("health", () => {
  test("asks the database and each service, as a client with the public key would", async () => {
    await using project = await disposable();
    const health = await healthOf(project);
    expect(health).toMatchObject({ status: "HEALTHY", database: { reachable: true, problem: null } });
    expect(health.services).toEqual(
      ["rest", "auth", "storage", "realtime"].map((name) => ({ name, status: "HEALTHY" })),
    );
    expect(asked.map(({ url }) => url).sort()[0]).toBe(`/projects/${project.ref}/auth/v1/-/health`);
    const keys = await project.client.data(`{ project(ref: "${project.ref}") { apiKeys { key role } } }`);
    const publicKeys = keys.project.apiKeys.flatMap(({ key }: { key: string | null }) => key ?? []);
    for (const { apikey } of asked) expect(publicKeys).toContain(apikey);
  });

  test("is degraded by a service that answers with a failure, and by none that refuses the question", async () => {
    await using project = await disposable();
    answer = (request, response) => {
      response.statusCode = request.url?.includes("/rest/") ? 503 : 401;
      response.end();
    };
    const health = await healthOf(project);
    expect(health.status).toBe("DEGRADED");
    expect(health.services.filter(({ status }: { status: string }) => status === "UNHEALTHY")).toEqual([
      { name: "rest", status: "UNHEALTHY" },
    ]);
  });

  test("a gateway that cannot be reached says nothing about the services", async () => {
    await using project = await disposable();
    answer = (request) => request.socket.destroy();
    const health = await healthOf(project);
    expect(health.status).toBe("HEALTHY");
    expect(new Set(health.services.map(({ status }: { status: string }) => status))).toEqual(new Set(["UNKNOWN"]));
  });

  test("is looked up once for all who ask within a few seconds", async () => {
    await using project = await disposable();
    const answers = await Promise.all(Array.from({ length: 5 }, () => healthOf(project)));
    expect(new Set(answers.map(({ checkedAt }) => checkedAt)).size).toBe(1);
    expect(asked).toHaveLength(4);
  });

  test("is told at once when the project is paused", async () => {
    await using project = await disposable();
    expect((await healthOf(project)).status).toBe("HEALTHY");
    await project.client.data(`mutation { pauseProject(ref: "${project.ref}") { state } }`);
    await untilState(project.client, project.ref, "PAUSED");
    expect(await healthOf(project)).toMatchObject({ status: "NOT_RUNNING", database: null, services: [] });
  });

  test("a login whose password the tenant has changed is let in again by the check that finds it out", async () => {
    await using project = await disposable();
    const login = `project_${project.ref}_authenticator`;
    await sql(project, `set role ${login}; alter role current_user password 'his own'`);
    expect(await healthOf(project)).toMatchObject({ status: "HEALTHY", database: { reachable: true } });
  });

  test("a database that the services cannot enter is unreachable, with PostgreSQL's reason", async () => {
    await using project = await disposable();
    const [row] = await plane.database.query<{ clusterId: string }>(
      `select cluster_id as "clusterId" from projects where ref = $1`,
      [project.ref],
    );
    const admin = await plane.controlPlane.services.clusters.admin(row?.clusterId ?? "");
    await admin.query(`alter role project_${project.ref}_authenticator connection limit 0`);
    const health = await healthOf(project);
    expect(health).toMatchObject({ status: "UNREACHABLE", database: { reachable: false, latencyMs: null } });
    expect(health.database.problem).toContain("too many connections");
  });
});

describe("usage", () => {
  test("counts the project's own tables, not the services'", async () => {
    await using project = await disposable();
    expect(await usageOf(project)).toMatchObject({
      databaseBytes: expect.any(Number),
      connections: expect.any(Number),
      maxConnections: expect.any(Number),
      tables: 0,
    });
    await using another = await disposable();
    await sql(another, "create table one (); create table two (); create view three as select 1");
    expect((await usageOf(another)).tables).toBe(2);
  });

  test("is measured by nothing that the tenant has made, whatever names it has", async () => {
    await using project = await disposable();
    await sql(
      project,
      `create table public.pg_class (relkind "char", relispartition bool, relnamespace oid);
       create table public.pg_namespace (oid oid, nspname name);
       grant select on public.pg_class, public.pg_namespace to public;
       set role project_${project.ref}_authenticator;
       alter role project_${project.ref}_authenticator in database project_${project.ref} set search_path = public, pg_catalog;`,
    );
    expect((await usageOf(project)).tables).toBe(2);
  });

  test("is known of a paused project, but for its tables", async () => {
    await using project = await disposable();
    await project.client.data(`mutation { pauseProject(ref: "${project.ref}") { state } }`);
    await untilState(project.client, project.ref, "PAUSED");
    expect(await usageOf(project)).toMatchObject({ databaseBytes: expect.any(Number), connections: 0, tables: null });
  });
});
