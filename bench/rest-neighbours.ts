/**
 * Ten projects in one gateway and REST process, all hammered at once: what each gets of its fair share, first with the
 * same load on all, then with one that sends ten times as much. The fair share is a tenth of what all get together, or
 * what the project asks for where that is less.
 *
 * node bench/rest-neighbours.ts [--seconds 5] [--projects 10] [--connections 8]
 */
import { parseArgs } from "node:util";
import { startTestCluster } from "../test/harness/cluster.ts";
import { createTestProjectDatabase } from "../test/harness/project-database.ts";
import { type LoadResult, runLoad } from "./rest/load.ts";
import { requestsOf, startServer } from "./rest/serve.ts";
import { createWorld, scenarios, type World } from "./rest/world.ts";

const { values: options } = parseArgs({
  options: {
    seconds: { type: "string", default: "5" },
    projects: { type: "string", default: "10" },
    connections: { type: "string", default: "8" },
  },
});
const seconds = Number(options.seconds);
const connections = Number(options.connections);

const cluster = await startTestCluster();
const worlds: World[] = [];
for (let count = 0; count < Number(options.projects); count += 1) {
  const project = await createTestProjectDatabase(cluster.url);
  worlds.push(await createWorld(project.projectRef, project.address, project.userUrl));
}
const server = await startServer("gateway", worlds);
const all = worlds.length * connections;

report("one project alone", await Promise.all(worlds.slice(0, 1).map((world) => load(world, connections))));
report(`all, ${connections} connections each`, await Promise.all(worlds.map((world) => load(world, connections))));
report(
  `all, the first with ${all} connections`,
  await Promise.all(worlds.map((world, index) => load(world, index === 0 ? all : connections))),
);
server.stop();
await cluster.stop();

function load(world: World, count: number): Promise<LoadResult> {
  const [scenario] = scenarios();
  if (!scenario) throw new Error("there is no scenario");
  const request = requestsOf(world, scenario, `/projects/${world.projectRef}/rest/v1`);
  return runLoad({ port: server.port, connections: count, seconds, request, expectedStatus: scenario.status });
}

function report(title: string, results: readonly LoadResult[]): void {
  const total = results.reduce((sum, { perSecond }) => sum + perSecond, 0);
  const fair = total / results.length;
  const shares = results.map(({ perSecond }) => perSecond / fair);
  const text = results
    .map(({ perSecond, p99Ms }) => `${perSecond.toFixed(0)}/s (p99 ${p99Ms.toFixed(0)} ms)`)
    .join(" ");
  console.log(
    `${title}: ${total.toFixed(0)}/s together; least share of the fair one ${Math.min(...shares).toFixed(2)}`,
  );
  console.log(`  ${text}`);
}
