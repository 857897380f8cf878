/**
 * One and two serving processes beside each other, in turns: the stack of `npm start`, four projects, one row a request
 * through gateway and row-level security. CPU time tells what handing a request over costs, whatever the machine does
 * besides: with two processes about half of the requests come in at the one that does not own their project.
 *
 * node bench/workers.ts [--seconds 5] [--connections 8] [--rounds 2]
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import pg from "pg";
import { createProject, type ProjectCredentials, revealCredentials } from "../compose/cli/projects.ts";
import { processTree } from "../test/harness/process-memory.ts";
import { runLoad } from "./rest/load.ts";
import { type BenchmarkStack, startStack } from "./stack.ts";

const { values: options } = parseArgs({
  options: {
    seconds: { type: "string", default: "5" },
    connections: { type: "string", default: "8" },
    rounds: { type: "string", default: "2" },
  },
});
const seconds = Number(options.seconds);
const connections = Number(options.connections);
const PROJECTS = 4;
/** Of /proc: a hundredth of a second. */
const TICKS_PER_SECOND = 100;

for (let round = 0; round < Number(options.rounds); round += 1) for (const count of [1, 2]) await measure(count);

async function measure(workers: number): Promise<void> {
  const stack = await startStack({ SUPALOVE_WORKERS: String(workers) });
  try {
    const projects = await Promise.all(Array.from({ length: PROJECTS }, () => furnish(stack)));
    await load(projects, 1); // caches and statements
    const before = cpuSeconds(stack.pid);
    const results = await load(projects, seconds);
    const used = cpuSeconds(stack.pid) - before;
    const perSecond = results.reduce((sum, result) => sum + result.perSecond, 0);
    const worst = Math.max(...results.map(({ p99Ms }) => p99Ms));
    const cpuMicros = (used / (perSecond * seconds)) * 1e6;
    console.log(
      `${workers} serving process${workers > 1 ? "es" : ""}: ${perSecond.toFixed(0)}/s for ${PROJECTS} projects, ` +
        `p99 ${worst.toFixed(0)} ms, ${cpuMicros.toFixed(0)} µs of their CPU a request`,
    );
  } finally {
    await stack.stop();
  }
}

function load(projects: readonly ProjectCredentials[], forSeconds: number) {
  return Promise.all(
    projects.map(({ url, anonKey }) => {
      const { port, pathname } = new URL(`${url}/rest/v1/notes?id=eq.7&select=id,text`);
      const target = `${pathname}?id=eq.7&select=id,text`;
      const request = Buffer.from(`GET ${target} HTTP/1.1\r\nhost: localhost\r\napikey: ${anonKey}\r\n\r\n`);
      return runLoad({
        port: Number(port),
        connections,
        seconds: forSeconds,
        request: () => request,
        expectedStatus: 200,
      });
    }),
  );
}

async function furnish({ client, organizationId }: BenchmarkStack): Promise<ProjectCredentials> {
  const { ref } = await createProject(client, { organizationId, name: "bench" });
  const settings = { requestsPerSecond: 100_000, requestBurst: 100_000, concurrentRequests: 1_000 };
  await client.request(
    "mutation ($ref: ID!, $settings: ProjectLimitsInput!) { updateLimits(ref: $ref, settings: $settings) { ref } }",
    { ref, settings },
  );
  const credentials = await revealCredentials(client, ref);
  const database = new pg.Client({ connectionString: credentials.databaseUrl });
  await database.connect();
  await database.query(
    `create table notes (id int primary key, text text not null);
     insert into notes select i, 'note ' || i from generate_series(1, 1000) i;
     alter table notes enable row level security;
     create policy all_may_read on notes for select using (true);
     grant select on notes to anon; notify pgrst, 'reload schema'`,
  );
  await database.end();
  const { url, anonKey } = credentials;
  for (;;) {
    const answer = await fetch(`${url}/rest/v1/notes?limit=1`, { headers: { apikey: anonKey } });
    await answer.text();
    if (answer.status === 200) return credentials;
    await new Promise((resume) => setTimeout(resume, 50));
  }
}

/** User and system time of the serving processes. */
function cpuSeconds(pid: number): number {
  return processTree(pid).reduce((sum, child) => {
    if (!readFileSync(`/proc/${child}/cmdline`, "utf8").includes("serving/worker.ts")) return sum;
    const stat = readFileSync(`/proc/${child}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return sum + (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  }, 0);
}
