/** The connections to one upstream: bounded, shared out fairly, kept while they are of use. */
import type { Deadline, Deadlines } from "../deadlines.ts";
import { type ConnectionOwner, type ConnectionTimeouts, type Origin, UpstreamConnection } from "./connection.ts";
import { FairQueue } from "./fair-queue.ts";
import type { JobControl, UpstreamJob } from "./job.ts";

export interface PoolLimits extends ConnectionTimeouts {
  readonly maxConnections: number;
  /** Most connections that one key may hold at a time; the rest is left to others. */
  readonly maxConnectionsPerKey: number;
  /** Requests waiting for a connection. */
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
}

/** Requests that may be repeated: they change nothing and carry nothing. */
const REPEATABLE: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);
/** Repetitions are at most a tenth of the requests: a failing upstream must not get more load. */
const RETRY_SHARE = 0.1;
const RETRY_BURST = 20;

/** Where a job is at the moment. */
interface Ticket extends JobControl {
  readonly job: UpstreamJob;
  connection: UpstreamConnection | null;
  waiting: Deadline | null;
  retried: boolean;
}

export class UpstreamPool implements ConnectionOwner {
  readonly #origin: Origin;
  readonly #limits: PoolLimits;
  readonly #deadlines: Deadlines;
  /** Last in, first out: the busiest connections stay warm, the others come of age and close. */
  readonly #free: UpstreamConnection[] = [];
  readonly #busy = new Map<UpstreamConnection, Ticket>();
  readonly #waiting: FairQueue<Ticket>;
  readonly #held = new Map<string, number>();
  #retryBudget = RETRY_BURST;
  #closed = false;

  constructor(origin: Origin, limits: PoolLimits, deadlines: Deadlines) {
    this.#origin = origin;
    this.#limits = limits;
    this.#deadlines = deadlines;
    this.#waiting = new FairQueue(limits.maxWaiting, Math.max(1, Math.ceil(limits.maxWaiting / 2)));
  }

  get size(): number {
    return this.#free.length + this.#busy.size;
  }

  get isIdle(): boolean {
    return this.size === 0 && this.#waiting.size === 0;
  }

  send(job: UpstreamJob): JobControl {
    this.#retryBudget = Math.min(RETRY_BURST, this.#retryBudget + RETRY_SHARE);
    const ticket: Ticket = {
      job,
      connection: null,
      waiting: null,
      retried: false,
      resume: () => ticket.connection?.resume(job),
      cancel: () => this.#cancel(ticket),
    };
    if (!this.#assign(ticket, false)) this.#wait(ticket);
    return ticket;
  }

  /** Closes free connections whose time is over. Called now and then. */
  sweep(nowMs: number): void {
    const expired = this.#free.filter((connection) => connection.freeUntilMs <= nowMs);
    for (const connection of expired) connection.destroy();
  }

  close(): void {
    this.#closed = true;
    for (const connection of [...this.#free, ...this.#busy.keys()]) connection.destroy();
  }

  onFree(connection: UpstreamConnection): void {
    this.#leaveBusy(connection);
    if (this.#closed) {
      connection.destroy();
      return;
    }
    this.#free.push(connection);
    this.#serveWaiting();
  }

  onGone(connection: UpstreamConnection): void {
    this.#leaveBusy(connection);
    const index = this.#free.indexOf(connection);
    if (index !== -1) this.#free.splice(index, 1);
    this.#serveWaiting();
  }

  onLost(connection: UpstreamConnection, job: UpstreamJob): boolean {
    const ticket = this.#busy.get(connection);
    if (!ticket || ticket.retried || this.#closed) return false;
    if (!REPEATABLE.has(job.method) || job.body !== null || this.#retryBudget < 1) return false;
    this.#retryBudget -= 1;
    ticket.retried = true;
    this.#leaveBusy(connection);
    // The others may be as dead as this one: the second try gets a connection of its own.
    if (!this.#assign(ticket, true)) this.#wait(ticket);
    return true;
  }

  /** @returns False when no connection can be had now. */
  #assign(ticket: Ticket, fresh: boolean): boolean {
    const key = ticket.job.fairnessKey;
    const held = this.#held.get(key) ?? 0;
    if (held >= this.#limits.maxConnectionsPerKey) return false;
    let connection = fresh ? undefined : this.#free.pop();
    if (!connection) {
      if (this.size >= this.#limits.maxConnections) return false;
      connection = new UpstreamConnection(this.#origin, this, this.#limits, this.#deadlines);
    }
    this.#held.set(key, held + 1);
    this.#busy.set(connection, ticket);
    ticket.connection = connection;
    connection.run(ticket.job);
    return true;
  }

  #wait(ticket: Ticket): void {
    const { job } = ticket;
    if (!this.#waiting.push(job.fairnessKey, ticket)) {
      job.onFailure("overloaded", "too many requests wait for a connection");
      return;
    }
    ticket.waiting = this.#deadlines.start(this.#limits.maxWaitMs, () => {
      ticket.waiting = null;
      this.#waiting.remove(job.fairnessKey, ticket);
      job.onFailure("overloaded", "no connection became free in time");
    });
  }

  #serveWaiting(): void {
    while (this.#waiting.size > 0 && (this.#free.length > 0 || this.size < this.#limits.maxConnections)) {
      const ticket = this.#waiting.shift((key) => (this.#held.get(key) ?? 0) < this.#limits.maxConnectionsPerKey);
      if (!ticket) return;
      ticket.waiting?.stop();
      ticket.waiting = null;
      this.#assign(ticket, false);
    }
  }

  #cancel(ticket: Ticket): void {
    if (ticket.waiting) {
      ticket.waiting.stop();
      ticket.waiting = null;
      this.#waiting.remove(ticket.job.fairnessKey, ticket);
    }
    ticket.connection?.cancel(ticket.job);
  }

  #leaveBusy(connection: UpstreamConnection): void {
    const ticket = this.#busy.get(connection);
    if (!ticket) return;
    this.#busy.delete(connection);
    const key = ticket.job.fairnessKey;
    const held = (this.#held.get(key) ?? 1) - 1;
    if (held === 0) this.#held.delete(key);
    else this.#held.set(key, held);
  }
}
