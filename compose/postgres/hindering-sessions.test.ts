import { expect, test } from "vitest";
import { hinderingSessions } from "./hindering-sessions.ts";

const REF = "abcdefghijklmnopqrst";
let pid = 100;
const session = (activity: string, login = "user", database = `project_${REF}`) => {
  pid += 1;
  const command = `postgres: supalove: project_${REF}_${login} ${database} 127.0.0.1(50000) ${activity}`;
  return { pid, parentPid: 1, command };
};
const ended = (command: { pid: number; parentPid: number; command: string }, forMs = 2_500) =>
  hinderingSessions([command], { kind: "hangs", forMs }).map(({ ref }) => ref);

test.each(["CREATE RULE waiting", "DROP DATABASE waiting", "DO waiting", "ALTER ROLE waiting"])(
  "a login that hangs ends a project's session that shows %s",
  (activity) => {
    expect(ended(session(activity))).toEqual([REF]);
    expect(ended(session(activity, "authenticator"))).toEqual([REF]);
  },
);

test("whoever waits to read or write rows is ended only when nothing else has helped", () => {
  expect(ended(session("UPDATE waiting"))).toEqual([]);
  expect(ended(session("UPDATE waiting"), 5_000)).toEqual([REF]);
});

test.each([
  ["is just logging in", session("startup waiting")],
  ["waits for nobody", session("CREATE INDEX")],
  ["is idle", session("idle in transaction")],
  [
    "belongs to the control plane",
    { pid: 1, parentPid: 1, command: "postgres: supalove: supabase_admin postgres 127.0.0.1(1) ALTER ROLE waiting" },
  ],
  ["is of another database", session("CREATE RULE waiting", "user", "project_other")],
])("a session that %s goes on", (_what, process) => {
  expect(ended(process, 10_000)).toEqual([]);
});

test("a full lock table ends every session of projects, since who holds the locks cannot be seen", () => {
  const all = [session("idle"), session("SELECT"), session("startup waiting")];
  expect(hinderingSessions(all, { kind: "lock_table", forMs: 0 })).toHaveLength(2);
});
