/**
 * When GETs follow each other on one connection without waiting for the responses in between. It saves system calls:
 * requests of one turn of the event loop go out in one write, and their responses come in one read.
 *
 * What could be bad about it is bounded:
 * - only GETs without a body, and only of one project on a connection at a time: no response can reach another project;
 * - only while the upstream answers fast, and a pipeline is no longer than it answers in {@link PipeliningOptions.maxDelayMs};
 * - who stands behind a response that takes longer than that is sent again elsewhere, once, and pipelining pauses;
 * - an upstream that closes in the middle of a pipeline gets none for a while: some servers do not know pipelining.
 */
import type { UpstreamConnection } from "./connection.ts";
import type { UpstreamJob } from "./job.ts";
import type { ConnectionShare } from "./share.ts";

export interface PipeliningOptions {
  /** Most requests under way on one connection. */
  readonly maxDepth: number;
  /** Connections of a project that are used before requests are pipelined. */
  readonly connections: number;
  /** How long a slow response may keep those behind it waiting. */
  readonly maxDelayMs: number;
}

const MIN_SAMPLES = 64;
const SMOOTHING = 1 / 32;
/** Pipelining pauses so long after a slow response: at most four times a second are a few requests sent twice. */
const SLOW_PAUSE_MS = 250;
/** Pipelining pauses so long after a connection closed with several requests under way, doubled each time. */
const BROKEN_PAUSE_MS = 5_000;
const LONGEST_PAUSE_MS = 600_000;

export class Pipelining {
  readonly #options: PipeliningOptions;
  #averageMs = 0;
  #samples = 0;
  #pausedUntilMs = 0;
  #brokenPauseMs = BROKEN_PAUSE_MS;
  /** Connections with heads that are not sent yet. */
  #unsent: UpstreamConnection[] = [];
  /** Connections with several requests under way. */
  readonly #rows = new Set<UpstreamConnection>();
  #watch: NodeJS.Timeout | null = null;

  constructor(options: PipeliningOptions) {
    this.#options = options;
  }

  /** A response's head came so long after its turn. */
  observe(waitedMs: number): void {
    this.#samples += 1;
    this.#averageMs += (waitedMs - this.#averageMs) * SMOOTHING;
  }

  /** The upstream closed a connection under a row. */
  broken(nowMs: number): void {
    if (nowMs < this.#pausedUntilMs) return;
    this.#pausedUntilMs = nowMs + this.#brokenPauseMs;
    this.#brokenPauseMs = Math.min(this.#brokenPauseMs * 2, LONGEST_PAUSE_MS);
  }

  /** How many requests may be under way on the connection that takes this one; 1 when it must have one for itself. */
  depthFor(job: UpstreamJob, nowMs: number): number {
    if (job.method !== "GET" || job.body !== null || job.alone || this.#samples < MIN_SAMPLES) return 1;
    if (nowMs < this.#pausedUntilMs) return 1;
    return Math.max(1, Math.min(this.#options.maxDepth, Math.floor(this.#options.maxDelayMs / this.#averageMs)));
  }

  /** Puts the job behind others of its project. @returns False when it should have another connection. */
  append(share: ConnectionShare<UpstreamConnection>, job: UpstreamJob, depth: number, nowMs: number): boolean {
    if (share.held < this.#options.connections) return false;
    let shortest: UpstreamConnection | null = null;
    for (const connection of share.open) {
      if (shortest === null || connection.depth < shortest.depth) shortest = connection;
    }
    if (shortest === null || shortest.depth >= depth) return false;
    shortest.pipelined = true;
    this.#rows.add(shortest);
    this.#send(shortest, job, nowMs);
    return true;
  }

  /** Starts a pipeline on a connection that is free. */
  open(
    share: ConnectionShare<UpstreamConnection>,
    connection: UpstreamConnection,
    job: UpstreamJob,
    nowMs: number,
  ): void {
    share.open.push(connection);
    connection.pipelined = false;
    this.#send(connection, job, nowMs);
  }

  #send(connection: UpstreamConnection, job: UpstreamJob, nowMs: number): void {
    if (this.#unsent.length === 0) setImmediate(() => this.#flush());
    if (connection.append(job, nowMs)) this.#unsent.push(connection);
    this.#watch ??= setTimeout(() => this.#look(performance.now()), this.#options.maxDelayMs / 2);
  }

  #flush(): void {
    const connections = this.#unsent;
    this.#unsent = [];
    for (const connection of connections) connection.flush();
  }

  /**
   * Looks for rows that do not move. After the sockets have been read: what this process itself was late with is not
   * the upstream's fault.
   */
  #look(startedMs: number): void {
    setImmediate(() => {
      this.#watch = null;
      for (const connection of this.#rows) {
        if (connection.depth < 2) this.#rows.delete(connection);
        else if (startedMs - connection.turnSinceMs > this.#options.maxDelayMs) {
          this.#rows.delete(connection);
          this.#pausedUntilMs = Math.max(this.#pausedUntilMs, startedMs + SLOW_PAUSE_MS);
          connection.strandFollowers();
        }
      }
      if (this.#rows.size > 0) {
        this.#watch = setTimeout(() => this.#look(performance.now()), this.#options.maxDelayMs / 2);
      }
    });
  }
}
