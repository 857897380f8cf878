/** The connections to one project's database under one login: opened on demand, shared by pipelining, lent for transactions. */
import type { DatabaseAddress, ProjectRef } from "../../control-plane/client/config-snapshot.ts";
import type { Batch } from "./batch.ts";
import { Connection, type ConnectionLimits, type ConnectionOwner, lostError } from "./connection.ts";
import type { BudgetMember, ConnectionBudget } from "./connection-budget.ts";
import { ConnectionLost, DatabaseError, PoolTimeout } from "./database.ts";
import { type HandshakeOptions, openConnection } from "./wire/handshake.ts";
import { SaltedPasswords } from "./wire/scram.ts";

export interface PoolOptions extends ConnectionLimits {
  readonly maxConnectionsPerProject: number;
  /** Pipelined batches spread over at most so many connections; the rest of the project's is left to transactions. */
  readonly pipelineConnections: number;
  /** Batches under way on one connection; further ones wait where any connection can still take them. */
  readonly pipelineDepth: number;
  /** A batch that runs so long counts as slow: nothing more is sent behind it. */
  readonly slowAfterMs: number;
  /** Batches and transactions of one project that may wait. */
  readonly maxWaiting: number;
  readonly acquireTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxLifetimeMs: number;
  readonly connectTimeoutMs: number;
  readonly applicationName: string;
  readonly tls: HandshakeOptions["tls"];
  readonly sessionSettings: Readonly<Record<string, string>>;
}

/** What a pool needs of the process around it. */
export interface PoolSurroundings {
  readonly budget: ConnectionBudget;
  readonly now: () => number;
  /** Something was written: flush the connection at the end of this turn. */
  scheduleFlush(connection: Connection): void;
  /** Batches a project may have under way now: all while it is alone, its part of them while others are busy too. */
  readonly inFlightShare: number;
  /** Something is under way: see to it that {@link Pool.tick} is called soon. */
  wake(): void;
  readonly counters: PoolCounters;
  readonly logger: DatabaseLogger;
}

export interface PoolCounters {
  opened: number;
  timeouts: number;
  connectFailures: number;
  retries: number;
}

/** As pino has it. */
export interface DatabaseLogger {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
}

interface LeaseRequest {
  readonly startedAt: number;
  readonly signal: AbortSignal | undefined;
  resolve(connection: Connection): void;
  reject(reason: unknown): void;
}

/** A further connection is worth its price when each has so many batches to do. */
const BATCHES_PER_CONNECTION = 4;
/** Time for a client that has its answer to ask again. */
const IDLE_GRACE_MS = 5;
const BACKOFF_FIRST_MS = 100;
const BACKOFF_MAX_MS = 5000;
/** A cancelled batch that still runs after so long sits on a connection that is dead. */
const CANCEL_GRACE_MS = 10_000;

export class Pool implements ConnectionOwner, BudgetMember {
  readonly projectRef: ProjectRef;
  readonly address: DatabaseAddress;
  private readonly options: PoolOptions;
  private readonly around: PoolSurroundings;
  private readonly saltedPasswords = new SaltedPasswords();
  private readonly connections: Connection[] = [];
  private readonly leased = new Set<Connection>();
  /** Connections that take no more batches because a transaction waits for them to become empty. */
  private readonly reserved = new Set<Connection>();
  private readonly waiting: Batch[] = [];
  private readonly leaseRequests: LeaseRequest[] = [];
  /** Something was submitted since the last tick. */
  isActive = false;
  private connecting = 0;
  private failures = 0;
  private retryAt = 0;
  private lastFailure: Error | null = null;
  private state: "open" | "retired" | "closed" = "open";
  private onEmpty: (() => void)[] = [];

  constructor(projectRef: ProjectRef, address: DatabaseAddress, options: PoolOptions, around: PoolSurroundings) {
    this.projectRef = projectRef;
    this.address = address;
    this.options = options;
    this.around = around;
  }

  // ---- work ---------------------------------------------------------------------------------------------------------

  submit(batch: Batch): void {
    const { signal } = batch.options;
    if (signal?.aborted) batch.fail(signal.reason);
    else if (batch.isHeavy) this.submitAlone(batch);
    else this.submitShared(batch);
  }

