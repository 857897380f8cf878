/** The connections to one upstream: bounded, shared out fairly, kept while they are of use. */
import { type ConnectionOwner, type ConnectionTimeouts, UpstreamConnection } from "./connection.ts";
import { FairQueue } from "./fair-queue.ts";
import { isRepeatable, type UpstreamJob } from "./job.ts";
import type { Origin } from "./origin.ts";
import { Pipelining, type PipeliningOptions } from "./pipelining.ts";
import type { ConnectionShare } from "./share.ts";

export interface PoolLimits extends ConnectionTimeouts {
  readonly maxConnections: number;
  /** Most connections that one project may hold at a time; the rest is left to others. */
  readonly maxConnectionsPerProject: number;
  /** Requests waiting for a connection. */
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
  /** Null: one request at a time on a connection, always. */
  readonly pipelining: PipeliningOptions | null;
}

/** This fraction of all connections is kept for projects that hold few; */
const RESERVED_FRACTION = 1 / 4;
/** and up to this fraction of all is few. */
const FEW_FRACTION = 1 / 64;

/** Repetitions are at most a tenth of the requests: a failing upstream must not get more load. */
const RETRY_SHARE = 0.1;
const RETRY_BURST = 20;

export class UpstreamPool implements ConnectionOwner {
  readonly #origin: Origin;
  readonly #limits: PoolLimits;
  readonly #pipelining: Pipelining | null;
  readonly #connections = new Set<UpstreamConnection>();
  /** Last in, first out: the busiest connections stay warm, the others come of age and close. */
  readonly #free: UpstreamConnection[] = [];
  readonly #shares = new Map<string, ConnectionShare<UpstreamConnection>>();
  readonly #waiting: FairQueue<UpstreamJob>;
  readonly #reserveFrom: number;
  readonly #few: number;
  #retryBudget = RETRY_BURST;
  #closed = false;

  constructor(origin: Origin, limits: PoolLimits) {
    this.#origin = origin;
    this.#limits = limits;
    this.#pipelining = limits.pipelining ? new Pipelining(limits.pipelining) : null;
    this.#reserveFrom = limits.maxConnections - Math.floor(limits.maxConnections * RESERVED_FRACTION);
    this.#few = Math.max(1, Math.floor(limits.maxConnections * FEW_FRACTION));
    this.#waiting = new FairQueue(limits.maxWaiting, Math.max(1, Math.ceil(limits.maxWaiting / 2)));
  }

  get size(): number {
    return this.#connections.size;
  }

  get isIdle(): boolean {
    return this.size === 0 && this.#waiting.size === 0;
  }

