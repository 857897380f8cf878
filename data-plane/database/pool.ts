/** The connections to one project's database under one login: opened on demand, shared by pipelining, lent for transactions. */
import type { DatabaseAddress, ProjectRef } from "../../control-plane/client/config-snapshot.ts";
import { HeldBytesExhausted } from "../held-bytes.ts";
import type { Batch } from "./batch.ts";
import { ConnectBackoff } from "./connect-backoff.ts";
import { Connection, type ConnectionOwner, type HeldByProject, lostError } from "./connection.ts";
import type { BudgetMember } from "./connection-budget.ts";
import { ConnectionLost, DatabaseError, PoolTimeout } from "./database.ts";
import { LargeAnswers } from "./large-answers.ts";
import type { PoolOptions, PoolSurroundings } from "./pool-options.ts";
import { openConnection } from "./wire/handshake.ts";
import { SaltedPasswords } from "./wire/scram.ts";

interface LeaseRequest {
  readonly startedAt: number;
  readonly signal: AbortSignal | undefined;
  resolve(connection: Connection): void;
  reject(reason: unknown): void;
}

/** A further connection is worth its price when each has so many batches to do. */
const BATCHES_PER_CONNECTION = 4;
/** A connection's pipeline should be done in about this time; what is more waits for whichever connection is free first. */
const PIPELINE_MS = 12;
/** Enough that the next batch is there when one ends, however busy this process is. */
const MIN_DEPTH = 4;
const SMOOTHING = 1 / 16;
/** Time for a client that has its answer to ask again. */
const IDLE_GRACE_MS = 5;
/** A cancelled batch that still runs after so long sits on a connection that is dead. */
const CANCEL_GRACE_MS = 10_000;

export class Pool implements ConnectionOwner, BudgetMember {
  readonly projectRef: ProjectRef;
  readonly address: DatabaseAddress;
  readonly #options: PoolOptions;
  readonly #around: PoolSurroundings;
  readonly #saltedPasswords = new SaltedPasswords();
  readonly #connections: Connection[] = [];
  readonly #leased = new Set<Connection>();
  /** Connections that take no more batches because a transaction waits for them to become empty. */
  readonly #reserved = new Set<Connection>();
  readonly #waiting: Batch[] = [];
  readonly #leaseRequests: LeaseRequest[] = [];
  /** Something was submitted since the last tick. */
  isActive = false;
  #connecting = 0;
  /** Of a batch, lately. Nothing is known at first: a burst of slow or large answers is not sent all at once. */
  #averageMs = PIPELINE_MS / MIN_DEPTH;
  readonly #backoff = new ConnectBackoff();
  #state: "open" | "retired" | "closed" = "open";
  #onEmpty: (() => void)[] = [];
  readonly #held: HeldByProject | null;
  readonly #largeAnswers = new LargeAnswers();

