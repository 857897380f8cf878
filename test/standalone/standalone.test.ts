/** `supalove start` as an operator meets it: what it prints, what it refuses, what it survives. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { afterEach, expect, inject, test, vi } from "vitest";
import {
  createProject,
  removeDataDir,
  type Stack,
  startStack,
  supalove,
  temporaryDataDir,
} from "../harness/standalone.ts";

const root = resolve(import.meta.dirname, "../..");
const run = promisify(execFile);
const cleanUps: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function ownDataDir(): string {
  const dataDir = temporaryDataDir();
  cleanUps.push(() => removeDataDir(dataDir));
  return dataDir;
}

async function takenPort(): Promise<{ port: number }> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((listening) => server.once("listening", listening));
  cleanUps.push(() => new Promise((closed) => server.close(closed)));
  return server.address() as { port: number };
}

async function started(dataDir: string, environment: NodeJS.ProcessEnv = {}): Promise<Stack> {
  const stack = await startStack(dataDir, environment);
  cleanUps.push(() => stack.stop());
  return stack;
}

test("the snippet of the first start works when pasted into a file", async () => {
  const stack = await started(ownDataDir());
  const snippet = /\/\/ Save as first\.mjs.*/s.exec(stack.output())?.[0] ?? "";
  const file = resolve(root, `first-${process.pid}.mjs`);
  writeFileSync(file, snippet);
  cleanUps.push(() => rmSync(file));
  const { stdout } = await run("npx", ["node", file], { cwd: root });
  expect(stdout).toContain('email: "ada@example.com"'.replaceAll('"', "'"));
});

test("the owner's credentials are printed once and open the API; the printed token is in no log", async () => {
  const dataDir = ownDataDir();
  const stack = await started(dataDir, { SUPALOVE_LOG_LEVEL: "info" });
  const token = /sbp_[0-9a-f]{40}/.exec(stack.output())?.[0] ?? "";
  const logged = stack
    .output()
    .split("\n")
    .filter((line) => line.startsWith("{"));
  expect(logged.join("\n")).not.toContain(token);
  const { controlPlaneUrl } = JSON.parse((await supalove(dataDir, ["status", "--json"])).stdout);
  const listed = await supalove(dataDir, ["project", "list", "--json"], {
    SUPALOVE_DATA_DIR: ownDataDir(),
    SUPALOVE_URL: controlPlaneUrl,
    SUPALOVE_TOKEN: token,
  });
  expect(JSON.parse(listed.stdout)).toMatchObject([{ name: "First project", state: "ACTIVE" }]);
});

test("a second stack on the same folder is refused and says which process has it", async () => {
  const dataDir = ownDataDir();
  const stack = await started(dataDir);
  await expect(startStack(dataDir)).rejects.toThrow(
    new RegExp(`in use.*${stack.process.pid}|${stack.process.pid}.*in use`, "s"),
  );
  expect((await supalove(dataDir, ["project", "list", "--json"])).code).toBe(0);
});

test.each(["GATEWAY_PORT", "CONTROL_PLANE_PORT", "POSTGRES_PORT"])("a taken %s is named", async (name) => {
  const { port } = await takenPort();
  await expect(startStack(ownDataDir(), { [name]: String(port) })).rejects.toThrow(new RegExp(`${port}`));
});

