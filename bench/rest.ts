/**
 * REST through the gateway, with API key, user token and row-level security, beside pgbench doing the same two
 * statements in one pipeline (at 8 and at 64 connections; the better one is the yardstick), and beside a handler written by hand for just these requests. Contenders take turns in
 * short rounds on one cluster, so that each sees the same minutes of the machine.
 *
 * node bench/rest.ts [--seconds 4] [--rounds 3] [--connections 64] [--only <part of a scenario's name>]
 *   [--profile <folder for a CPU profile of the gateway's process>]
 */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { ProjectDatabases, Statement } from "../data-plane/database/database.ts";
import { createProjectDatabases } from "../data-plane/database/project-databases.ts";
import { createRestService } from "../data-plane/rest/service.ts";
import { toServiceRequest } from "../data-plane/rest/testing/request.ts";
import { WorkerPool } from "../data-plane/work/worker-pool.ts";
import { startTestCluster } from "../test/harness/cluster.ts";
import { createTestProjectDatabase } from "../test/harness/project-database.ts";
import { type LoadResult, runLoad } from "./rest/load.ts";
import { requestsOf, startServer } from "./rest/serve.ts";
import { createWorld, type Scenario, scenarios, serviceSnapshotOf } from "./rest/world.ts";

const { values: options } = parseArgs({
  options: {
    seconds: { type: "string", default: "4" },
    rounds: { type: "string", default: "3" },
    connections: { type: "string", default: "64" },
    only: { type: "string", default: "" },
    profile: { type: "string", default: "" },
  },
});
const seconds = Number(options.seconds);
const rounds = Number(options.rounds);
const connections = Number(options.connections);

const PGBENCH_CONNECTIONS = [8, 64] as const;

interface Results {
  /** Transactions per second by connections. */
  readonly pgbench: ReadonlyMap<number, number[]>;
  readonly gateway: LoadResult[];
  readonly plain: LoadResult[];
}

const folder = mkdtempSync(join(tmpdir(), "supalove-bench-"));
const cluster = await startTestCluster();
const project = await createTestProjectDatabase(cluster.url);
const world = await createWorld(project.projectRef, project.address, project.userUrl);
const profiling = options.profile ? ["--cpu-prof", `--cpu-prof-dir=${options.profile}`] : [];
const gateway = await startServer("gateway", [world], profiling);
const plain = await startServer("plain", [world]);

const chosen = scenarios().filter(({ name }) => name.includes(options.only));
for (const scenario of chosen) {
  const statements = await recordStatements(scenario);
  const results: Results = {
    pgbench: new Map(PGBENCH_CONNECTIONS.map((clients) => [clients, []])),
    gateway: [],
    plain: [],
  };
  for (let round = 0; round < rounds; round += 1) {
    for (const [clients, runs] of results.pgbench) runs.push(runPgbench(statements, scenario.keys, clients));
    results.gateway.push(await load(gateway.port, scenario, `/projects/${world.projectRef}/rest/v1`));
    results.plain.push(await load(plain.port, scenario, "/rest/v1"));
  }
  report(scenario, results);
}

gateway.stop();
plain.stop();
rmSync(folder, { recursive: true });
await cluster.stop();

function report(scenario: Scenario, results: Results): void {
  const baseline = Math.max(...[...results.pgbench.values()].map(median));
  console.log(
    `\n${scenario.name}: requests per second at ${connections} connections, median of ${rounds} × ${seconds} s`,
  );
  const line = (name: string, perSecond: number, more = "") =>
    console.log(
      `  ${name.padEnd(34)} ${perSecond.toFixed(0).padStart(7)}  ${(perSecond / baseline).toFixed(2)} × the better pgbench${more}`,
    );
  for (const [clients, runs] of results.pgbench) line(`pgbench, pipelined, ${clients} connections`, median(runs));
  for (const [name, runs] of [
    ["gateway and REST", results.gateway],
    ["by hand: uWebSockets.js and pg", results.plain],
  ] as const) {
    const latency = (pick: (run: LoadResult) => number) => median(runs.map(pick)).toFixed(1);
    line(
      name,
      median(runs.map((run) => run.perSecond)),
      `  p50 ${latency((r) => r.p50Ms)} ms, p99 ${latency((r) => r.p99Ms)} ms`,
    );
  }
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((left, right) => left - right)[Math.floor(numbers.length / 2)] ?? 0;
}

function load(port: number, scenario: Scenario, prefix: string): Promise<LoadResult> {
  const request = requestsOf(world, scenario, prefix);
  return runLoad({ port, connections, seconds, request, expectedStatus: scenario.status });
}

/** The statements that the REST service sends for the scenario's request, with their values. */
async function recordStatements(scenario: Scenario): Promise<readonly Statement[]> {
  const recorded: Statement[] = [];
  const databases = createProjectDatabases({ maxConnections: 3 });
  const rest = createRestService({
    workers: new WorkerPool(),
    databases: recording(databases, recorded),
    now: Date.now,
    logger: { info() {}, warn: console.error },
  });
  const headers = { authorization: `Bearer ${world.userToken}`, apikey: world.anonKey, accept: "application/json" };
  const request = toServiceRequest(scenario.method, scenario.path(1), headers, scenario.body ?? undefined);
  const response = await rest.handle(request, serviceSnapshotOf(world));
  if (response.status !== scenario.status) throw new Error(`${scenario.name}: ${response.status} ${response.body}`);
  await rest.close();
  await databases.close();
  return recorded;
}

function recording(databases: ProjectDatabases, recorded: Statement[]): ProjectDatabases {
  return {
    get(ref, address) {
      const database = databases.get(ref, address);
      return {
        projectRef: database.projectRef,
        withTransaction: (work, settings) => database.withTransaction(work, settings),
        pipeline: (statements, pipelineOptions) => {
          recorded.push(...statements);
          return database.pipeline(statements, pipelineOptions);
        },
      };
    },
    listen: (ref, address, channel, handlers) => databases.listen(ref, address, channel, handlers),
    release: (ref) => databases.release(ref),
    close: () => databases.close(),
  };
}

/** The same statements with the same values as parameters; the first value of the second statement is what varies, from 1 to `keys`. */
function runPgbench(statements: readonly Statement[], keys: number, clients: number): number {
  const variables: string[] = [];
  const lines = [`\\set key random(1, ${keys})`, "\\startpipeline"];
  statements.forEach(({ text, values }, statement) => {
    let sql = text.replaceAll(/\s+/g, " ");
    values.forEach((value, index) => {
      const name = `v${statement}_${index + 1}`;
      const isKey = statement === 1 && index === 0 && !Buffer.isBuffer(value);
      if (!isKey) variables.push("-D", `${name}=${value === null ? "" : value.toString()}`);
      sql = sql.replaceAll(new RegExp(`\\$${index + 1}(?!\\d)`, "g"), isKey ? ":key" : `:${name}`);
    });
    lines.push(`${sql};`);
  });
  lines.push("\\endpipeline");
  const script = join(folder, "statements.sql");
  writeFileSync(script, `${lines.join("\n")}\n`);
  const url = new URL(project.adminUrl);
  const output = execFileSync(
    "pgbench",
    ["-n", "-M", "prepared", "-c", String(clients), "-j", "1", "-T", String(seconds), ...variables, "-f", script],
    {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...process.env,
        PGHOST: url.hostname,
        PGPORT: url.port,
        PGUSER: url.username,
        PGPASSWORD: url.password,
        PGDATABASE: url.pathname.slice(1),
      },
    },
  );
  return Number(/tps = ([\d.]+)/.exec(output)?.[1]);
}
