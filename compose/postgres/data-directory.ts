/**
 * The folder of the embedded PostgreSQL: `data/` (the cluster), `superuser-password` (0600), `postgres.log`, `lock`.
 * The cluster is made under another name and renamed when it is whole, so that `data/` is never half made.
 */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fchownSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { PostgresBinaries, UnprivilegedUser } from "./binaries.ts";
import { findProcessesIn, kill } from "./processes.ts";
import { HBA_FILE } from "./settings.ts";

export const SUPERUSER = "supabase_admin";
const DRAFT_PREFIX = "data.new-";

/** Where things are, and as whom PostgreSQL runs in them. */
export interface Layout {
  /** Absolute. */
  readonly folder: string;
  readonly user: UnprivilegedUser | null;
}

export function clusterPath({ folder }: Layout): string {
  return join(folder, "data");
}

/** @throws {Error} with a sentence for people when the folder cannot be ours. */
export function ensureFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    chmodSync(folder, 0o700);
  } catch (error) {
    throw new Error(
      `${folder} cannot be used for PostgreSQL's data: ${(error as Error).message}. It must belong to the user who starts Supalove.`,
    );
  }
}

/**
 * How to start one of PostgreSQL's programs on a directory. As root the program runs under another user, who perhaps may
 * not even enter the folders above: it then gets the directory as an open file and reaches it by that.
 * @param position Number of that file for the program; 3 is the first after stdin, stdout and stderr.
 */
export function openForPostgres(directory: string, user: UnprivilegedUser | null, position = 3): DirectoryHandle {
  if (!user) return { path: directory, identity: {}, descriptors: [], close: () => {} };
  const descriptor = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  return {
    path: `/proc/self/fd/${position}`, // children of the program inherit it
    identity: { uid: user.uid, gid: user.gid },
    descriptors: [descriptor],
    close: () => closeSync(descriptor),
  };
}

export interface DirectoryHandle {
  /** The directory as the program sees it. */
  readonly path: string;
  readonly identity: { uid?: number; gid?: number };
  /** To be passed as the program's descriptors from 3 on. */
  readonly descriptors: readonly number[];
  close(): void;
}

/**
 * Makes the cluster unless it is there, and writes its pg_hba.conf.
 * @returns the superuser's password.
 * @throws {Error} with a sentence for people: made by another version, not a cluster, owned by somebody else.
 */
export function ensureCluster(layout: Layout, binaries: PostgresBinaries): string {
  const cluster = clusterPath(layout);
  for (const name of readdirSync(layout.folder))
    if (name.startsWith(DRAFT_PREFIX)) removeDraft(join(layout.folder, name));
  const isNew = !existsSync(cluster);
  let password = findPassword(layout.folder);
  if (isNew) {
    password ??= createPassword(layout.folder);
    makeCluster(layout, binaries, password);
  }
  checkCluster(layout, binaries);
  if (password === null) {
    password = createPassword(layout.folder);
    resetPassword(layout, binaries, password);
  }
  writeOwned(join(cluster, "pg_hba.conf"), HBA_FILE, layout.user);
  return password;
}

/** Left by a start that was killed; its initdb may still be at work. */
function removeDraft(draft: string): void {
  const directory = realpathSync(draft);
  for (const program of ["initdb", "postgres"])
    for (const { pid } of findProcessesIn(directory, program)) kill(pid, "SIGKILL");
  rmSync(draft, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
}

function makeCluster(layout: Layout, binaries: PostgresBinaries, password: string): void {
  const draft = join(layout.folder, `${DRAFT_PREFIX}${process.pid}`);
  const passwordFile = join(layout.folder, `${DRAFT_PREFIX}${process.pid}-password`);
  mkdirSync(draft, { mode: 0o700 });
  writeOwned(passwordFile, `${password}\n`, layout.user);
  const directory = openForPostgres(draft, layout.user);
  const passwordDescriptor = openSync(passwordFile, "r");
  try {
    if (layout.user) fchownSync(directory.descriptors[0] as number, layout.user.uid, layout.user.gid);
    // Collation by code point that does not change with the system's libraries, and knows the letters of all languages.
    const locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"];
    execFileSync(
      binaries.initdb,
      [
        `--pgdata=${directory.path}`,
        `--username=${SUPERUSER}`,
        `--pwfile=${layout.user ? "/proc/self/fd/4" : passwordFile}`,
        "--auth=scram-sha-256",
        "--no-instructions",
        ...locale,
      ],
      {
        ...directory.identity,
        cwd: draft, // entered before the user changes; by it removeDraft knows the process
        env: { LC_ALL: "C", PATH: process.env.PATH ?? "" },
        stdio: ["ignore", "ignore", "pipe", ...directory.descriptors, passwordDescriptor],
        encoding: "utf8",
      },
    );
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    throw new Error(`PostgreSQL could not make its data directory: ${stderr?.trim() || (error as Error).message}`);
  } finally {
    closeSync(passwordDescriptor);
    directory.close();
    rmSync(passwordFile, { force: true });
  }
  renameSync(draft, clusterPath(layout));
}

function checkCluster(layout: Layout, { major }: PostgresBinaries): void {
  const cluster = clusterPath(layout);
  const { uid } = statSync(cluster);
  const expected = layout.user?.uid ?? process.getuid?.();
  if (expected !== undefined && uid !== expected)
    throw new Error(`${cluster} belongs to user id ${uid}, but PostgreSQL would run as user id ${expected}.`);
  const versionFile = join(cluster, "PG_VERSION");
  if (!existsSync(versionFile))
    throw new Error(`${cluster} is not a PostgreSQL data directory. Move it away, and a new one is made.`);
  const version = Number(readFileSync(versionFile, "utf8"));
  if (version !== major)
    throw new Error(
      `${cluster} was made by PostgreSQL ${version}, but this version of Supalove brings PostgreSQL ${major}, which cannot read it. Start the version that made it and copy the databases with pg_dumpall, or run your own PostgreSQL ${version} on it and give its URL in DATABASE_URL.`,
    );
}

/** The password file was lost: the owner of the directory may set a new one. */
function resetPassword(layout: Layout, binaries: PostgresBinaries, password: string): void {
  const directory = openForPostgres(clusterPath(layout), layout.user);
  try {
    execFileSync(binaries.postgres, ["--single", "-D", directory.path, "-c", "log_min_messages=fatal", "postgres"], {
      ...directory.identity,
      cwd: "/",
      env: { LC_ALL: "C" },
      input: `alter role ${SUPERUSER} password '${password}'\n`, // base64url: needs no quoting
      stdio: ["pipe", "ignore", "pipe", ...directory.descriptors],
    });
  } finally {
    directory.close();
  }
}

function findPassword(folder: string): string | null {
  const path = join(folder, "superuser-password");
  return existsSync(path) ? readFileSync(path, "utf8").trim() : null;
}

function createPassword(folder: string): string {
  const password = randomBytes(24).toString("base64url");
  const path = join(folder, "superuser-password");
  writeFileSync(`${path}.new`, `${password}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
  return password;
}

/**
 * Writes a file that PostgreSQL reads. As root we write into a directory of another user, who could have put a link
 * there: nothing is followed, the file is made new and takes the other's place.
 */
function writeOwned(path: string, text: string, user: UnprivilegedUser | null): void {
  const draft = `${path}.new`;
  rmSync(draft, { force: true });
  const descriptor = openSync(draft, "wx", 0o600);
  try {
    writeFileSync(descriptor, text);
    if (user) fchownSync(descriptor, user.uid, user.gid);
  } finally {
    closeSync(descriptor);
  }
  renameSync(draft, path);
}
