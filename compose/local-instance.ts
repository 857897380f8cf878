/**
 * What the standalone stack leaves in its data folder for the command line beside it: where it listens, and the
 * owner's access token.
 */
import { chmodSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findStartMark, isAlive } from "./postgres/processes.ts";

/** Where a running stack listens. The file is there only while the stack runs (or was killed). */
export interface LocalInstance {
  readonly pid: number;
  /** Tells the process from a later one of the same pid. */
  readonly startMark: string | null;
  readonly controlPlaneUrl: string;
  readonly gatewayUrl: string;
}

const INSTANCE_FILE = "instance.json";
const TOKEN_FILE = "owner-token";
const FIRST_RUN_FILE = "first-run.json";

export function writeLocalInstance(dataDir: string, instance: LocalInstance): void {
  writeWhole(join(dataDir, INSTANCE_FILE), `${JSON.stringify(instance, null, 2)}\n`);
}

/**
 * Null when no stack runs on this folder. A file that a killed stack left behind does not count: whoever listens at its
 * address now is a stranger, and must not be sent the owner's token.
 */
export function findLocalInstance(dataDir: string): LocalInstance | null {
  const text = readIfPresent(join(dataDir, INSTANCE_FILE));
  if (text === null) return null;
  const instance = JSON.parse(text) as LocalInstance;
  return isAlive(instance.pid) && findStartMark(instance.pid) === instance.startMark ? instance : null;
}

export function removeLocalInstance(dataDir: string): void {
  rmSync(join(dataDir, INSTANCE_FILE), { force: true });
}

export function writeOwnerToken(dataDir: string, token: string): void {
  writeWhole(join(dataDir, TOKEN_FILE), `${token}\n`);
}

export function findOwnerToken(dataDir: string): string | null {
  return readIfPresent(join(dataDir, TOKEN_FILE))?.trim() ?? null;
}

/** The owner's credentials between their making and their being shown: a start that fails in between loses nothing. */
export interface FirstRun {
  readonly email: string;
  readonly password: string;
}

export function writeFirstRun(dataDir: string, firstRun: FirstRun): void {
  writeWhole(join(dataDir, FIRST_RUN_FILE), `${JSON.stringify(firstRun)}\n`);
}

/** Null once the credentials were shown. */
export function findFirstRun(dataDir: string): FirstRun | null {
  const text = readIfPresent(join(dataDir, FIRST_RUN_FILE));
  return text === null ? null : (JSON.parse(text) as FirstRun);
}

export function removeFirstRun(dataDir: string): void {
  rmSync(join(dataDir, FIRST_RUN_FILE), { force: true });
}

/** Readable by its owner alone, and never half written. */
function writeWhole(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, text, { mode: 0o600 });
  chmodSync(temporary, 0o600);
  renameSync(temporary, path);
}

function readIfPresent(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}
