/**
 * The dashboard's build, made when its sources have changed and kept until they change again: `dashboard/dist/<hash>`.
 * It runs in a process of its own, after the API is up. Several stacks that start at once wait for one build.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const root = resolve(import.meta.dirname, "../..");
const sources = join(root, "dashboard");
const builds = join(sources, "dist");

/** What lies in `dashboard/` and is not part of the build. */
const NO_SOURCES = /^dist(\/|$)|\.test\.tsx?$|\.graphql$/;
const KEPT_BUILDS = 2;
const POLL_MS = 250;
/** A lock this old belongs to a process that was killed, and whose id another one may have by now. */
const LOCK_EXPIRES_MS = 120_000;
const KEPT_OUTPUT = 4_000;

/** The folder of the build for the present sources. @throws {Error} with the builder's output. */
export async function ensureDashboardBuild(signal?: AbortSignal): Promise<string> {
  const folder = join(builds, sourceHash());
  while (!existsSync(folder)) {
    signal?.throwIfAborted();
    mkdirSync(builds, { recursive: true });
    const release = tryLock(`${folder}.lock`);
    if (!release) {
      await delay(POLL_MS, undefined, { ...(signal ? { signal } : {}) });
      continue;
    }
    try {
      if (existsSync(folder)) break;
      const unfinished = `${folder}.${process.pid}`;
      try {
        await runBuild(unfinished, signal);
        renameSync(unfinished, folder);
      } finally {
        rmSync(unfinished, { recursive: true, force: true });
      }
      removeOldBuilds(folder);
    } finally {
      release();
    }
  }
  return folder;
}

/** Of everything that decides what the build is: the dashboard's own files and the versions of its libraries. */
function sourceHash(): string {
  const hash = createHash("sha256").update(readFileSync(join(root, "package-lock.json")));
  const names = readdirSync(sources, { recursive: true, encoding: "utf8" }).filter((name) => !NO_SOURCES.test(name));
  for (const name of names.sort()) {
    const path = join(sources, name);
    if (statSync(path).isFile()) hash.update(`\0${name}\0`).update(readFileSync(path));
  }
  return hash.digest("hex").slice(0, 16);
}

/** Null while another process that is alive builds; the lock of one that was killed is removed. */
function tryLock(path: string): (() => void) | null {
  try {
    writeFileSync(path, String(process.pid), { flag: "wx" });
    return () => rmSync(path, { force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > LOCK_EXPIRES_MS || (age > POLL_MS && !isAlive(path))) rmSync(path, { force: true });
    return null;
  }
}

function isAlive(lock: string): boolean {
  try {
    process.kill(Number(readFileSync(lock, "utf8")), 0);
    return true;
  } catch {
    return false;
  }
}

function runBuild(folder: string, signal?: AbortSignal): Promise<void> {
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, [join(sources, "build.ts"), folder], {
      cwd: sources,
      env: { ...process.env, NODE_ENV: "production" },
      stdio: ["ignore", "pipe", "pipe"],
      ...(signal ? { signal } : {}),
    });
    let output = "";
    const collect = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-KEPT_OUTPUT);
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    child.once("error", failed);
    child.once("exit", (code) => (code === 0 ? done() : failed(new Error(`the dashboard was not built:\n${output}`))));
  });
}

function removeOldBuilds(newest: string): void {
  const folders = readdirSync(builds)
    .map((name) => join(builds, name))
    .filter((path) => path !== newest && !path.endsWith(".lock") && !/\.\d+$/.test(path))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  for (const path of folders.slice(KEPT_BUILDS - 1)) rmSync(path, { recursive: true, force: true });
}
