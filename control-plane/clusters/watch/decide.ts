/**
 * Which sessions of a shared cluster are to be ended, given what was seen of it in one look. Pure: no I/O, no clock.
 *
 * Everybody who can log in to PostgreSQL can stop everybody else, with what stock PostgreSQL gives to each session: locks,
 * places in shared queues, connections, memory. Each rule below ends the least that frees what is shared.
 */
import { DEFAULT_BOUNDS, type WatchBounds } from "./bounds.ts";

/** What is seen of one client session. Only sessions of a project's own two logins are ever ended. */
export interface SeenSession {
  readonly pid: number;
  /** As PostgreSQL prints it; tells a session from a later one of the same pid. */
  readonly backendStart: string;
  /** The project whose login it is; null for superusers, replication and whatever else a foreign cluster serves. */
  readonly ref: string | null;
  /** `idle`, `active`, `idle in transaction` … */
  readonly state: string;
  /** Since when it is in that state, in milliseconds. */
  readonly stateAgeMs: number;
  /** Age of the open transaction; null without one. */
  readonly transactionAgeMs: number | null;
  /** The transaction has written, so that logical decoding must keep the WAL since its start. */
  readonly hasTransactionId: boolean;
  /** How many transactions ago its snapshot was taken: what was deleted since cannot be vacuumed. Null without one. */
  readonly snapshotAge: number | null;
  /** Entries in the shared lock table. */
  readonly locks: number;
  /** How long it has waited for a lock on a shared object that excludes others; null when it does not. */
  readonly sharedLockWaitMs: number | null;
  /** A session of the control plane has waited for it for seconds. */
  readonly blocksControlPlane: boolean;
  /** Private memory of the backend; null where it cannot be read. */
  readonly memoryBytes: number | null;
}

export interface Observation {
  readonly sessions: readonly SeenSession[];
  /** Client sessions of everybody. */
  readonly connections: number;
  /** Client sessions that the server takes from others than superusers. */
  readonly maxConnections: number;
  readonly locks: number;
  readonly maxLocks: number;
  /** From 0 to 1. */
  readonly notifyQueueUsage: number;
  /** WAL that replication slots hold back, in bytes. */
  readonly retainedWalBytes: number;
  /** Projects that are closed for a while: they have no sessions. */
  readonly closed: ReadonlySet<string>;
  /** In how many of the last looks sessions of a project waited for an excluding lock on a shared object, this one included. */
  readonly sharedLockSightings: ReadonlyMap<string, number>;
}

/** Why a session was ended: label of the metric, and what the project's members read in the audit log. */
export const REASONS = {
  closed: "the project is closed for a while",
  shared_lock: "it waited for a lock that keeps everybody from logging in",
  lock_table: "it held more locks than one session may while the lock table is half full",
  notify_queue: "its open transaction kept the queue of notifications from being emptied",
  connections: "the project had the most connections when hardly any were left",
  memory: "the project's sessions took more memory than one project may",
  vacuum: "its old snapshot kept PostgreSQL from removing what was deleted",
  wal: "its open transaction kept the write-ahead log from being removed",
  blocks_control_plane: "the control plane waited for its locks",
  idle_in_transaction: "its transaction stood open and idle for longer than the installation allows",
} as const;
export type Reason = keyof typeof REASONS;

/** Closing a project for these would punish what it did not do to others. */
const HARMLESS: ReadonlySet<Reason> = new Set(["closed", "idle_in_transaction"]);

/** True when three acts for this reason close the project. */
export function isStrike(reason: Reason): boolean {
  return !HARMLESS.has(reason);
}

export interface Ending {
  readonly session: TenantSession;
  readonly reason: Reason;
}

export type TenantSession = SeenSession & { readonly ref: string };

