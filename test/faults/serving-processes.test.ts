/** Serving processes that die or stand still are replaced; nothing of a stack outlives it. */
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { isRunning, servingProcesses } from "../harness/process-tree.ts";
import {
  type CreatedProject,
  createProject,
  removeDataDir,
  type Stack,
  startStack,
  temporaryDataDir,
} from "../harness/standalone.ts";

/** Enough of them that hardly ever all belong to one process. */
const PROJECTS = ["one", "two", "three", "four"];
const WITHIN = { timeout: 20_000, interval: 50 };

describe("with two serving processes", () => {
  const dataDir = temporaryDataDir();
  let stack: Stack;
  let projects: CreatedProject[];

  beforeAll(async () => {
    stack = await startStack(dataDir, { SUPALOVE_WORKERS: "2" });
    projects = await Promise.all(PROJECTS.map((name) => createProject(dataDir, name)));
  });
  afterAll(async () => {
    await stack?.stop();
    removeDataDir(dataDir);
  });

  const workers = () => servingProcesses(stack.process.pid ?? 0).map(({ pid }) => pid);
  const ask = async ({ url, anonKey }: CreatedProject) =>
    (
      await fetch(`${url}/auth/v1/settings`, {
        headers: { apikey: anonKey, connection: "close" },
        signal: AbortSignal.timeout(3_000),
      })
    ).status;
  const allServe = () =>
    vi.waitFor(async () => {
      expect(workers()).toHaveLength(2);
      for (let turn = 0; turn < 4; turn++) for (const project of projects) expect(await ask(project)).toBe(200);
    }, WITHIN);

  test("each project is served by one of them, wherever its requests come in, and their metrics are told together", async () => {
    for (let turn = 0; turn < 4; turn++)
      for (const { url, anonKey } of projects) {
        const headers = { apikey: anonKey, connection: "close" };
        expect((await fetch(`${url}/rest/v1/none`, { headers })).status).toBe(404);
      }
    const origin = new URL(projects[0]?.url ?? "").origin;
    const text = await (await fetch(`${origin}/metrics`)).text();
    const pools = [...text.matchAll(/^supalove_database_pools\{worker="worker-\d"\} (\d+)$/gm)];
    expect(pools).toHaveLength(2);
    expect(pools.reduce((sum, [, count]) => sum + Number(count), 0)).toBe(PROJECTS.length);
    expect(text.match(/^# TYPE supalove_database_pools /gm)).toHaveLength(1);
  });

  test("one that is killed is replaced", async () => {
    await allServe();
    const [victim = 0, other] = workers();
    process.kill(victim, "SIGKILL");
    await vi.waitFor(() => expect(workers().filter((pid) => pid !== other)).not.toContain(victim), WITHIN);
    await allServe();
    expect(workers()).toContain(other);
    expect(stack.output()).toContain("a serving process has died and is replaced");
  });

  test("one whose event loop stands still is replaced", async () => {
    await allServe();
    const [victim = 0] = workers();
    process.kill(victim, "SIGSTOP");
    await vi.waitFor(() => expect(isRunning(victim)).toBe(false), WITHIN);
    await allServe();
    expect(stack.output()).toContain("a serving process stands still and is ended");
  });

  test("one that is told to end is replaced first, and no request is refused meanwhile", async () => {
    await allServe();
    const [victim = 0] = workers();
    let asking = true;
    const answers: (number | string)[] = [];
    const asked = (async () => {
      while (asking) {
        for (const project of projects)
          answers.push(await ask(project).catch((error: Error) => String(error.cause ?? error)));
      }
    })();
    process.kill(victim, "SIGTERM");
    await vi.waitFor(() => expect(isRunning(victim)).toBe(false), WITHIN);
    asking = false;
    await asked;
    expect(answers.filter((answer) => answer !== 200)).toEqual([]);
    expect(workers()).toHaveLength(2);
  });

  test("one that dies again and again is given time", async () => {
    await allServe();
    const [other] = workers();
    await vi.waitFor(() => {
      for (const pid of workers()) if (pid !== other) process.kill(pid, "SIGKILL");
      expect(stack.output()).toContain("a serving process dies again and again");
    }, WITHIN);
    await allServe();
    expect(workers()).toContain(other);
  });
});
