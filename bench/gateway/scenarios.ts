/** What is measured, and how it is told. Each scenario checks the answers of all its targets first. */
import { setTimeout as delay } from "node:timers/promises";
import { proportionalSetBytes } from "../../test/harness/process-memory.ts";
import { findProgram } from "../programs.ts";
import { median, round, table } from "../results.ts";
import { countFailures } from "./failures.ts";
import { freePort } from "./free-port.ts";
import { checkAnswer, type Latency, projectUrl, runK6, runK6Sockets, runWrk, type Throughput } from "./load.ts";
import {
  BODY_BYTES,
  type BodySize,
  bodyPath,
  type Running,
  startFullNginx,
  startGateway,
  startHaproxy,
  startPlainNginx,
  startSocketUpstream,
  startUndici,
  startUpstream,
} from "./peers.ts";
import { keyOf, refOf } from "./under-test.ts";

export interface Scenario {
  readonly name: string;
  /** @returns Markdown. */
  run(folder: string): Promise<string>;
}

const ROUNDS = 3;
const SECONDS = 3;
const CONNECTIONS = 64;
const SIZES = Object.keys(BODY_BYTES) as BodySize[];

export const SCENARIOS: readonly Scenario[] = [
  { name: "throughput", run: throughput },
  { name: "latency", run: latency },
  { name: "projects", run: projects },
  { name: "neighbours", run: neighbours },
  { name: "restart", run: restart },
  { name: "sockets", run: sockets },
];

async function withAll<T>(
  targets: readonly Promise<Running>[],
  use: (...running: Running[]) => Promise<T>,
): Promise<T> {
  const started = await Promise.allSettled(targets);
  const running = started.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  try {
    for (const result of started) if (result.status === "rejected") throw result.reason;
    return await use(...running);
  } finally {
    for (const target of running) await target.stop();
  }
}

async function withUpstream<T>(folder: string, use: (upstream: Running) => Promise<T>): Promise<T> {
  return withAll([startUpstream(folder)], (upstream) => use(upstream as Running));
}

/** Peers alternate in every round, so that a busy minute of the machine hits all of them. */
async function throughput(folder: string): Promise<string> {
  return withUpstream(folder, (upstream) => {
    const targets = [
      startPlainNginx(folder, upstream),
      startFullNginx(folder, upstream, 1_000),
      startGateway("gateway", upstream),
      startGateway("gateway, no pipelining", upstream, { pipelining: false }),
      ...(findProgram("haproxy") ? [startHaproxy(folder, upstream)] : []),
      startUndici(upstream),
    ];
    return withAll(targets, async (...running) => {
      const parts = ["### Requests a second on one core", describeThroughput()];
      for (const size of SIZES) {
        for (const target of running) await checkAnswer(target, bodyPath(size), BODY_BYTES[size]);
        const results = new Map<string, Throughput[]>(running.map(({ name }) => [name, []]));
        for (let index = 0; index < ROUNDS; index += 1) {
          for (const target of running) {
            const options = { path: bodyPath(size), seconds: SECONDS, connections: CONNECTIONS, folder };
            results.get(target.name)?.push(await runWrk(target, options));
          }
        }
        parts.push(`**${size}**`, throughputTable(results));
      }
      return parts.join("\n\n");
    });
  });
}

function describeThroughput(): string {
  return [
    `Each peer has core 0 for itself; upstream (nginx, static files) and wrk share core 1. ${CONNECTIONS} connections,`,
    `${ROUNDS} rounds of ${SECONDS} s in turn, medians. The ratio compares requests for each second of CPU time, round by`,
    "round, with plain nginx: it is not changed by what else runs on the machine. “nginx, same work” checks the key of",
    "one of 1,000 projects, counts against a rate and a concurrency limit and sets the same headers.",
  ].join("\n");
}

function throughputTable(results: ReadonlyMap<string, readonly Throughput[]>): string {
  const reference = results.get("nginx") ?? [];
  const rows = [...results].map(([name, runs]) => {
    const ratios = runs.map((run, index) => run.requestsPerCpuSecond / (reference[index]?.requestsPerCpuSecond ?? 1));
    return [
      name,
      round(median(runs.map((run) => run.requestsPerSecond))),
      round(median(runs.map((run) => run.requestsPerCpuSecond))),
      round(median(ratios), 2),
      round(median(runs.map((run) => run.p50Ms)), 2),
      round(median(runs.map((run) => run.p99Ms)), 2),
      runs.reduce((sum, run) => sum + run.failed, 0),
    ];
  });
  return table(["", "requests/s", "per CPU second", "÷ nginx", "p50 ms", "p99 ms", "failed"], rows);
}

