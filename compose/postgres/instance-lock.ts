/**
 * Keeps a second process off a data directory. The lock is a file that names its holder by pid and start time, so one
 * left behind by a killed process is recognised even when its pid has been given to somebody else.
 */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findStartMark, isAlive } from "./processes.ts";

/** Another process uses the directory. The message says which. */
export class DirectoryInUse extends Error {}

export interface InstanceLock {
  release(): void;
}

interface Holder {
  readonly pid: number;
  readonly startMark: string | null;
  /** ISO 8601, for people. */
  readonly since: string;
}

const NAME = "lock";

/** @throws {DirectoryInUse} when its holder is alive. */
export function lockDirectory(directory: string): InstanceLock {
  const path = join(directory, NAME);
  const own: Holder = { pid: process.pid, startMark: findStartMark(process.pid), since: new Date().toISOString() };
  const text = `${JSON.stringify(own)}\n`;
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, text, { mode: 0o600 });
  try {
    while (!tryLink(draft, path)) removeIfStale(path, directory);
  } finally {
    rmSync(draft, { force: true });
  }
  return {
    release() {
      if (readIfPresent(path) === text) rmSync(path, { force: true });
    },
  };
}

/** A link appears with its whole content or not at all, and never replaces what is there. */
function tryLink(draft: string, path: string): boolean {
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function removeIfStale(path: string, directory: string): void {
  const text = readIfPresent(path);
  if (text === null) return;
  const holder = parseHolder(text);
  if (holder && isHeld(holder))
    throw new DirectoryInUse(
      `${directory} is in use by another Supalove (pid ${holder.pid}, since ${holder.since}). Stop it first, or choose another folder with SUPALOVE_DATA_DIR.`,
    );
  // Two starters may both have found it stale: whoever moves something else away than what was read puts it back.
  const aside = `${path}.stale.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  if (readIfPresent(aside) !== text) tryLink(aside, path);
  rmSync(aside, { force: true });
}

function isHeld({ pid, startMark }: Holder): boolean {
  // Where the system tells no start times, a pid that is alive must be taken for the holder's.
  return startMark === null ? pid !== process.pid && isAlive(pid) : findStartMark(pid) === startMark;
}

function parseHolder(text: string): Holder | null {
  try {
    return JSON.parse(text) as Holder;
  } catch {
    return null; // cut short by a crash of the machine
  }
}

function readIfPresent(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}
