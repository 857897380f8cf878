/**
 * Threads that several share. Piscina keeps the threads; what waits for one waits here, holders by turns and each with a
 * bounded share of the queue, so that whoever floods it waits for himself.
 */
import type { ResourceLimits } from "node:worker_threads";
import { Piscina } from "piscina";
import { FairQueue } from "./fair-queue.ts";

export interface FairThreadsOptions {
  /** A module whose exported functions are the jobs. Each thread loads it once. */
  readonly script: URL;
  /** Threads at most; they start when there is work and end when there has been none for half a minute. */
  readonly threads: number;
  /** Jobs of one holder that may wait, and of all together. */
  readonly maxQueuedOfOne: number;
  readonly maxQueued: number;
  /** A job that runs for so long fails, and its thread ends. Default 10,000. */
  readonly jobTimeoutMs?: number;
  /** Default 30,000. */
  readonly idleTimeoutMs?: number;
  /** Bounds on each thread's memory. */
  readonly resourceLimits: ResourceLimits;
}

export interface JobOptions {
  /** Memory that is handed over to the thread; it cannot be used here any more. */
  readonly transfer?: readonly ArrayBuffer[];
  /** A job whose signal is aborted before its turn is not done. */
  readonly signal?: AbortSignal | undefined;
}

/** More work is waiting than will be done in good time: of the one holder, or of all together. */
export class ThreadQueueFull extends Error {
  readonly scope: "own" | "all";
  constructor(scope: "own" | "all") {
    super("too much work is waiting for a thread");
    this.scope = scope;
  }
}

/** A job took longer than it may. */
export class JobTimeout extends Error {
  constructor() {
    super("a job in a thread took too long");
  }
}

interface Waiting {
  readonly start: () => Promise<void>;
  readonly reject: (reason: unknown) => void;
  readonly signal: AbortSignal | undefined;
}

/** The functions that a script exports, by their names. */
type JobsOf<Jobs> = { [Name in keyof Jobs]: (input: never) => unknown };

export class FairThreads<Jobs extends JobsOf<Jobs>> {
  readonly #piscina: Piscina;
  readonly #threads: number;
  readonly #timeoutMs: number;
  readonly #queue: FairQueue<Waiting>;
  #running = 0;
  #closed = false;

  constructor(options: FairThreadsOptions) {
    this.#threads = options.threads;
    this.#timeoutMs = options.jobTimeoutMs ?? 10_000;
    this.#queue = new FairQueue({ maxOfOne: options.maxQueuedOfOne, maxOfAll: options.maxQueued });
    this.#piscina = new Piscina({
      filename: options.script.href,
      minThreads: 0,
      maxThreads: options.threads,
      idleTimeout: options.idleTimeoutMs ?? 30_000,
      concurrentTasksPerWorker: 1,
      execArgv: [],
      env: {},
      resourceLimits: options.resourceLimits,
    });
  }

  /**
   * @param holder Whose work it is, such as a project.
   * @throws {ThreadQueueFull} @throws {JobTimeout} @throws what the job throws @throws the reason of an aborted signal.
   */
  run<Name extends keyof Jobs & string>(
    holder: string,
    name: Name,
    input: Parameters<Jobs[Name]>[0],
    { transfer = [], signal }: JobOptions = {},
  ): Promise<Awaited<ReturnType<Jobs[Name]>>> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new Error("the threads were ended"));
      const start = async () => {
        const timeout = AbortSignal.timeout(this.#timeoutMs);
        try {
          resolve(await this.#piscina.run(input, { name, signal: timeout, transferList: [...transfer] }));
        } catch (error) {
          reject(timeout.aborted ? new JobTimeout() : error);
        }
      };
      const refused = this.#queue.push(holder, { start, reject, signal });
      refused?.item.reject(new ThreadQueueFull(refused.because));
      this.#dispatch();
    });
  }

  /** What waits fails, threads end. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { reject } of this.#queue.drain()) reject(new Error("the threads were ended"));
    await this.#piscina.destroy();
  }

  #dispatch(): void {
    while (this.#running < this.#threads) {
      const next = this.#queue.shift();
      if (!next) return;
      if (next.signal?.aborted) {
        next.reject(next.signal.reason);
        continue;
      }
      this.#running += 1;
      void next.start().finally(() => {
        this.#running -= 1;
        this.#dispatch();
      });
    }
  }
}