const RATE = 1_500;

async function latency(folder: string): Promise<string> {
  if (findProgram("k6") === null) return "### Latency\n\nNot measured: k6 is not installed.";
  return withUpstream(folder, (upstream) =>
    withAll(
      [startPlainNginx(folder, upstream), startFullNginx(folder, upstream, 1_000), startGateway("gateway", upstream)],
      async (...running) => {
        const rows: (string | number)[][] = [];
        for (const target of running) {
          const url = `${projectUrl(target.port, bodyPath("200 B"))}?select=id`;
          await runK6(url, 200, RATE, 3);
          const runs = [];
          for (let index = 0; index < 3; index += 1) runs.push(await runK6(url, 200, RATE, 8));
          const failed = runs.reduce((sum, run) => sum + run.failed, 0);
          const p50 = round(median(runs.map((run) => run.p50Ms)), 2);
          rows.push([target.name, p50, round(median(runs.map((run) => run.p99Ms)), 2), failed]);
        }
        const head = `### Latency at ${RATE} requests a second (k6, every answer checked, 200 B)`;
        return `${head}\n\n${table(["", "p50 ms", "p99 ms", "failed"], rows)}`;
      },
    ),
  );
}

async function projects(folder: string): Promise<string> {
  const many = 10_000;
  return withUpstream(folder, (upstream) =>
    withAll(
      [
        startFullNginx(folder, upstream, many),
        startGateway("gateway", upstream, { projects: many }),
        startGateway("gateway, no pipelining", upstream, { projects: many, pipelining: false }),
      ],
      async (...running) => {
        const rows: (string | number)[][] = [];
        for (const target of running) {
          await checkAnswer(target, bodyPath("200 B"), 200);
          const options = { path: bodyPath("200 B"), seconds: SECONDS, connections: CONNECTIONS, folder };
          const bytes = await heapAddedBy(target, () => touchAll(target, many));
          const ratios: number[] = [];
          for (let index = 0; index < ROUNDS; index += 1) {
            const one = await runWrk(target, { ...options, projects: 1 });
            const all = await runWrk(target, { ...options, projects: many });
            ratios.push(all.requestsPerCpuSecond / one.requestsPerCpuSecond);
          }
          rows.push([
            target.name,
            round(median(ratios), 2),
            bytes === null ? "" : round(bytes / 2 ** 20 / (many / 1000), 2),
          ]);
        }
        const head = `### ${many} projects at random, against one project`;
        const note =
          "Requests for each second of CPU time. Memory is what a first request to each project adds to the heap: its snapshot in the config cache, its keys, budgets and limits.";
        return `${head}\n\n${note}\n\n${table(["", "÷ one project", "MB per 1,000 projects"], rows)}`;
      },
    ),
  );
}

/** Null for a peer that cannot say. */
async function heapAddedBy(target: Running, work: () => Promise<void>): Promise<number | null> {
  if (!target.name.startsWith("gateway")) {
    await work();
    return null;
  }
  const before = Number(await target.tell("SIGUSR2"));
  await work();
  return Number(await target.tell("SIGUSR2")) - before;
}

/** One request to every project. */
async function touchAll(target: Running, count: number): Promise<void> {
  for (let start = 0; start < count; start += 50) {
    const batch = Array.from({ length: 50 }, async (_, offset) => {
      const index = start + offset;
      const response = await fetch(projectUrl(target.port, bodyPath("200 B"), index), {
        headers: { apikey: keyOf(index) },
      });
      await response.arrayBuffer();
      if (response.status !== 200) throw new Error(`project ${index} answers ${response.status}`);
    });
    await Promise.all(batch);
  }
}

const FLOODED = 0;
const QUIET = 1;
const DEAD = 2;

