/**
 * Whoever sends the signal: every process of ours ends in order, with code 0, and nothing is left of it.
 * `SUPALOVE_TEST_STOPS` says how often each is stopped; the default keeps the suite short.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { Agent, get } from "node:http";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest";
import { createFreshDatabase } from "../../control-plane/testing/fresh-database.ts";
import { freePort } from "../harness/cluster.ts";
import { processesOf, servingProcesses } from "../harness/process-tree.ts";
import {
  type CreatedProject,
  createProject,
  removeDataDir,
  type Stack,
  startStack,
  supalove,
  temporaryDataDir,
} from "../harness/standalone.ts";

const STOPS = Number(process.env.SUPALOVE_TEST_STOPS ?? 1);
const WITHIN = { timeout: 20_000, interval: 50 };
const root = resolve(import.meta.dirname, "../..");
const node = resolve(root, "node_modules/.bin/node");
/** Clients keep their connections. */
const agent = new Agent({ keepAlive: true });
afterAll(() => agent.destroy());

function ask(url: string, headers: Record<string, string> = {}): Promise<number> {
  return new Promise((answered, failed) => {
    get(url, { agent, headers }, (response) => {
      response.resume();
      response.once("end", () => answered(response.statusCode ?? 0));
    }).once("error", failed);
  });
}

describe("the stack of npm start", () => {
  const dataDir = temporaryDataDir();
  const ports: NodeJS.ProcessEnv = {};
  let project: CreatedProject;

  beforeAll(async () => {
    ports.GATEWAY_PORT = String(await freePort());
    const stack = await startStack(dataDir, ports);
    project = await createProject(dataDir, "first");
    await stack.stop();
  });
  afterAll(() => removeDataDir(dataDir));

  const started = async (command?: [string, ...string[]]): Promise<Stack> => {
    const stack = await startStack(dataDir, ports, command);
    expect(await ask(`${project.url}/rest/v1/none`, { apikey: project.anonKey })).toBe(404);
    return stack;
  };
  const exitOf = (stack: Stack) => new Promise((gone) => stack.process.once("exit", gone));

  test.each<[string, NodeJS.Signals, (pid: number) => number, [string, ...string[]] | undefined]>([
    ["npm", "SIGTERM", (pid) => pid, ["npm", "start"]],
    ["npm", "SIGINT", (pid) => pid, ["npm", "start"]],
    ["the primary", "SIGTERM", (pid) => pid, undefined],
    ["the primary, by a terminal that closes,", "SIGHUP", (pid) => pid, undefined],
    ["the process group, as Ctrl-C,", "SIGINT", (pid) => -pid, ["npm", "start"]],
  ])(
    "%s gets %s: all ends with code 0, nothing is left, and the next start goes well",
    async (_to, signal, target, by) => {
      for (let stop = 0; stop < STOPS; stop++) {
        const stack = await started(by);
        const exited = exitOf(stack);
        process.kill(target(stack.process.pid ?? 0), signal);
        expect(await exited).toBe(0);
        expect(processesOf(dataDir)).toEqual([]);
        expect(stack.output()).not.toContain("was left open");
      }
    },
  );

  test.each([100, 600, 1_500])(
    "SIGTERM %i ms after the start, whatever is being started then: it ends, nothing is left, and the next start goes well",
    async (delayMs) => {
      const child = spawn(node, [resolve(root, "compose/main.ts"), "start"], {
        env: { ...process.env, ...ports, SUPALOVE_DATA_DIR: dataDir, CONTROL_PLANE_PORT: "0", POSTGRES_PORT: "0" },
        stdio: "ignore",
      });
      const exited = new Promise((gone) => child.once("exit", gone));
      await new Promise((resume) => setTimeout(resume, delayMs));
      child.kill("SIGTERM");
      child.kill("SIGTERM"); // who is in a hurry sends it twice
      await exited;
      await vi.waitFor(() => expect(processesOf(dataDir)).toEqual([]), WITHIN);
      const next = await started();
      expect(await next.stop()).toBe(0);
    },
  );

  test("SIGTERM while a project is being made: it ends in order, and the next start finishes it", async () => {
    const stack = await started();
    const made = createProject(dataDir, "half").catch(() => null);
    await new Promise((resume) => setTimeout(resume, 500));
    expect(await stack.stop()).toBe(0);
    await made;
    expect(processesOf(dataDir)).toEqual([]);
    const next = await started();
    await vi.waitFor(async () => {
      const { stdout } = await supalove(dataDir, ["project", "list", "--json"]);
      const states = (JSON.parse(stdout) as { state: string }[]).map(({ state }) => state);
      expect(new Set(states)).toEqual(new Set(["ACTIVE"]));
    }, WITHIN);
    expect(await next.stop()).toBe(0);
  });

  test("the primary is killed while a serving process stands still: nothing is left, and the next start goes well", async () => {
    const stack = await started();
    const pid = stack.process.pid ?? 0;
    const workers = servingProcesses(pid).map((worker) => worker.pid);
    for (const worker of workers) process.kill(worker, "SIGSTOP");
    const exited = exitOf(stack);
    process.kill(pid, "SIGKILL");
    await exited;
    await vi.waitFor(() => {
      expect(processesOf(dataDir)).toEqual([]);
      for (const worker of workers) expect(() => process.kill(worker, 0)).toThrow("ESRCH");
    }, WITHIN);
    const next = await started();
    expect(await next.stop()).toBe(0);
  });
});