  constructor(projectRef: ProjectRef, address: DatabaseAddress, options: PoolOptions, around: PoolSurroundings) {
    this.projectRef = projectRef;
    this.address = address;
    this.#options = options;
    this.#around = around;
    const { heldBytes } = around;
    this.#held = heldBytes && {
      fits: (bytes) => heldBytes.fits(projectRef, bytes),
      take: (bytes) => heldBytes.take(projectRef, bytes),
      give: (bytes) => heldBytes.give(projectRef, bytes),
    };
  }

  // ---- work ---------------------------------------------------------------------------------------------------------

  submit(batch: Batch): void {
    const { signal } = batch.options;
    if (signal?.aborted) batch.fail(signal.reason);
    else if (batch.isHeavy) this.#submitAlone(batch);
    else this.#submitShared(batch);
  }

  /** Lends a connection on which nothing else runs, until {@link giveBack}. */
  lease(signal?: AbortSignal): Promise<Connection> {
    this.isActive = true;
    return new Promise((resolve, reject) => {
      const refusal = signal?.aborted ? signal.reason : this.#refusal(this.#leaseRequests.length);
      if (refusal) return reject(refusal);
      this.#leaseRequests.push({ startedAt: this.#around.now(), signal, resolve, reject });
      this.#serveLeases();
      this.#growIfWorthIt();
      this.#around.wake();
    });
  }

  giveBack(connection: Connection): void {
    this.#leased.delete(connection);
    this.onBatchEnd(connection);
  }

  // ---- as the owner of connections ----------------------------------------------------------------------------------

  onWritten(connection: Connection): void {
    this.#around.scheduleFlush(connection);
  }

  onAnswered(batch: Batch, tookMs: number): void {
    this.#largeAnswers.note(batch.statements, batch.receivedBytes);
    this.#averageMs += (tookMs - this.#averageMs) * SMOOTHING;
  }

  onRefused(batch: Batch, bytes: number): void {
    this.#largeAnswers.note(batch.statements, bytes);
  }

  onBatchEnd(connection: Connection): void {
    if (this.#isFree(connection)) {
      if (connection.isRetiring || (this.#state !== "open" && !this.#isAwaited)) connection.end();
      else if (this.#leaseRequests.length > 0) this.#serveLeases();
      else if (this.#around.budget.isStarving) this.#endIfIdle(connection);
    }
    if (this.#waiting.length > 0) this.#serveWaiting();
  }

  onRetry(connection: Connection, batch: Batch): void {
    this.#around.counters.retries++;
    batch.reset();
    if (this.#leased.has(connection) && !connection.isClosed) this.#send(connection, batch);
    else this.submit(batch);
  }

  onClosed(connection: Connection, reason: Error, unanswered: readonly Batch[]): void {
    const index = this.#connections.indexOf(connection);
    if (index >= 0) this.#connections.splice(index, 1);
    this.#leased.delete(connection);
    this.#reserved.delete(connection);
    this.#around.budget.release(this);
    unanswered.forEach((batch, position) => {
      // Those behind the head had probably not begun; one that writes nothing may then run again without harm.
      if (position > 0 && batch.options.changesNothing && !batch.isRetry && !batch.isLeased)
        this.onRetry(connection, batch);
      else batch.fail(lostError(reason, true));
    });
    if (this.#isAwaited) this.#growIfWorthIt();
    this.#checkEmpty();
  }

  // ---- as a member of the budget ------------------------------------------------------------------------------------

  get size(): number {
    return this.#connections.length + this.#connecting;
  }

  get idleSince(): number | undefined {
    return this.#longestIdle()?.idleSince;
  }

  closeLongestIdle(): void {
    this.#longestIdle()?.end();
  }

  yieldOne(openedBefore: number): boolean {
    if (this.#connections.some((connection) => connection.isRetiring)) return false;
    const candidates = this.#connections.filter((connection) => connection.openedAt < openedBefore);
    const [lightest] = candidates.sort((a, b) => a.load - b.load);
    if (!lightest) return false;
    lightest.isRetiring = true;
    this.onBatchEnd(lightest);
    return true;
  }

  onGranted(): void {
    if (this.#needsConnection()) this.#open();
    else this.#around.budget.release(this);
  }

  // ---- time -----------------------------------------------------------------------------------------------------------

  /** Looks after whatever depends on time. Answers whether something is under way or waiting. */
  tick(): boolean {
    const now = this.#around.now();
    this.#dropImpatient(now);
    let isBusy = this.#connecting > 0 || this.#isAwaited;
    for (const connection of [...this.#connections]) {
      if (!this.#isFree(connection)) isBusy = true;
      else if (now - connection.idleSince >= this.#options.idleTimeoutMs) connection.end();
      if (now - connection.openedAt >= this.#options.maxLifetimeMs) connection.isRetiring = true;
      this.#stopAborted(connection, now);
    }
    if (this.#waiting.length > 0) this.#serveWaiting();
    if (this.#leaseRequests.length > 0) this.#serveLeases();
    this.#growIfWorthIt();
    return isBusy;
  }

  /** Serves what it has been given and closes; a new pool has taken its place. */
  retire(): void {
    if (this.#state !== "open") return;
    this.#state = "retired";
    for (const connection of [...this.#connections]) this.onBatchEnd(connection);
  }

  /** Drops everything at once. Resolves when the sockets are closed. */
  close(reason: Error): Promise<void> {
    this.#state = "closed";
    this.#around.budget.withdraw(this);
    this.#rejectWaiting(lostError(reason, false));
    for (const connection of [...this.#connections]) {
      if (this.#isFree(connection)) connection.end();
      else connection.destroy(reason);
    }
    return new Promise((resolve) => {
      this.#onEmpty.push(resolve);
      this.#checkEmpty();
    });
  }

  /** False once something else has taken its place, or will. */
  get isOpen(): boolean {
    return this.#state === "open";
  }

  get isEmpty(): boolean {
    return this.size === 0 && !this.#isAwaited;
  }

  /** Counts for metrics. */
  get usage(): { open: number; connecting: number; leased: number; busy: number; waiting: number } {
    return {
      open: this.#connections.length,
      connecting: this.#connecting,
      leased: this.#leased.size,
      busy: this.#connections.filter((connection) => !this.#isFree(connection)).length,
      waiting: this.#waiting.length + this.#leaseRequests.length,
    };
  }

  // ---- inside -----------------------------------------------------------------------------------------------------------

  #isFree(connection: Connection): boolean {
    return connection.load === 0 && !this.#leased.has(connection);
  }

  /** Another project has no connection at all: gives this one up, unless its own clients come back at once. */
  #endIfIdle(connection: Connection): void {
    setTimeout(() => {
      if (this.#isFree(connection) && !this.#isAwaited && this.#around.budget.isStarving) connection.end();
    }, IDLE_GRACE_MS).unref();
  }

  get #isAwaited(): boolean {
    return this.#waiting.length > 0 || this.#leaseRequests.length > 0;
  }

  #send(connection: Connection, batch: Batch): void {
    const expected = this.#largeAnswers.expectedFor(batch.statements);
    if (expected > 0 && this.#held && !this.#held.fits(expected)) {
      const { message } = new HeldBytesExhausted();
      batch.fail(
        new DatabaseError({ message, code: "53200", severity: "ERROR", statementIndex: batch.statementIndex }),
      );
      return;
    }
    try {
      connection.send(batch);
    } catch (error) {
      batch.fail(error);
    }
  }

  #submitShared(batch: Batch): void {
    this.isActive = true;
    const connection = this.#waiting.length === 0 ? this.#pick() : null;
    if (connection) {
      this.#send(connection, batch);
    } else {
      const refusal = this.#refusal(this.#waiting.length);
      if (refusal) {
        batch.fail(refusal);
        return;
      }
      this.#waiting.push(batch);
    }
    this.#growIfWorthIt();
    this.#around.wake();
  }

  #submitAlone(batch: Batch): void {
    this.lease(batch.options.signal).then(
      (connection) => {
        this.#send(connection, batch);
        const done = () => this.giveBack(connection);
        batch.promise.then(done, done);
      },
      (reason: unknown) => batch.fail(reason),
    );
  }

  /** Quick batches share system calls in a deep pipeline; none should wait behind a slow one when it could run elsewhere. */
  get #depth(): number {
    return Math.min(this.#options.pipelineDepth, Math.max(MIN_DEPTH, PIPELINE_MS / this.#averageMs));
  }

  /** The least loaded connection that may take one more batch. */
  #pick(): Connection | null {
    const now = this.#around.now();
    let best: Connection | null = null;
    let bestLoad = this.#depth;
    let inFlight = 0;
    for (const connection of this.#connections) {
      const { load } = connection;
      if (load > 0 && now - connection.headSince > this.#options.slowAfterMs) continue;
      inFlight += load;
      if (load >= bestLoad || !this.#isShared(connection)) continue;
      best = connection;
      bestLoad = load;
    }
    return inFlight < this.#around.inFlightShare ? best : null;
  }

  #serveWaiting(): void {
    while (this.#waiting.length > 0) {
      const connection = this.#pick();
      if (!connection) return;
      const batch = this.#waiting.shift() as Batch;
      if (!batch.isSettled) this.#send(connection, batch);
    }
  }

  /** True for a connection that further batches may be sent on. */
  #isShared(connection: Connection): boolean {
    return connection.isAccepting && !this.#leased.has(connection) && !this.#reserved.has(connection);
  }

  /** At least one connection is left to pipelined batches, unless there may be only one. */
  get #maxLeases(): number {
    return Math.max(1, this.#options.maxConnectionsPerProject - 1);
  }

  #serveLeases(): void {
    while (this.#leaseRequests.length > 0 && this.#leased.size < this.#maxLeases) {
      const free = this.#connections.find((connection) => this.#isFree(connection) && connection.isAccepting);
      if (!free) break;
      const request = this.#leaseRequests.shift() as LeaseRequest;
      this.#reserved.delete(free);
      this.#leased.add(free);
      request.resolve(free);
    }
    this.#reserve(Math.min(this.#leaseRequests.length - this.#connecting, this.#maxLeases - this.#leased.size));
  }

  #reserve(count: number): void {
    if (count <= 0) this.#reserved.clear();
    while (this.#reserved.size < count) {
      let lightest: Connection | null = null;
      for (const connection of this.#connections)
        if (this.#isShared(connection) && connection.load < (lightest?.load ?? Number.POSITIVE_INFINITY))
          lightest = connection;
      if (!lightest) return;
      this.#reserved.add(lightest);
    }
  }

  #needsConnection(): boolean {
    const now = this.#around.now();
    if (this.#state === "closed" || this.#backoff.isPausing(now)) return false;
    const { maxConnectionsPerProject, pipelineConnections, slowAfterMs } = this.#options;
    if (this.size >= maxConnectionsPerProject) return false;
    if (this.#leaseRequests.length > this.#connecting && this.#leased.size < this.#maxLeases) return true;
    let usable = this.#connecting;
    let demand = this.#waiting.length;
    for (const connection of this.#connections) {
      if (!this.#isShared(connection)) continue;
      demand += connection.load;
      if (connection.load === 0 || now - connection.headSince <= slowAfterMs) usable++;
    }
    if (this.#waiting.length > 0 && usable === 0) return true;
    const worthwhile = Math.ceil(Math.min(demand, this.#around.inFlightShare) / BATCHES_PER_CONNECTION);
    return usable < Math.min(pipelineConnections, worthwhile);
  }

  #growIfWorthIt(): void {
    while (this.#needsConnection()) {
      if (!this.#around.budget.request(this)) return;
      this.#open();
    }
  }

  #open(): void {
    this.#connecting++;
    const options = this.#options;
    const saltedPasswords = this.#saltedPasswords;
    const { address } = this;
    openConnection({
      address,
      saltedPasswords,
      connectTimeoutMs: options.connectTimeoutMs,
      applicationName: options.applicationName,
      tls: options.tls,
      settings: options.sessionSettings,
    }).then(
      (opened) => {
        this.#connecting--;
        this.#backoff.succeeded();
        this.#around.counters.opened++;
        const connection = new Connection(opened, address, this, options, this.#around.now, this.#held);
        this.#connections.push(connection);
        if (this.#state === "closed") connection.end();
        else {
          this.#serveLeases();
          this.#serveWaiting();
          this.onBatchEnd(connection);
        }
      },
      (error: Error) => this.#onConnectFailure(error),
    );
  }

  #onConnectFailure(error: Error): void {
    this.#connecting--;
    this.#around.counters.connectFailures++;
    const now = this.#around.now();
    const pauseMs = this.#backoff.failed(error, now);
    this.#around.budget.release(this);
    const { projectRef } = this;
    this.#around.logger.warn({ projectRef, error: error.message, pauseMs }, "connecting to the database failed");
    const refusal = this.size === 0 ? this.#backoff.refusal(now) : null;
    if (refusal) this.#rejectWaiting(refusal);
    this.#checkEmpty();
  }

  /** Why nobody can join the queue now, or null. */
  #refusal(queueLength: number): Error | null {
    if (this.#state === "closed")
      return new ConnectionLost("the project's connections have been closed", { sent: false });
    const unreachable = this.size === 0 ? this.#backoff.refusal(this.#around.now()) : null;
    if (unreachable) return unreachable;
    if (queueLength < this.#options.maxWaiting) return null;
    this.#around.counters.timeouts++;
    return new PoolTimeout("too many requests wait for a database connection");
  }

  #dropImpatient(now: number): void {
    const { acquireTimeoutMs } = this.#options;
    const settle = (waited: number, signal: AbortSignal | undefined): unknown => {
      if (signal?.aborted) return signal.reason;
      if (waited < acquireTimeoutMs) return undefined;
      this.#around.counters.timeouts++;
      return new PoolTimeout(`no database connection came free within ${acquireTimeoutMs} ms`);
    };
    keepIf(this.#waiting, (batch) => {
      const reason = settle(now - batch.startedAt, batch.options.signal);
      if (reason !== undefined) batch.fail(reason);
      return !batch.isSettled;
    });
    keepIf(this.#leaseRequests, (request) => {
      const reason = settle(now - request.startedAt, request.signal);
      if (reason !== undefined) request.reject(reason);
      return reason === undefined;
    });
    if (this.#leaseRequests.length === 0) this.#reserved.clear();
    if (!this.#isAwaited) this.#around.budget.withdraw(this);
  }

  #stopAborted(connection: Connection, now: number): void {
    for (const batch of connection.batches) {
      if (!batch.options.signal?.aborted) continue;
      batch.fail(batch.options.signal.reason);
      if (batch !== connection.head) continue;
      if (batch.cancelledAt === null) connection.cancel(batch);
      else if (now - batch.cancelledAt > CANCEL_GRACE_MS)
        connection.destroy(new Error("the server did not answer a cancel request"));
    }
  }

  #rejectWaiting(reason: Error): void {
    for (const batch of this.#waiting.splice(0)) batch.fail(reason);
    for (const request of this.#leaseRequests.splice(0)) request.reject(reason);
  }

  #longestIdle(): Connection | undefined {
    let longest: Connection | undefined;
    for (const connection of this.#connections) {
      if (!this.#isFree(connection) || connection.isRetiring) continue;
      if (!longest || connection.idleSince < longest.idleSince) longest = connection;
    }
    return longest;
  }

  #checkEmpty(): void {
    if (this.size > 0 || this.#onEmpty.length === 0) return;
    for (const resolve of this.#onEmpty.splice(0)) resolve();
  }
}

function keepIf<T>(items: T[], isKept: (item: T) => boolean): void {
  let kept = 0;
  for (const item of items) if (isKept(item)) items[kept++] = item;
  items.length = kept;
}