/** Others while one project is flooded far beyond its limit, and while one whose upstream is dead is asked all the time. */
async function neighbours(folder: string): Promise<string> {
  if (findProgram("k6") === null) return "### Neighbours\n\nNot measured: k6 is not installed.";
  const limit = 500;
  return withUpstream(folder, (upstream) =>
    withAll([startGateway("gateway", upstream, { requestsPerSecond: limit, deadProject: DEAD })], async (gateway) => {
      const target = gateway as Running;
      const measure = () => runK6(projectUrl(target.port, bodyPath("200 B"), QUIET), 200, 200, 8, QUIET);
      const disturb = async (firstProject: number) => {
        const load = { path: bodyPath("200 B"), seconds: 10, connections: 50, delayMs: 10, firstProject, folder };
        const disturbance = runWrk(target, load);
        await delay(1_000);
        return { latency: await measure(), disturbance: await disturbance };
      };
      await measure();
      const alone = await measure();
      const flood = await disturb(FLOODED);
      const dead = await disturb(DEAD);
      const row = (name: string, { p50Ms, p99Ms, failed }: Latency) => [
        name,
        round(p50Ms, 2),
        round(p99Ms, 2),
        round(p99Ms / alone.p99Ms, 2),
        failed,
      ];
      const rows = [
        row("alone", alone),
        row("beside the flood", flood.latency),
        row("beside the dead upstream", dead.latency),
      ];
      const head = "### One project at 200 requests a second while another is flooded, or dead";
      const note =
        `The flood: ${round(flood.disturbance.requestsPerSecond)} requests a second against a limit of ${limit}; ` +
        `${flood.disturbance.failed} of them refused with 429. The project without an upstream was asked ` +
        `${round(dead.disturbance.requestsPerSecond)} times a second; ${dead.disturbance.failed} answers were errors. ` +
        "Load generators and upstream share one core.";
      return `${head}\n\n${note}\n\n${table(["", "p50 ms", "p99 ms", "÷ alone", "failed"], rows)}`;
    }),
  );
}

/** Gateways take turns on one port while GETs go on. */
async function restart(folder: string): Promise<string> {
  return withUpstream(folder, async (upstream) => {
    const port = await freePort();
    const next = (index: number) => startGateway(`gateway ${index}`, upstream, { port, sharePort: true, projects: 1 });
    const turns = 4;
    let current = await next(0);
    const target = `http://127.0.0.1:${port}/projects/${refOf(0)}/rest/v1${bodyPath("200 B")}`;
    const load = countFailures(target, keyOf(0), 32);
    for (let turn = 1; turn <= turns; turn += 1) {
      await delay(1_500);
      const successor = await next(turn);
      await delay(500);
      await current.stop();
      current = successor;
    }
    const { answered, failed, reasons } = await load.stop();
    await current.stop();
    const said = [...reasons].map(([reason, count]) => `${count} × ${reason}`).join(", ");
    const head = "### Gateways replaced under load, side by side on one port";
    return `${head}\n\n${turns} replacements, 32 keep-alive connections, no retries by the client: ${answered} GETs answered, ${failed} failed${said === "" ? "" : ` (${said})`}.`;
  });
}

/** WebSockets that are open at the same time. */
async function sockets(): Promise<string> {
  if (findProgram("k6") === null) return "### WebSockets\n\nNot measured: k6 is not installed.";
  const count = 5_000;
  const holdSeconds = 15;
  return withAll([startSocketUpstream()], (upstream) =>
    withAll([startGateway("gateway", upstream as Running, { projects: 1 })], async (gateway) => {
      const target = gateway as Running;
      const url = `ws://127.0.0.1:${target.port}/projects/${refOf(0)}/realtime/v1/websocket?apikey=${keyOf(0)}&vsn=1.0.0`;
      const before = proportionalSetBytes(target.pids());
      let most = before;
      const sampler = setInterval(() => {
        most = Math.max(most, proportionalSetBytes(target.pids()));
      }, 500);
      const { echoed, failed } = await runK6Sockets(url, count, holdSeconds);
      clearInterval(sampler);
      const perSocket = (most - before) / count / 1024;
      const head = "### WebSockets to a remote realtime server (k6, every echo checked)";
      return `${head}\n\n${count} sockets opened, ${echoed} echoes were right, ${failed} failed; ${round(perSocket, 1)} KB of memory in the gateway for each, at the highest.`;
    }),
  );
}