  /** Lends a connection on which nothing else runs, until {@link giveBack}. */
  lease(signal?: AbortSignal): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const refusal = signal?.aborted ? signal.reason : this.refusal(this.leaseRequests.length);
      if (refusal) return reject(refusal);
      this.leaseRequests.push({ startedAt: this.around.now(), signal, resolve, reject });
      this.serveLeases();
      this.growIfWorthIt();
      this.around.wake();
    });
  }

  giveBack(connection: Connection): void {
    this.leased.delete(connection);
    this.onBatchEnd(connection);
  }

  // ---- as the owner of connections ----------------------------------------------------------------------------------

  onWritten(connection: Connection): void {
    this.around.scheduleFlush(connection);
  }

  onBatchEnd(connection: Connection): void {
    if (this.isFree(connection)) {
      if (connection.isRetiring || (this.state !== "open" && !this.isAwaited)) connection.end();
      else if (this.leaseRequests.length > 0) this.serveLeases();
      else if (this.around.budget.isStarving) this.endIfIdle(connection);
    }
    if (this.waiting.length > 0) this.serveWaiting();
  }

  onRetry(connection: Connection, batch: Batch): void {
    this.around.counters.retries++;
    batch.reset();
    if (this.leased.has(connection) && !connection.isClosed) this.send(connection, batch);
    else this.submit(batch);
  }

  onClosed(connection: Connection, reason: Error, unanswered: readonly Batch[]): void {
    const index = this.connections.indexOf(connection);
    if (index >= 0) this.connections.splice(index, 1);
    this.leased.delete(connection);
    this.reserved.delete(connection);
    this.around.budget.release(this);
    unanswered.forEach((batch, position) => {
      // Those behind the head had probably not begun; one that writes nothing may then run again without harm.
      if (position > 0 && batch.options.readOnly && !batch.isRetry && !batch.isLeased) this.onRetry(connection, batch);
      else batch.fail(lostError(reason, true));
    });
    if (this.isAwaited) this.growIfWorthIt();
    this.checkEmpty();
  }

  // ---- as a member of the budget ------------------------------------------------------------------------------------

  get size(): number {
    return this.connections.length + this.connecting;
  }

  get idleSince(): number | undefined {
    return this.longestIdle()?.idleSince;
  }

  closeLongestIdle(): void {
    this.longestIdle()?.end();
  }

  yieldOne(openedBefore: number): boolean {
    if (this.connections.some((connection) => connection.isRetiring)) return false;
    const candidates = this.connections.filter((connection) => connection.openedAt < openedBefore);
    const [lightest] = candidates.sort((a, b) => a.load - b.load);
    if (!lightest) return false;
    lightest.isRetiring = true;
    this.onBatchEnd(lightest);
    return true;
  }

  onGranted(): void {
    if (this.needsConnection()) this.open();
    else this.around.budget.release(this);
  }

  // ---- time -----------------------------------------------------------------------------------------------------------

  /** Looks after whatever depends on time. Answers whether something is under way or waiting. */
  tick(): boolean {
    const now = this.around.now();
    this.dropImpatient(now);
    let isBusy = this.connecting > 0 || this.isAwaited;
    for (const connection of [...this.connections]) {
      if (this.leased.has(connection) || connection.load > 0) isBusy = true;
      else if (now - connection.idleSince >= this.options.idleTimeoutMs) connection.end();
      if (now - connection.openedAt >= this.options.maxLifetimeMs) connection.isRetiring = true;
      this.stopAborted(connection, now);
    }
    if (this.waiting.length > 0) this.serveWaiting();
    if (this.leaseRequests.length > 0) this.serveLeases();
    this.growIfWorthIt();
    return isBusy;
  }

  /** Serves what it has been given and closes; a new pool has taken its place. */
  retire(): void {
    if (this.state !== "open") return;
    this.state = "retired";
    for (const connection of [...this.connections]) this.onBatchEnd(connection);
  }

  /** Drops everything at once. Resolves when the sockets are closed. */
  close(reason: Error): Promise<void> {
    this.state = "closed";
    this.around.budget.withdraw(this);
    this.rejectWaiting(lostError(reason, false));
    for (const connection of [...this.connections]) {
      if (connection.load === 0 && !this.leased.has(connection)) connection.end();
      else connection.destroy(reason);
    }
    return new Promise((resolve) => {
      this.onEmpty.push(resolve);
      this.checkEmpty();
    });
  }

  get isEmpty(): boolean {
    return this.size === 0 && !this.isAwaited;
  }

  /** Counts for metrics. */
  get usage(): { open: number; connecting: number; leased: number; busy: number; waiting: number } {
    return {
      open: this.connections.length,
      connecting: this.connecting,
      leased: this.leased.size,
      busy: this.connections.filter((connection) => connection.load > 0 || this.leased.has(connection)).length,
      waiting: this.waiting.length + this.leaseRequests.length,
    };
  }

  // ---- inside -----------------------------------------------------------------------------------------------------------

  private isFree(connection: Connection): boolean {
    return connection.load === 0 && !this.leased.has(connection);
  }

  /** Another project has no connection at all: gives this one up, unless its own clients come back at once. */
  private endIfIdle(connection: Connection): void {
    setTimeout(() => {
      if (this.isFree(connection) && !this.isAwaited && this.around.budget.isStarving) connection.end();
    }, IDLE_GRACE_MS).unref();
  }

  private get isAwaited(): boolean {
    return this.waiting.length > 0 || this.leaseRequests.length > 0;
  }

  private send(connection: Connection, batch: Batch): void {
    try {
      connection.send(batch);
    } catch (error) {
      batch.fail(error);
    }
  }

  private submitShared(batch: Batch): void {
    this.isActive = true;
    const connection = this.waiting.length === 0 ? this.pick() : null;
    if (connection) {
      this.send(connection, batch);
    } else {
      const refusal = this.refusal(this.waiting.length);
      if (refusal) {
        batch.fail(refusal);
        return;
      }
      this.waiting.push(batch);
    }
    this.growIfWorthIt();
    this.around.wake();
  }

  private submitAlone(batch: Batch): void {
    this.lease(batch.options.signal).then(
      (connection) => {
        this.send(connection, batch);
        const done = () => this.giveBack(connection);
        batch.promise.then(done, done);
      },
      (reason: unknown) => batch.fail(reason),
    );
  }

  /** The least loaded connection that may take one more batch. */
  private pick(): Connection | null {
    const now = this.around.now();
    let best: Connection | null = null;
    let bestLoad = this.options.pipelineDepth;
    let inFlight = 0;
    for (const connection of this.connections) {
      const { load } = connection;
      if (load > 0 && now - connection.headSince > this.options.slowAfterMs) continue;
      inFlight += load;
      if (load >= bestLoad || !this.isShared(connection)) continue;
      best = connection;
      bestLoad = load;
    }
    return inFlight < this.around.inFlightShare ? best : null;
  }

  private serveWaiting(): void {
    while (this.waiting.length > 0) {
      const connection = this.pick();
      if (!connection) return;
      const batch = this.waiting.shift() as Batch;
      if (!batch.isSettled) this.send(connection, batch);
    }
  }

  /** True for a connection that further batches may be sent on. */
  private isShared(connection: Connection): boolean {
    return connection.isAccepting && !this.leased.has(connection) && !this.reserved.has(connection);
  }

  /** At least one connection is left to pipelined batches, unless there may be only one. */
  private serveLeases(): void {
    const maxLeases = Math.max(1, this.options.maxConnectionsPerProject - 1);
    while (this.leaseRequests.length > 0 && this.leased.size < maxLeases) {
      const free = this.connections.find((c) => c.load === 0 && c.isAccepting && !this.leased.has(c));
      if (!free) break;
      const request = this.leaseRequests.shift() as LeaseRequest;
      this.reserved.delete(free);
      this.leased.add(free);
      request.resolve(free);
    }
    this.reserve(Math.min(this.leaseRequests.length - this.connecting, maxLeases - this.leased.size));
  }

  private reserve(count: number): void {
    if (count <= 0) this.reserved.clear();
    while (this.reserved.size < count) {
      let lightest: Connection | null = null;
      for (const connection of this.connections)
        if (this.isShared(connection) && connection.load < (lightest?.load ?? Number.POSITIVE_INFINITY))
          lightest = connection;
      if (!lightest) return;
      this.reserved.add(lightest);
    }
  }

  private needsConnection(): boolean {
    const now = this.around.now();
    if (this.state === "closed" || now < this.retryAt) return false;
    const { maxConnectionsPerProject, pipelineConnections, slowAfterMs } = this.options;
    if (this.size >= maxConnectionsPerProject) return false;
    if (this.leaseRequests.length > this.connecting) return true;
    let usable = this.connecting;
    let demand = this.waiting.length;
    for (const connection of this.connections) {
      if (!this.isShared(connection)) continue;
      demand += connection.load;
      if (connection.load === 0 || now - connection.headSince <= slowAfterMs) usable++;
    }
    if (this.waiting.length > 0 && usable === 0) return true;
    const worthwhile = Math.ceil(Math.min(demand, this.around.inFlightShare) / BATCHES_PER_CONNECTION);
    return usable < Math.min(pipelineConnections, worthwhile);
  }

  private growIfWorthIt(): void {
    while (this.needsConnection()) {
      if (!this.around.budget.request(this)) return;
      this.open();
    }
  }

  private open(): void {
    this.connecting++;
    const { options, address, saltedPasswords } = this;
    openConnection({
      address,
      saltedPasswords,
      connectTimeoutMs: options.connectTimeoutMs,
      applicationName: options.applicationName,
      tls: options.tls,
      settings: options.sessionSettings,
    }).then(
      (opened) => {
        this.connecting--;
        this.failures = 0;
        this.retryAt = 0;
        this.lastFailure = null;
        this.around.counters.opened++;
        const connection = new Connection(opened, address, this, options, this.around.now);
        this.connections.push(connection);
        if (this.state === "closed") connection.end();
        else {
          this.serveLeases();
          this.serveWaiting();
          this.onBatchEnd(connection);
        }
      },
      (error: Error) => this.onConnectFailure(error),
    );
  }

  private onConnectFailure(error: Error): void {
    this.connecting--;
    this.around.counters.connectFailures++;
    const pause = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** this.failures++);
    this.retryAt = this.around.now() + pause * (0.75 + Math.random() / 2); // so that many projects do not knock in step
    this.lastFailure = error;
    this.around.budget.release(this);
    const { projectRef } = this;
    this.around.logger.warn({ projectRef, error: error.message, pauseMs: pause }, "connecting to the database failed");
    // "too many connections" passes by itself, so those who wait go on waiting; anything else they had better know.
    if (this.size === 0 && !isTooManyConnections(error)) this.rejectWaiting(unreachable(error));
    this.checkEmpty();
  }

  /** Why nobody can join the queue now, or null. */
  private refusal(queueLength: number): Error | null {
    if (this.state === "closed")
      return new ConnectionLost("the project's connections have been closed", { sent: false });
    if (
      this.lastFailure &&
      this.size === 0 &&
      this.around.now() < this.retryAt &&
      !isTooManyConnections(this.lastFailure)
    )
      return unreachable(this.lastFailure);
    if (queueLength < this.options.maxWaiting) return null;
    this.around.counters.timeouts++;
    return new PoolTimeout("too many requests wait for a database connection");
  }

  private dropImpatient(now: number): void {
    const { acquireTimeoutMs } = this.options;
    const settle = (waited: number, signal: AbortSignal | undefined): unknown => {
      if (signal?.aborted) return signal.reason;
      if (waited < acquireTimeoutMs) return undefined;
      this.around.counters.timeouts++;
      return new PoolTimeout(`no database connection came free within ${acquireTimeoutMs} ms`);
    };
    keepIf(this.waiting, (batch) => {
      const reason = settle(now - batch.startedAt, batch.options.signal);
      if (reason !== undefined) batch.fail(reason);
      return !batch.isSettled;
    });
    keepIf(this.leaseRequests, (request) => {
      const reason = settle(now - request.startedAt, request.signal);
      if (reason !== undefined) request.reject(reason);
      return reason === undefined;
    });
    if (this.leaseRequests.length === 0) this.reserved.clear();
    if (!this.isAwaited) this.around.budget.withdraw(this);
  }

  private stopAborted(connection: Connection, now: number): void {
    for (const batch of connection.batches) {
      if (!batch.options.signal?.aborted) continue;
      batch.fail(batch.options.signal.reason);
      if (batch !== connection.head) continue;
      if (!batch.isCancelled) connection.cancel(batch);
      else if (now - connection.headSince > CANCEL_GRACE_MS)
        connection.destroy(new Error("the server did not answer a cancel request"));
    }
  }

  private rejectWaiting(reason: Error): void {
    for (const batch of this.waiting.splice(0)) batch.fail(reason);
    for (const request of this.leaseRequests.splice(0)) request.reject(reason);
  }

  private longestIdle(): Connection | undefined {
    let longest: Connection | undefined;
    for (const connection of this.connections) {
      if (connection.load > 0 || this.leased.has(connection) || connection.isRetiring) continue;
      if (!longest || connection.idleSince < longest.idleSince) longest = connection;
    }
    return longest;
  }

  private checkEmpty(): void {
    if (this.size > 0 || this.onEmpty.length === 0) return;
    for (const resolve of this.onEmpty.splice(0)) resolve();
  }
}

function keepIf<T>(items: T[], isKept: (item: T) => boolean): void {
  let kept = 0;
  for (const item of items) if (isKept(item)) items[kept++] = item;
  items.length = kept;
}

function isTooManyConnections(error: Error): boolean {
  return error instanceof DatabaseError && error.code === "53300";
}

function unreachable(error: Error): ConnectionLost {
  if (error instanceof ConnectionLost) return error;
  return new ConnectionLost(`could not connect to the database: ${error.message}`, { cause: error, sent: false });
}