  send(job: UpstreamJob): void {
    if (this.#retryBudget < RETRY_BURST) this.#retryBudget += RETRY_SHARE;
    if (!this.#assign(job, false)) this.#wait(job);
  }

  cancel(job: UpstreamJob): void {
    if (job.connection) job.connection.cancel(job);
    else this.#waiting.remove(job.project, job);
  }

  /** Ends what has taken too long or is of no use any more. Called every now and then. */
  sweep(nowMs: number): void {
    for (const connection of this.#connections) {
      if (connection.depth === 0 ? connection.freeUntilMs <= nowMs : false) connection.destroy();
      else if (connection.deadlineMs <= nowMs) connection.expire();
    }
    for (const job of this.#waiting.takeAll((waiting) => waiting.waitUntilMs <= nowMs)) {
      job.onFailure("overloaded", "no connection became free in time");
    }
  }

  close(): void {
    this.#closed = true;
    for (const connection of this.#connections) connection.destroy();
  }

  onFree(connection: UpstreamConnection): void {
    this.#leaveLane(connection);
    if (this.#closed) {
      connection.destroy();
      return;
    }
    this.#free.push(connection);
    this.#serveWaiting();
  }

  onGone(connection: UpstreamConnection): void {
    this.#leaveLane(connection);
    this.#connections.delete(connection);
    const index = this.#free.indexOf(connection);
    if (index !== -1) this.#free.splice(index, 1);
    this.#serveWaiting();
  }

  onAnswered(waitedMs: number): void {
    this.#pipelining?.observe(waitedMs);
  }

  onStranded(connection: UpstreamConnection, jobs: readonly UpstreamJob[], blameless: boolean): readonly UpstreamJob[] {
    // With a response still on its way the connection goes on counting as the share's.
    if (connection.depth > 0) closeRow(connection);
    else this.#leaveLane(connection);
    const pipelined = connection.pipelined;
    if (pipelined && !blameless) this.#pipelining?.broken(performance.now());
    return jobs.filter((job) => !this.#retry(job, pipelined));
  }

  #retry(job: UpstreamJob, pipelined: boolean): boolean {
    if (this.#closed || !isRepeatable(job)) return false;
    if (pipelined && !job.alone) {
      // It has not failed, it only waited in a pipeline with others: that costs no budget, and happens once.
      job.alone = true;
    } else {
      if (job.retried || this.#retryBudget < 1) return false;
      this.#retryBudget -= 1;
      job.retried = true;
    }
    job.connection = null;
    // The others may be as dead as this one: the second try gets a connection of its own.
    if (!this.#assign(job, true)) this.#wait(job);
    return true;
  }

  /** @returns False when no connection can be had now. */
  #assign(job: UpstreamJob, fresh: boolean): boolean {
    const nowMs = performance.now();
    const share = this.#shareOf(job.project);
    const depth = fresh ? 1 : (this.#pipelining?.depthFor(job, nowMs) ?? 1);
    if (depth > 1 && this.#pipelining?.append(share, job, depth, nowMs)) return true;
    if (!this.#mayHoldMore(share)) return false;
    let connection = fresh ? undefined : this.#free.pop();
    if (!connection) {
      if (this.size >= this.#limits.maxConnections) return false;
      connection = new UpstreamConnection(this.#origin, this, this.#limits);
      this.#connections.add(connection);
    }
    share.held += 1;
    connection.share = share;
    if (depth > 1 && this.#pipelining) this.#pipelining.open(share, connection, job, nowMs);
    else connection.run(job, nowMs);
    return true;
  }

  /** Some projects whose requests are slow must not take every connection from all the others. */
  #mayHoldMore(share: ConnectionShare<UpstreamConnection> | undefined): boolean {
    if (share === undefined) return true;
    if (share.held >= this.#limits.maxConnectionsPerProject) return false;
    return share.held < this.#few || this.size - this.#free.length < this.#reserveFrom;
  }

  #wait(job: UpstreamJob): void {
    job.waitUntilMs = performance.now() + this.#limits.maxWaitMs;
    if (!this.#waiting.push(job.project, job)) job.onFailure("overloaded", "too many requests wait for a connection");
  }

  #serveWaiting(): void {
    while (this.#waiting.size > 0 && (this.#free.length > 0 || this.size < this.#limits.maxConnections)) {
      const job = this.#waiting.shift((key) => this.#mayHoldMore(this.#shares.get(key)));
      if (!job) return;
      this.#assign(job, false);
    }
  }

  #shareOf(key: string): ConnectionShare<UpstreamConnection> {
    let share = this.#shares.get(key);
    if (!share) {
      share = { key, held: 0, open: [] };
      this.#shares.set(key, share);
    }
    return share;
  }

  #leaveLane(connection: UpstreamConnection): void {
    const { share } = connection;
    if (!share) return;
    closeRow(connection);
    connection.share = null;
    share.held -= 1;
    if (share.held === 0) this.#shares.delete(share.key);
  }
}

/** No more requests follow on the connection. */
function closeRow(connection: UpstreamConnection): void {
  const { share } = connection;
  const index = share?.open.indexOf(connection) ?? -1;
  if (index !== -1) share?.open.splice(index, 1);
}
