/**
 * A real browser for tests: Chromium of the npm package `@sparticuz/chromium` (one binary, no installation), driven by
 * Playwright. Elsewhere than on Linux x64 the Chrome that is installed is taken.
 */
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { type Browser, chromium, type LaunchOptions } from "playwright-core";

const nodeModules = resolve(import.meta.dirname, "../../node_modules");
const unpackedFolder = join(nodeModules, ".cache/supalove-chromium");

/**
 * - `--no-sandbox`: Chromium refuses to run as root with its sandbox. The tests load nothing but pages of their own.
 * - Every host name is this machine's, so that a test can give pages the hosts it wants and none of them reaches out.
 */
const ARGUMENTS = ["--no-sandbox", "--host-resolver-rules=MAP * 127.0.0.1"];

const execute = promisify(execFile);
const UNPACK = 'import chromium from "@sparticuz/chromium"; await chromium.executablePath();';

/** Starts a headless browser; the caller closes it. Takes about a second, the very first time two more. */
export async function launchBrowser(options: LaunchOptions = {}): Promise<Browser> {
  const binary: LaunchOptions =
    process.platform === "linux" && process.arch === "x64"
      ? { executablePath: await unpackedChromium() }
      : { channel: "chrome" };
  return chromium.launch({ ...binary, ...options, args: [...ARGUMENTS, ...(options.args ?? [])] });
}

/**
 * Unpacks the binary once for all test files. The package unpacks into the folder for temporary files and takes a file
 * that another process is still writing for a whole one; hence a process with a folder of its own, and one rename.
 */
async function unpackedChromium(): Promise<string> {
  const manifest = readFileSync(join(nodeModules, "@sparticuz/chromium/package.json"), "utf8");
  const folder = join(unpackedFolder, (JSON.parse(manifest) as { version: string }).version);
  const executable = join(folder, "chromium");
  if (existsSync(executable)) return executable;
  const own = join(unpackedFolder, randomUUID());
  mkdirSync(own, { recursive: true });
  await execute(process.execPath, ["--input-type=module", "--eval", UNPACK], {
    cwd: nodeModules,
    env: { ...process.env, TMPDIR: own },
  });
  try {
    renameSync(own, folder);
  } catch (error) {
    rmSync(own, { recursive: true, force: true });
    if (!existsSync(executable)) throw error; // else another process was faster
  }
  return executable;
}
