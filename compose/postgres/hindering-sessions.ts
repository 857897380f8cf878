/**
 * Ends, from outside of PostgreSQL, sessions of projects that keep everybody from logging in to the embedded server, the
 * watch of the cluster included: it could only have seen them from within. What a session does stands in the title of its
 * process (`postgres: supalove: <user> <database> <host>(<port>) CREATE RULE waiting`).
 */
import type { LoginTrouble } from "../../control-plane/clusters/watch/cluster-watch.ts";
import { findProcessesIn, kill, type ProcessInfo } from "./processes.ts";

/** Titles of sessions of a project's own two logins. */
const TENANT = /^postgres: (?:\S+: )?project_([a-z]{20})_(?:user|authenticator) project_\1 \S+ (.*)$/;
/** Whoever reads or writes rows seldom stands before others; whoever is just logging in is a victim himself. */
const SELDOM_HINDERS = /^(SELECT|INSERT|UPDATE|DELETE|MERGE|BIND|PARSE|EXECUTE|COPY) /;
const VICTIM = /^(startup|authentication)\b/;
/** Long enough for those who hinder most probably to have been ended, and for a login to follow. */
const PROBABLE_ONES_MS = 4_000;

/** Decides by process titles alone. Pure. */
export function hinderingSessions(
  processes: readonly ProcessInfo[],
  { kind, forMs }: LoginTrouble,
): { readonly pid: number; readonly ref: string }[] {
  return processes.flatMap(({ pid, command }) => {
    const [, ref, activity = ""] = TENANT.exec(command) ?? [];
    if (ref === undefined || VICTIM.test(activity)) return [];
    // Who holds the locks cannot be seen: whoever of the tenants is there.
    if (kind === "lock_table") return [{ pid, ref }];
    if (!activity.endsWith(" waiting")) return [];
    return forMs < PROBABLE_ONES_MS && SELDOM_HINDERS.test(activity) ? [] : [{ pid, ref }];
  });
}

/** @param directory PostgreSQL's data directory, a real path. @returns the projects, one entry a session. */
export function endHinderingSessions(directory: string, trouble: LoginTrouble): string[] {
  const found = hinderingSessions(findProcessesIn(directory, "postgres"), trouble);
  for (const { pid } of found) kill(pid, "SIGTERM");
  return found.map(({ ref }) => ref);
}
