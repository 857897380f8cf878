import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DirectoryInUse, lockDirectory } from "./instance-lock.ts";
import { findStartMark } from "./processes.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "supalove-lock-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function leaveLock(pid: number, startMark: string | null): void {
  writeFileSync(join(folder, "lock"), JSON.stringify({ pid, startMark, since: "2020-01-01T00:00:00.000Z" }));
}

test("a directory is locked once, and again after its release", () => {
  const lock = lockDirectory(folder);
  expect(() => lockDirectory(folder)).toThrow(DirectoryInUse);
  lock.release();
  lockDirectory(folder).release();
  expect(readdirSync(folder)).toEqual([]);
});

test("a lock of a process that has ended is taken over", () => {
  leaveLock(2 ** 22 + 1, "some start");
  const lock = lockDirectory(folder);
  expect(() => lockDirectory(folder)).toThrow(DirectoryInUse);
  lock.release();
});

test("a lock whose pid belongs to another process by now is taken over", () => {
  leaveLock(process.pid, "an earlier start");
  lockDirectory(folder).release();
});

test("a lock of a living process is respected, and its holder named", () => {
  const holder = spawn("sleep", ["60"]);
  leaveLock(holder.pid ?? 0, findStartMark(holder.pid ?? 0));
  expect(() => lockDirectory(folder)).toThrow(`pid ${holder.pid}, since 2020-01-01`);
  holder.kill("SIGKILL");
});

test("a lock that was cut short is taken over", () => {
  writeFileSync(join(folder, "lock"), '{"pid":');
  lockDirectory(folder).release();
});

test("a release leaves the lock of somebody else alone", () => {
  const lock = lockDirectory(folder);
  leaveLock(1, findStartMark(1));
  lock.release();
  expect(existsSync(join(folder, "lock"))).toBe(true);
});
