/** Makes sure that a process does not outlive us, even when we are killed and it has stopped listening to anybody. */
import { type ChildProcess, spawn } from "node:child_process";

export interface Watchdog {
  /** The process has ended: its pid may belong to another one from now on. */
  stop(): void;
}

/**
 * Our end of the pipe closes whenever and however we end. By then the process has been told by its own channel; one that
 * is still there after two seconds is ended.
 */
const GUARD = 'read -r _; sleep 2; kill -KILL "$1" 2>/dev/null';

/** @param onError The process runs without its watchdog. */
export function watchOver(pid: number, onError: (error: Error) => void): Watchdog {
  // A session of its own: a signal to our process group must not take it away before it is needed.
  const child: ChildProcess = spawn("/bin/sh", ["-c", GUARD, "supalove-watchdog", String(pid)], {
    cwd: "/",
    env: {},
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  child.on("error", onError);
  child.stdin?.on("error", () => {});
  child.unref();
  return { stop: () => void child.kill("SIGKILL") };
}
