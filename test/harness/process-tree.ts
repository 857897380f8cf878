/** Processes below one of ours, from Linux' /proc. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface RunningProcess {
  readonly pid: number;
  readonly command: string;
}

/** Everything below a process, nearest first. */
export function descendantsOf(pid: number): RunningProcess[] {
  const all = readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? (readProcess(Number(name)) ?? []) : []));
  const found: RunningProcess[] = [];
  const parents = [pid];
  for (const parent of parents) {
    for (const { pid: child, parentPid, command } of all) {
      if (parentPid !== parent) continue;
      found.push({ pid: child, command });
      parents.push(child);
    }
  }
  return found;
}

/** The serving processes of a stack. */
export function servingProcesses(stackPid: number): RunningProcess[] {
  return descendantsOf(stackPid).filter(({ command }) => command.includes("serving/worker.ts"));
}

/** False also for one that has ended and only waits to be noticed. */
export function isRunning(pid: number): boolean {
  return readProcess(pid) !== null;
}

/** Processes that have to do with a folder: by their command line, or because they work in it. */
export function processesOf(folder: string): RunningProcess[] {
  return readdirSync("/proc").flatMap((name) => {
    const found = /^\d+$/.test(name) && Number(name) !== process.pid ? readProcess(Number(name)) : null;
    if (!found) return [];
    return found.command.includes(folder) || workingDirectory(found.pid).startsWith(folder) ? [found] : [];
  });
}

function workingDirectory(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return "";
  }
}

function readProcess(pid: number): (RunningProcess & { parentPid: number }) | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [state, parentPid] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (state === "Z" || state === "X") return null;
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
    return { pid, parentPid: Number(parentPid), command };
  } catch {
    return null; // ended between the listing and the look
  }
}
