import { expect, test } from "vitest";
import { DEFAULT_BOUNDS } from "./bounds.ts";
import { decideEndings, type Observation, type SeenSession, SharedLockHistory } from "./decide.ts";

let pid = 100;
function session(overrides: Partial<SeenSession> = {}): SeenSession {
  pid += 1;
  return {
    pid,
    backendStart: "2026-01-01 00:00:00+00",
    ref: "bob",
    state: "active",
    stateAgeMs: 0,
    transactionAgeMs: null,
    hasTransactionId: false,
    snapshotAge: null,
    locks: 3,
    sharedLockWaitMs: null,
    blocksControlPlane: false,
    memoryBytes: 10 * 1024 ** 2,
    ...overrides,
  };
}

function observation(sessions: readonly SeenSession[], overrides: Partial<Observation> = {}): Observation {
  return {
    sessions,
    connections: sessions.length,
    maxConnections: 460,
    locks: 100,
    maxLocks: 100_000,
    notifyQueueUsage: 0,
    retainedWalBytes: 0,
    closed: new Set(),
    sharedLockSightings: new Map(),
    ...overrides,
  };
}

/** Reason and project, one word a session. */
function decide(seen: Observation): string[] {
  return decideEndings(seen).map(({ session: { ref }, reason }) => `${reason} ${ref}`);
}

test("a quiet cluster is left alone", () => {
  expect(decide(observation([session(), session({ ref: "alice" }), session({ ref: null })]))).toEqual([]);
});

test.each<[string, Partial<SeenSession>, Partial<Observation>]>([
  ["shared_lock", { sharedLockWaitMs: 501 }, {}],
  ["shared_lock", { sharedLockWaitMs: 20 }, { sharedLockSightings: new Map([["bob", 4]]) }],
  ["lock_table", { locks: 2_001 }, { locks: 50_000 }],
  ["notify_queue", { transactionAgeMs: 5_000 }, { notifyQueueUsage: 0.31 }],
  ["blocks_control_plane", { blocksControlPlane: true }, {}],
  ["memory", { memoryBytes: 1024 ** 3 + 1 }, {}],
  ["vacuum", { snapshotAge: 20_000_001 }, {}],
  ["wal", { transactionAgeMs: 5_000, hasTransactionId: true }, { retainedWalBytes: 600 * 1024 ** 2 }],
  ["idle_in_transaction", { state: "idle in transaction (aborted)", stateAgeMs: 10 * 60_000 + 1 }, {}],
  ["connections", {}, { connections: 441 }],
  ["closed", {}, { closed: new Set(["bob"]) }],
])("%s: a project's session is ended, the same of anybody else is not", (reason, seen, whole) => {
  expect(decide(observation([session(seen)], whole))).toEqual([`${reason} bob`]);
  expect(decide(observation([session({ ...seen, ref: null })], whole))).toEqual([]);
});

test.each<[string, Partial<SeenSession>, Partial<Observation>]>([
  ["waits for a moment", { sharedLockWaitMs: 400 }, {}],
  ["holds many locks while there are plenty", { locks: 20_000 }, { locks: 49_000 }],
  ["has an old transaction while nobody needs the queue", { transactionAgeMs: 1e7 }, { notifyQueueUsage: 0.3 }],
  ["only reads while WAL is held back", { transactionAgeMs: 1e7 }, { retainedWalBytes: 1e12 }],
  ["is idle outside of a transaction", { state: "idle", stateAgeMs: 1e9 }, {}],
  ["runs a long statement", { state: "active", stateAgeMs: 1e9, transactionAgeMs: 1e9 }, {}],
  ["has memory that cannot be read", { memoryBytes: null }, {}],
])("a session that %s goes on", (_what, seen, whole) => {
  expect(decide(observation([session(seen)], whole))).toEqual([]);
});

test("many sessions below the bound that fill the lock table together end as one large one would", () => {
  const many = Array.from({ length: 30 }, () => session({ locks: 1_999 }));
  const seen = observation([...many, session({ ref: "alice", locks: 500 })], { locks: 60_000 });
  expect(new Set(decide(seen))).toEqual(new Set(["lock_table bob"]));
  expect(decide(seen)).toHaveLength(30);
});

test("only the project with the oldest transaction pays for a full notification queue", () => {
  const seen = observation(
    [
      session({ transactionAgeMs: 9_000 }),
      session({ transactionAgeMs: 8_500 }),
      session({ transactionAgeMs: 100 }),
      session({ ref: "alice", transactionAgeMs: 8_900 }),
    ],
    { notifyQueueUsage: 0.9 },
  );
  expect(decide(seen)).toEqual(["notify_queue bob", "notify_queue bob"]);
});

test("the largest sessions of a project go until the rest is within its share", () => {
  const sizes = [700, 100, 600, 50].map((megabytes) => session({ memoryBytes: megabytes * 1024 ** 2 }));
  const ended = decideEndings(observation(sizes)).map(({ session: { memoryBytes } }) => (memoryBytes ?? 0) / 1024 ** 2);
  expect(ended).toEqual([700]);
});

test("when connections run out, the project with the most gives up enough of them, idle ones first", () => {
  const greedy = Array.from({ length: 30 }, (_, index) => session({ state: index % 2 ? "idle" : "active" }));
  const others = Array.from({ length: 20 }, () => session({ ref: "alice" }));
  const seen = observation([...greedy, ...others], { connections: 450, maxConnections: 460 });
  const endings = decideEndings(seen);
  expect(endings).toHaveLength(30);
  expect(endings.every(({ session: { ref } }) => ref === "bob")).toBe(true);
  expect(endings[0]?.session.state).toBe("idle");
});

test("what other rules end counts as free connections", () => {
  const waiting = Array.from({ length: 10 }, () => session({ sharedLockWaitMs: 900 }));
  const seen = observation([...waiting, session()], { connections: 450, maxConnections: 460 });
  expect(new Set(decide(seen))).toEqual(new Set(["shared_lock bob"]));
});

test("short waits are remembered for ten looks", () => {
  const history = new SharedLockHistory();
  const waiting = [session({ sharedLockWaitMs: 10 })];
  for (let look = 1; look < DEFAULT_BOUNDS.sharedLockSightings; look += 1)
    expect(history.add(waiting).get("bob")).toBe(look);
  for (let look = 0; look < 10; look += 1) history.add([session()]);
  expect(history.add(waiting).get("bob")).toBe(1);
});