/** Each session at most once. The first rule that applies names the reason. */
export function decideEndings(seen: Observation, bounds: WatchBounds = DEFAULT_BOUNDS): Ending[] {
  const endings = new Map<number, Ending>();
  const end = (sessions: readonly TenantSession[], reason: Reason) => {
    for (const session of sessions) if (!endings.has(session.pid)) endings.set(session.pid, { session, reason });
  };
  const tenants = seen.sessions.filter((session): session is TenantSession => session.ref !== null);

  end(
    tenants.filter(({ ref }) => seen.closed.has(ref)),
    "closed",
  );
  end(
    tenants.filter(
      ({ ref, sharedLockWaitMs }) =>
        sharedLockWaitMs !== null &&
        (sharedLockWaitMs > bounds.sharedLockWaitMs ||
          (seen.sharedLockSightings.get(ref) ?? 0) >= bounds.sharedLockSightings),
    ),
    "shared_lock",
  );
  end(holdersOfLocks(tenants, seen, bounds), "lock_table");
  if (seen.notifyQueueUsage > bounds.notifyQueueUsage) end(oldestTransactions(tenants), "notify_queue");
  end(
    tenants.filter(({ blocksControlPlane }) => blocksControlPlane),
    "blocks_control_plane",
  );
  end(beyondMemory(tenants, bounds), "memory");
  end(
    tenants.filter(({ snapshotAge }) => snapshotAge !== null && snapshotAge > bounds.snapshotAge),
    "vacuum",
  );
  if (seen.retainedWalBytes > bounds.retainedWalBytes)
    end(oldestTransactions(tenants.filter(({ hasTransactionId }) => hasTransactionId)), "wal");
  end(
    tenants.filter(
      ({ state, stateAgeMs }) => state.startsWith("idle in transaction") && stateAgeMs > bounds.idleInTransactionMs,
    ),
    "idle_in_transaction",
  );
  const left = seen.maxConnections - seen.connections + endings.size;
  if (left < bounds.connectionsLeft)
    end(
      mostConnected(
        tenants.filter(({ pid }) => !endings.has(pid)),
        bounds.connectionsFreed - left,
      ),
      "connections",
    );
  return [...endings.values()];
}

/** Sessions beyond the bound; when the table fills without them, all of the project that holds the most. */
function holdersOfLocks(tenants: readonly TenantSession[], seen: Observation, bounds: WatchBounds): TenantSession[] {
  if (seen.locks < seen.maxLocks * bounds.lockTableUsage) return [];
  const large = tenants.filter(({ locks }) => locks > bounds.locksOfSession);
  if (large.length > 0) return large;
  const [most] = byProject(tenants, ({ locks }) => locks);
  return most && most.total > bounds.locksOfSession ? most.sessions.filter(({ locks }) => locks > 0) : [];
}

/** The transactions of the project whose oldest is the oldest of all that began within a second of it. */
function oldestTransactions(tenants: readonly TenantSession[]): TenantSession[] {
  const open = tenants.filter(({ transactionAgeMs }) => transactionAgeMs !== null);
  const oldest = open.toSorted((a, b) => (b.transactionAgeMs ?? 0) - (a.transactionAgeMs ?? 0))[0];
  if (!oldest) return [];
  const { ref, transactionAgeMs } = oldest;
  return open.filter((one) => one.ref === ref && (one.transactionAgeMs ?? 0) > (transactionAgeMs ?? 0) - 1000);
}

/** The largest sessions of each project beyond its share, until the rest is within it. */
function beyondMemory(tenants: readonly TenantSession[], bounds: WatchBounds): TenantSession[] {
  return byProject(tenants, ({ memoryBytes }) => memoryBytes ?? 0).flatMap(({ sessions, total }) => {
    let rest = total;
    return sessions
      .toSorted((a, b) => (b.memoryBytes ?? 0) - (a.memoryBytes ?? 0))
      .filter(({ memoryBytes }) => {
        if (rest <= bounds.memoryOfProjectBytes) return false;
        rest -= memoryBytes ?? 0;
        return true;
      });
  });
}

/** Sessions of the project with the most, idle ones first; of several with equally many, those of one. */
function mostConnected(tenants: readonly TenantSession[], wanted: number): TenantSession[] {
  const [most] = byProject(tenants, () => 1);
  if (!most) return [];
  return most.sessions.toSorted((a, b) => Number(b.state === "idle") - Number(a.state === "idle")).slice(0, wanted);
}

interface ProjectTotal {
  readonly sessions: readonly TenantSession[];
  readonly total: number;
}

/** The largest total first. */
function byProject(tenants: readonly TenantSession[], amount: (session: TenantSession) => number): ProjectTotal[] {
  return [...Map.groupBy(tenants, ({ ref }) => ref).values()]
    .map((sessions) => ({ sessions, total: sessions.reduce((sum, session) => sum + amount(session), 0) }))
    .toSorted((a, b) => b.total - a.total);
}

/** Remembers, of the last looks, which projects waited for an excluding lock on a shared object. */
export class SharedLockHistory {
  readonly #looks: ReadonlySet<string>[] = [];
  readonly #remembered: number;

  /** @param remembered looks. */
  constructor(remembered = 10) {
    this.#remembered = remembered;
  }

  add(sessions: readonly SeenSession[]): ReadonlyMap<string, number> {
    const waiting = new Set(
      sessions.flatMap(({ ref, sharedLockWaitMs }) => (ref !== null && sharedLockWaitMs !== null ? [ref] : [])),
    );
    this.#looks.push(waiting);
    if (this.#looks.length > this.#remembered) this.#looks.shift();
    return new Map([...waiting].map((ref) => [ref, this.#looks.filter((look) => look.has(ref)).length]));
  }
}
