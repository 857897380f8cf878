/** Load on one target, and what it cost the processes that bore it. */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../programs.ts";
import { LOAD_CORE, pinned, type Running } from "./peers.ts";
import { keyOf, refOf } from "./under-test.ts";

export interface Throughput {
  readonly requestsPerSecond: number;
  /** Requests for each second of CPU time that the peer used: what a core would do if it had nothing else to do. */
  readonly requestsPerCpuSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failed: number;
}

const CLOCK_TICKS_PER_SECOND = 100;

/** User and system time of the processes so far. */
export function cpuSeconds(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / CLOCK_TICKS_PER_SECOND;
}

export function projectUrl(port: number, path: string, project = 0): string {
  return `http://127.0.0.1:${port}/projects/${refOf(project)}/rest/v1${path}`;
}

/** @throws When the target does not answer as it should. */
export async function checkAnswer(target: Running, path: string, bytes: number): Promise<void> {
  const key = keyOf(0);
  const response = await fetch(projectUrl(target.port, path), {
    headers: { apikey: key, authorization: `Bearer ${key}` },
  });
  const body = await response.text();
  if (response.status !== 200 || body.length !== bytes || body !== JSON.stringify("x".repeat(bytes - 2))) {
    throw new Error(`${target.name} answers ${response.status} with ${body.length} bytes instead of ${bytes}`);
  }
}

export interface WrkOptions {
  readonly path: string;
  readonly seconds: number;
  readonly connections: number;
  /** Requests go to so many projects at random, */
  readonly projects?: number;
  /** beginning with this one. */
  readonly firstProject?: number;
  /** Each connection waits so long before a request: a rate instead of all the target takes. */
  readonly delayMs?: number;
  readonly folder: string;
}

/** As many requests as the target takes. */
export async function runWrk(target: Running, options: WrkOptions): Promise<Throughput> {
  const wrk = findProgram("wrk");
  if (wrk === null) throw new Error("wrk is not installed");
  const script = join(options.folder, "load.lua");
  writeFileSync(script, luaScript(options));
  const url = `http://127.0.0.1:${target.port}`;
  const args = ["-t1", `-c${options.connections}`, `-d${options.seconds}s`, "--latency", "-s", script, url];
  const pids = target.pids();
  const before = cpuSeconds(pids);
  const output = await run(...pinned(LOAD_CORE, wrk, args));
  const used = cpuSeconds(pids) - before;
  const [requests, durationUs, p50Us, p99Us, failed] = (/^RESULT (.*)$/m.exec(output)?.[1] ?? "")
    .split(" ")
    .map(Number);
  if (requests === undefined || durationUs === undefined) throw new Error(`wrk said: ${output}`);
  return {
    requestsPerSecond: requests / (durationUs / 1e6),
    requestsPerCpuSecond: requests / used,
    p50Ms: (p50Us ?? 0) / 1000,
    p99Ms: (p99Us ?? 0) / 1000,
    failed: failed ?? 0,
  };
}

/** The headers that supabase-js sends. */
function luaScript({ path, projects = 1, firstProject = 0, delayMs = 0 }: WrkOptions): string {
  const indexes = Array.from({ length: projects }, (_, index) => firstProject + index);
  const targets = indexes.map((index) => [refOf(index), keyOf(index)] as const);
  return `
local refs = { ${targets.map(([ref]) => `"${ref}"`).join(",")} }
local keys = { ${targets.map(([, key]) => `"${key}"`).join(",")} }
local requests = {}
function init()
  math.randomseed(1)
  for index = 1, #refs do
    requests[index] = wrk.format("GET", "/projects/" .. refs[index] .. "/rest/v1${path}?select=id,title&id=eq.1", {
      ["apikey"] = keys[index], ["authorization"] = "Bearer " .. keys[index], ["accept"] = "*/*",
      ["x-client-info"] = "supabase-js-node/2.109.0", ["accept-encoding"] = "gzip, deflate", ["user-agent"] = "node" })
  end
end
${delayMs > 0 ? `function delay() return ${delayMs} end` : ""}
function request() return requests[math.random(#requests)] end
function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), failed))
end
`;
}

export interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answers that were not as they should be, and requests that k6 could not start in time. */
  readonly failed: number;
  readonly dropped: number;
}

/** Requests at a fixed rate, every answer checked. */
export async function runK6(url: string, bytes: number, rate: number, seconds: number, project = 0): Promise<Latency> {
  const k6 = findProgram("k6");
  if (k6 === null) throw new Error("k6 is not installed");
  const environment = { TARGET: url, KEY: keyOf(project), BYTES: bytes, RATE: rate, DURATION: `${seconds}s` };
  const settings = Object.entries(environment).flatMap(([name, value]) => ["-e", `${name}=${value}`]);
  const script = join(import.meta.dirname, "k6/routing.js");
  const output = await run(...pinned(LOAD_CORE, k6, ["run", "--quiet", "--no-usage-report", ...settings, script]));
  const { p50, p99, failed, dropped } = JSON.parse(output.slice(output.indexOf("{")));
  return { p50Ms: p50, p99Ms: p99, failed, dropped };
}

/** Opens so many WebSockets, each with an echo that is checked, and holds them. */
export async function runK6Sockets(
  url: string,
  sockets: number,
  holdSeconds: number,
): Promise<{ echoed: number; failed: number }> {
  const k6 = findProgram("k6");
  if (k6 === null) throw new Error("k6 is not installed");
  const environment = { TARGET: url, SOCKETS: sockets, HOLD: holdSeconds };
  const settings = Object.entries(environment).flatMap(([name, value]) => ["-e", `${name}=${value}`]);
  const script = join(import.meta.dirname, "k6/sockets.js");
  const output = await run(...pinned(LOAD_CORE, k6, ["run", "--quiet", "--no-usage-report", ...settings, script]));
  return JSON.parse(output.slice(output.indexOf("{")));
}

/** @returns Standard output, whatever the exit code: the numbers tell. */
export async function run(command: string, args: readonly string[]): Promise<string> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let errors = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  child.stderr.on("data", (chunk) => {
    errors += chunk;
  });
  await new Promise((resolve, reject) => child.once("close", resolve).once("error", reject));
  if (output === "") throw new Error(`${command} said nothing but: ${errors.slice(0, 500)}`);
  return output;
}