test("credentials that a failed first start could not show are shown by the next one, and by none after it", async () => {
  const dataDir = ownDataDir();
  const { port } = await takenPort();
  await expect(startStack(dataDir, { GATEWAY_PORT: String(port) })).rejects.toThrow();
  const second = await startStack(dataDir);
  expect(second.output()).toMatch(/Owner's password +\S+/);
  expect(second.output()).toMatch(/\/\/ Save as first\.mjs/);
  await second.stop();
  expect((await started(dataDir)).output()).not.toMatch(/Owner's password/);
});

test("after kill -9 of the whole process tree the next start finds everything", async () => {
  const dataDir = ownDataDir();
  const stack = await startStack(dataDir);
  const project = await createProject(dataDir, "survivor");
  await supalove(dataDir, ["project", "sql", project.ref, "create table kept (id int); insert into kept values (42)"]);
  const exited = new Promise((gone) => stack.process.once("exit", gone));
  process.kill(-(stack.process.pid ?? 0), "SIGKILL");
  await exited;

  await started(dataDir);
  const { stdout } = await supalove(dataDir, ["project", "sql", project.ref, "select id from kept", "--json"]);
  expect(JSON.parse(stdout).results[0].rows).toEqual([[42]]);
});

test("PostgreSQL that dies is started again three times, while the stack goes on; then the stack says so and ends", async () => {
  const dataDir = ownDataDir();
  const stack = await startStack(dataDir);
  const exited = new Promise((onExit) => stack.process.once("exit", onExit));
  const project = await createProject(dataDir, "survivor");
  const pidFile = resolve(dataDir, "postgres/data/postmaster.pid");
  const postmaster = () => (existsSync(pidFile) ? Number(readFileSync(pidFile, "utf8").split("\n")[0]) : 0);
  await supalove(dataDir, ["project", "sql", project.ref, "create table notes (id int); insert into notes values (7)"]);
  const rows = async () => {
    const headers = { apikey: project.anonKey };
    return (await fetch(`${project.url}/rest/v1/notes`, { headers })).json();
  };
  await vi.waitFor(async () => expect(await rows()).toEqual([{ id: 7 }]), { timeout: 30_000, interval: 100 });
  for (let time = 0; time < 3; time += 1) {
    const pid = postmaster();
    process.kill(pid, "SIGKILL");
    await vi.waitFor(() => expect([0, pid]).not.toContain(postmaster()), 30_000);
    await vi.waitFor(async () => expect(await rows()).toEqual([{ id: 7 }]), { timeout: 30_000, interval: 100 });
  }
  process.kill(postmaster(), "SIGKILL");
  expect(await exited).toBe(1);
  expect(stack.output()).toMatch(/The stack has stopped: .*PostgreSQL .*too often/);
}, 120_000);

test("it runs on a PostgreSQL of somebody else's", async () => {
  const dataDir = ownDataDir();
  const stack = await started(dataDir, { DATABASE_URL: inject("clusterUrl") });
  expect(stack.output()).toContain("Supalove is ready");
  const project = await createProject(dataDir, "guest");
  const { stdout } = await supalove(dataDir, ["project", "sql", project.ref, "select current_user", "--json"]);
  expect(JSON.parse(stdout).results[0].rows).toEqual([[`project_${project.ref}_user`]]);
  for (const { ref } of JSON.parse((await supalove(dataDir, ["project", "list", "--json"])).stdout)) {
    expect((await supalove(dataDir, ["project", "delete", ref])).code).toBe(0);
  }
});

test("a PostgreSQL that is not there is a sentence without the password", async () => {
  const url = "postgresql://postgres:hunter2@127.0.0.1:1/postgres";
  const failed = await supalove(ownDataDir(), ["start"], { DATABASE_URL: url });
  expect(failed.code).toBe(1);
  expect(failed.stderr).toMatch(/PostgreSQL at 127\.0\.0\.1:1.*cannot be reached/);
  expect(failed.stderr).not.toMatch(/hunter2|\n\s+at /);
});

test("a paused project answers 503 with a code, a resumed one serves, a deleted one is gone", async () => {
  const dataDir = ownDataDir();
  await started(dataDir);
  const { ref, url, anonKey } = await createProject(dataDir, "life");
  const ask = async () => (await fetch(`${url}/auth/v1/settings`, { headers: { apikey: anonKey } })).status;
  expect(await ask()).toBe(200);
  expect((await supalove(dataDir, ["project", "pause", ref])).stdout).toBe(`${ref} is paused\n`);
  await vi.waitFor(async () => expect(await ask()).toBe(503));
  const answer = await fetch(`${url}/rest/v1/x`, { headers: { apikey: anonKey } });
  expect(await answer.json()).toMatchObject({ code: "project_paused" });
  expect((await supalove(dataDir, ["project", "resume", ref])).stdout).toBe(`${ref} is active\n`);
  await vi.waitFor(async () => expect(await ask()).toBe(200));
  expect((await supalove(dataDir, ["project", "delete", ref])).stdout).toBe(`${ref} is deleted\n`);
  await vi.waitFor(async () => expect(await ask()).toBe(404));
  expect((await supalove(dataDir, ["project", "show", ref])).stderr).toBe("project not found\n");
});
