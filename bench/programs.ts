/** The programs of others that the benchmarks use: found on this machine, or said how to get. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

const HINTS = {
  wrk: "apt-get install wrk",
  nginx: "apt-get install nginx-light",
  haproxy: "apt-get install haproxy",
  k6: "go install go.k6.io/k6@latest, or see https://grafana.com/docs/k6/latest/set-up/install-k6/",
  taskset: "apt-get install util-linux",
  pgbench: "apt-get install postgresql-contrib",
} as const;

const VERSION_FLAGS: Partial<Record<Program, string>> = { k6: "version", pgbench: "--version", taskset: "--version" };

export type Program = keyof typeof HINTS;

const FOLDERS = [
  ...(process.env.PATH ?? "").split(delimiter),
  "/usr/sbin",
  "/usr/local/sbin",
  join(homedir(), "go/bin"),
];

/** Absolute path, or null when the program is not installed. */
export function findProgram(name: Program): string | null {
  const folder = FOLDERS.find((candidate) => candidate !== "" && existsSync(join(candidate, name)));
  return folder === undefined ? null : join(folder, name);
}

/** A line for each of the programs that is missing, with how to get it. */
export function missingPrograms(programs: readonly Program[]): readonly string[] {
  return programs.filter((name) => findProgram(name) === null).map((name) => `${name} is missing: ${HINTS[name]}`);
}

/** First line of what the program says of its version. */
export function versionOf(name: Program): string {
  const path = findProgram(name);
  if (path === null) return `${name}: not installed`;
  // Some say it on standard error, some with a failure.
  const { stdout, stderr } = spawnSync(path, [VERSION_FLAGS[name] ?? "-v"], { encoding: "utf8" });
  return `${stdout}${stderr}`.split("\n")[0] ?? name;
}
