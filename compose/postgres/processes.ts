/**
 * What the operating system says about other processes: are they the ones we think, which sit in our data directory,
 * who listens on a port. Linux answers from /proc; elsewhere `ps` answers what it can and the rest is unknown.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";

export interface ProcessInfo {
  readonly pid: number;
  readonly parentPid: number;
  /** The command line as it was started, arguments joined by spaces. */
  readonly command: string;
}

/** True also for a process of another user. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Nothing happens when it has ended by itself. */
export function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/**
 * Tells a process from a later one that was given the same pid: when it started, in the words of the system. Null when
 * there is no such process.
 */
export function findStartMark(pid: number): string | null {
  const stat = readStat(pid);
  if (stat) return `${readProc("sys/kernel/random/boot_id")?.trim()} ${stat.startTicks}`;
  if (process.platform === "linux") return null;
  return runPs(pid, "lstart=");
}

/** Null when there is no such process, or the system does not tell. */
export function findProcess(pid: number): ProcessInfo | null {
  const stat = readStat(pid);
  if (stat) return { pid, parentPid: stat.parentPid, command: commandOf(pid) };
  if (process.platform === "linux") return null;
  const line = runPs(pid, "ppid=,command=");
  const [, parentPid, command] = /^\s*(\d+)\s+(.*)$/.exec(line ?? "") ?? [];
  return command === undefined ? null : { pid, parentPid: Number(parentPid), command };
}

/**
 * All processes of a program whose working directory is the given one: for PostgreSQL, which changes into its data
 * directory, exactly the postmaster and its children. Empty where there is no /proc.
 * @param directory A real path, without symbolic links.
 */
export function findProcessesIn(directory: string, program: string): ProcessInfo[] {
  return processIds().flatMap((pid) => {
    if (readProcLink(`${pid}/cwd`) !== directory) return [];
    // An executable that was replaced by a new version since reads "…/postgres (deleted)".
    const executable = readProcLink(`${pid}/exe`)?.replace(/ \(deleted\)$/, "") ?? "";
    const found = basename(executable) === program ? findProcess(pid) : null;
    return found ? [found] : [];
  });
}

/** Who listens on a TCP port; null when nobody does, or the process is not ours to see. */
export function findPortHolder(port: number): ProcessInfo | null {
  const inodes = new Set<string>();
  for (const table of ["net/tcp", "net/tcp6"])
    for (const line of (readProc(table) ?? "").split("\n").slice(1)) {
      // sl, local_address (hex address:port), rem_address, st (0A: listening), five more, inode
      const fields = line.trim().split(/\s+/);
      if (fields[3] === "0A" && Number.parseInt(fields[1]?.split(":")[1] ?? "", 16) === port)
        inodes.add(fields[9] ?? "");
    }
  if (inodes.size === 0) return null;
  for (const pid of processIds())
    for (const descriptor of listProc(`${pid}/fd`)) {
      const [, inode] = /^socket:\[(\d+)\]$/.exec(readProcLink(`${pid}/fd/${descriptor}`) ?? "") ?? [];
      if (inode !== undefined && inodes.has(inode)) return findProcess(pid);
    }
  return null;
}

/** Null also for a zombie, which has ended and only waits for its parent to notice. */
function readStat(pid: number): { readonly parentPid: number; readonly startTicks: string } | null {
  const text = readProc(`${pid}/stat`);
  if (text === null) return null;
  // pid (name) state ppid … starttime is field 22. The name may hold spaces and parentheses itself.
  const [state, parentPid, ...rest] = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return state === "Z" || state === "X" ? null : { parentPid: Number(parentPid), startTicks: rest[17] ?? "" };
}

function commandOf(pid: number): string {
  const command = readProc(`${pid}/cmdline`)?.replaceAll("\0", " ").trim();
  return command || (readProc(`${pid}/comm`)?.trim() ?? "");
}

function processIds(): number[] {
  return listProc("").flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
}

// A process may end, or be another user's, between two looks at it: whatever cannot be read is not there.
function readProc(path: string): string | null {
  try {
    return readFileSync(`/proc/${path}`, "utf8");
  } catch {
    return null;
  }
}

function readProcLink(path: string): string | null {
  try {
    return readlinkSync(`/proc/${path}`);
  } catch {
    return null;
  }
}

function listProc(path: string): string[] {
  try {
    return readdirSync(`/proc/${path}`);
  } catch {
    return [];
  }
}

function runPs(pid: number, format: string): string | null {
  try {
    const env = { ...process.env, LC_ALL: "C" };
    return (
      execFileSync("ps", ["-o", format, "-p", String(pid)], { encoding: "utf8", env, stdio: "pipe" }).trim() || null
    );
  } catch {
    return null;
  }
}