describe("a process of its own", () => {
  const gatewayToken = `sbsvc_${randomBytes(20).toString("hex")}`;
  const serviceToken = `sbsvc_${randomBytes(20).toString("hex")}`;
  const children: ChildProcess[] = [];
  let controlPlanePort: number;
  let environmentOf: Record<string, NodeJS.ProcessEnv>;
  let disposeDatabase: () => Promise<void>;

  const run = async (script: string, port: number, path: string): Promise<ChildProcess & { output: () => string }> => {
    let output = "";
    const child = spawn(node, [resolve(root, script)], {
      env: { PATH: process.env.PATH ?? "", ...environmentOf[script] },
      stdio: ["ignore", "pipe", "pipe"],
    });
    children.push(child);
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (chunk: Buffer) => {
        output += chunk.toString();
      });
    await vi.waitFor(
      async () => expect(await ask(`http://127.0.0.1:${port}${path}`), output.slice(-2_000)).toBeLessThan(500),
      WITHIN,
    );
    return Object.assign(child, { output: () => output });
  };

  beforeAll(async () => {
    const fresh = await createFreshDatabase(inject("clusterUrl"));
    disposeDatabase = async () => fresh[Symbol.asyncDispose]();
    controlPlanePort = await freePort();
    const CONTROL_PLANE_URL = `http://127.0.0.1:${controlPlanePort}`;
    const SUPALOVE_INTERNAL_TOKEN = randomBytes(32).toString("hex");
    environmentOf = {
      "control-plane/main.ts": {
        DATABASE_URL: fresh.url,
        SUPALOVE_MASTER_KEYS: randomBytes(32).toString("base64"),
        CONTROL_PLANE_PORT: String(controlPlanePort),
        SUPALOVE_GATEWAY_TOKEN: gatewayToken,
        SUPALOVE_SERVICE_TOKEN: serviceToken,
      },
      "gateway/main.ts": {
        GATEWAY_PORT: String(await freePort()),
        SUPALOVE_GATEWAY_TOKEN: gatewayToken,
        CONTROL_PLANE_URL,
        SUPALOVE_INTERNAL_TOKEN,
      },
      "data-plane/main.ts": {
        SERVICE_PORT: String(await freePort()),
        SUPALOVE_SERVICES: "rest,auth",
        SUPALOVE_SERVICE_TOKEN: serviceToken,
        CONTROL_PLANE_URL,
        SUPALOVE_INTERNAL_TOKEN,
      },
      "data-plane/rest/main.ts": {
        PGRST_DB_URI: fresh.url,
        PGRST_DB_SCHEMAS: "public",
        PGRST_DB_ANON_ROLE: "supabase_admin",
        PGRST_SERVER_PORT: String(await freePort()),
      },
    };
    await run("control-plane/main.ts", controlPlanePort, "/ready");
  });
  afterAll(async () => {
    for (const child of children) if (child.exitCode === null) child.kill("SIGKILL");
    await disposeDatabase?.();
  });

  test.each([
    ["gateway/main.ts", "GATEWAY_PORT", "/projects/aaaaaaaaaaaaaaaaaaaa/rest/v1/notes"],
    ["data-plane/main.ts", "SERVICE_PORT", "/ready"],
    ["data-plane/rest/main.ts", "PGRST_SERVER_PORT", "/"],
    ["control-plane/main.ts", "CONTROL_PLANE_PORT", "/ready"],
  ])("%s ends after it has served, with its clients' connections still open", async (script, variable, path) => {
    for (const signal of Array.from({ length: STOPS }, () => ["SIGTERM", "SIGINT"] as const).flat()) {
      const served = script === "control-plane/main.ts" ? children[0] : null;
      const child =
        served?.exitCode === null
          ? (served as Awaited<ReturnType<typeof run>>)
          : await run(script, Number(environmentOf[script]?.[variable]), path);
      for (let turn = 0; turn < 5; turn++) await ask(`http://127.0.0.1:${environmentOf[script]?.[variable]}${path}`);
      const exited = new Promise((gone) => child.once("exit", (code, by) => gone(code ?? by)));
      child.kill(signal);
      expect(await exited, child.output()).toBe(0);
      expect(child.output()).not.toContain("was left open");
    }
  });
});
