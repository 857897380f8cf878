import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { findPortHolder, findProcess, findProcessesIn, findStartMark, isAlive, kill } from "./processes.ts";

const isLinux = process.platform === "linux";

test("a process that has ended is gone, also while nobody has noticed its end", async () => {
  const child = spawn("sleep", ["60"]);
  const pid = child.pid ?? 0;
  expect(findStartMark(pid)).not.toBeNull();
  expect(findProcess(pid)).toMatchObject({ pid, parentPid: process.pid, command: "sleep 60" });
  child.kill("SIGKILL");
  while (findStartMark(pid) !== null) {} // our event loop stands still: it stays a zombie
  expect(findProcess(pid)).toBeNull();
  await once(child, "exit");
  expect(isAlive(pid)).toBe(false);
  kill(pid, "SIGKILL");
});

test("two processes never have the same start mark and pid", () => {
  expect(findStartMark(process.pid)).toBe(findStartMark(process.pid));
  expect(findStartMark(process.pid)).not.toBe(findStartMark(process.ppid));
});

test.runIf(isLinux)("processes are found by their working directory and program, no others", async () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "supalove-cwd-")));
  const inside = spawn("sleep", ["60"], { cwd: folder });
  const outside = spawn("sleep", ["60"]);
  while (findProcess(inside.pid ?? 0)?.command !== "sleep 60") await new Promise((resolve) => setTimeout(resolve, 5));
  expect(findProcessesIn(folder, "sleep").map(({ pid }) => pid)).toEqual([inside.pid]);
  expect(findProcessesIn(folder, "postgres")).toEqual([]);
  for (const child of [inside, outside]) child.kill("SIGKILL");
  rmSync(folder, { recursive: true });
});

test.runIf(isLinux)("the holder of a port is found, whatever the family of its address", async () => {
  const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"));
  for (const host of ["127.0.0.1", ...(hasIpv6 ? ["::1"] : [])]) {
    const server = createServer();
    server.listen(0, host);
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    expect(findPortHolder(port)?.pid).toBe(process.pid);
    await new Promise((closed) => server.close(closed));
    expect(findPortHolder(port)).toBeNull();
  }
});
