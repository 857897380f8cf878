/** How far a session of a project may go before the watch ends it: defaults, and what an operator may set instead. */
import { z } from "zod";

export interface WatchBounds {
  readonly sharedLockWaitMs: number;
  /** Of the looks in `Observation.sharedLockSightings`: short waits that come again and again count as a long one. */
  readonly sharedLockSightings: number;
  readonly locksOfSession: number;
  /** Shares of the whole, from 0 to 1. */
  readonly lockTableUsage: number;
  readonly notifyQueueUsage: number;
  /** Connections that must be left, and how many are to be left after sessions were ended. */
  readonly connectionsLeft: number;
  readonly connectionsFreed: number;
  readonly memoryOfProjectBytes: number;
  readonly snapshotAge: number;
  readonly retainedWalBytes: number;
  readonly idleInTransactionMs: number;
}

export const DEFAULT_BOUNDS: WatchBounds = {
  sharedLockWaitMs: 500,
  sharedLockSightings: 4,
  locksOfSession: 2_000,
  lockTableUsage: 0.5,
  notifyQueueUsage: 0.3,
  connectionsLeft: 20,
  connectionsFreed: 40,
  memoryOfProjectBytes: 1024 ** 3,
  // A tenth of what brings PostgreSQL to vacuum against a wraparound.
  snapshotAge: 20_000_000,
  // Half of what the embedded server keeps for a slot before it gives the slot up.
  retainedWalBytes: 512 * 1024 ** 2,
  idleInTransactionMs: 10 * 60_000,
};

function bound(name: keyof WatchBounds, least: number, description: string) {
  return z.coerce.number().int().min(least).default(DEFAULT_BOUNDS[name]).describe(description);
}

function share(name: keyof WatchBounds, description: string) {
  return z.coerce.number().min(0.01).max(0.95).default(DEFAULT_BOUNDS[name]).describe(description);
}

export const WATCH_VARIABLES = {
  SUPALOVE_WATCH_SHARED_LOCK_WAIT_MS: bound(
    "sharedLockWaitMs",
    50,
    "Cluster watch: how long a project's session may wait for a lock that keeps everybody from logging in.",
  ),
  SUPALOVE_WATCH_LOCKS: bound(
    "locksOfSession",
    100,
    "Cluster watch: locks that one session may hold once SUPALOVE_WATCH_LOCK_TABLE_USAGE is reached.",
  ),
  SUPALOVE_WATCH_LOCK_TABLE_USAGE: share(
    "lockTableUsage",
    "Cluster watch: share of PostgreSQL's lock table, 0 to 1, from which on large holders are ended.",
  ),
  SUPALOVE_WATCH_NOTIFY_QUEUE_USAGE: share(
    "notifyQueueUsage",
    "Cluster watch: share of the NOTIFY queue, 0 to 1, from which on the project with the oldest transaction is ended.",
  ),
  SUPALOVE_WATCH_CONNECTIONS_LEFT: bound(
    "connectionsLeft",
    0,
    "Cluster watch: connections that must be left for others; below it the project with the most loses some, until twice as many are free.",
  ),
  SUPALOVE_WATCH_PROJECT_MEMORY_BYTES: bound(
    "memoryOfProjectBytes",
    64 * 1024 ** 2,
    "Cluster watch: private memory of all sessions of a project together, where it can be read (the embedded PostgreSQL).",
  ),
  SUPALOVE_WATCH_SNAPSHOT_AGE: bound(
    "snapshotAge",
    1_000,
    "Cluster watch: transactions that may begin while a project's session keeps its snapshot and so holds back vacuum.",
  ),
  SUPALOVE_WATCH_RETAINED_WAL_BYTES: bound(
    "retainedWalBytes",
    32 * 1024 ** 2,
    "Cluster watch: write-ahead log that replication slots may hold back before the oldest writing transactions are ended.",
  ),
  SUPALOVE_WATCH_IDLE_IN_TRANSACTION_MS: bound(
    "idleInTransactionMs",
    1_000,
    "Cluster watch: how long a project's session may stand idle in a transaction, whatever it has set for itself.",
  ),
};

export function watchBoundsOf(values: z.output<z.ZodObject<typeof WATCH_VARIABLES>>): WatchBounds {
  return {
    sharedLockWaitMs: values.SUPALOVE_WATCH_SHARED_LOCK_WAIT_MS,
    sharedLockSightings: DEFAULT_BOUNDS.sharedLockSightings,
    locksOfSession: values.SUPALOVE_WATCH_LOCKS,
    lockTableUsage: values.SUPALOVE_WATCH_LOCK_TABLE_USAGE,
    notifyQueueUsage: values.SUPALOVE_WATCH_NOTIFY_QUEUE_USAGE,
    connectionsLeft: values.SUPALOVE_WATCH_CONNECTIONS_LEFT,
    connectionsFreed: 2 * values.SUPALOVE_WATCH_CONNECTIONS_LEFT,
    memoryOfProjectBytes: values.SUPALOVE_WATCH_PROJECT_MEMORY_BYTES,
    snapshotAge: values.SUPALOVE_WATCH_SNAPSHOT_AGE,
    retainedWalBytes: values.SUPALOVE_WATCH_RETAINED_WAL_BYTES,
    idleInTransactionMs: values.SUPALOVE_WATCH_IDLE_IN_TRANSACTION_MS,
  };
}
