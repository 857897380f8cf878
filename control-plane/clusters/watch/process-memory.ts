/** What the operating system knows of backends that run on this machine. */
import { readFileSync } from "node:fs";

/**
 * Private memory of a backend in bytes: what it has allocated itself, without the buffers that all share. Null when the
 * process is gone, is no PostgreSQL, or there is no /proc. Only for servers that see the same process ids as we do.
 */
export function readPrivateMemory(pid: number): number | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    if (!/^Name:\s+postgres/.test(status)) return null;
    const [, resident] = /^RssAnon:\s+(\d+) kB$/m.exec(status) ?? [];
    const [, swapped] = /^VmSwap:\s+(\d+) kB$/m.exec(status) ?? [];
    return resident === undefined ? null : (Number(resident) + Number(swapped ?? 0)) * 1024;
  } catch {
    return null;
  }
}
