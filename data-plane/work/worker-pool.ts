/**
 * Threads for work on bytes that would hold up the event loop all projects share. Piscina keeps the threads; what waits
 * for one waits here, projects by turns and each with a bounded share. See worker.ts for what the threads can do.
 */
import { availableParallelism } from "node:os";
import { Piscina } from "piscina";
import { FairQueue } from "../../control-plane/client/fair-queue.ts";
import type { Jobs } from "./worker.ts";

export interface WorkerPoolOptions {
  /** Threads at most; left out: one for each core but one, at least one. */
  readonly threads?: number;
  /** Jobs of one project that may wait, and of all together. */
  readonly maxQueuedPerProject?: number;
  readonly maxQueued?: number;
  /** A job that runs for so long is given up, and its thread with it. */
  readonly jobTimeoutMs?: number;
}

/** More work is waiting than will be done in good time: an answer of 503. */
export class WorkQueueFull extends Error {
  constructor() {
    super("too much work is waiting to be done");
  }
}

interface Waiting {
  readonly start: () => Promise<void>;
  readonly reject: (reason: unknown) => void;
}

const IDLE_TIMEOUT_MS = 30_000;
const DEFAULT_JOB_TIMEOUT_MS = 10_000;

export class WorkerPool {
  readonly #piscina: Piscina;
  readonly #threads: number;
  readonly #timeoutMs: number;
  readonly #queue: FairQueue<Waiting>;
  #running = 0;

  constructor(options: WorkerPoolOptions = {}) {
    this.#threads = options.threads ?? Math.max(1, availableParallelism() - 1);
    this.#timeoutMs = options.jobTimeoutMs ?? DEFAULT_JOB_TIMEOUT_MS;
    this.#queue = new FairQueue({ maxOfOne: options.maxQueuedPerProject ?? 64, maxOfAll: options.maxQueued ?? 512 });
    this.#piscina = new Piscina({
      filename: new URL("./worker.ts", import.meta.url).href,
      minThreads: 0,
      maxThreads: this.#threads,
      idleTimeout: IDLE_TIMEOUT_MS,
      concurrentTasksPerWorker: 1,
      execArgv: [],
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: 512 },
    });
  }

  /**
   * @param holder The project whose work it is.
   * @param transfer Memory that is handed over to the thread; it cannot be used here any more.
   * @throws {WorkQueueFull} @throws what the job throws, or an error when it took too long.
   */
  run<Name extends keyof Jobs>(
    holder: string,
    name: Name,
    input: Parameters<Jobs[Name]>[0],
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<Awaited<ReturnType<Jobs[Name]>>> {
    return new Promise((resolve, reject) => {
      const start = async () => {
        try {
          const signal = AbortSignal.timeout(this.#timeoutMs);
          resolve(await this.#piscina.run(input, { name, signal, transferList: [...transfer] }));
        } catch (error) {
          reject(error);
        }
      };
      this.#queue.push(holder, { start, reject })?.item.reject(new WorkQueueFull());
      this.#dispatch();
    });
  }

  async close(): Promise<void> {
    for (const { reject } of this.#queue.drain()) reject(new Error("the worker pool is closed"));
    await this.#piscina.destroy();
  }

  #dispatch(): void {
    while (this.#running < this.#threads) {
      const next = this.#queue.shift();
      if (!next) return;
      this.#running += 1;
      void next.start().finally(() => {
        this.#running -= 1;
        this.#dispatch();
      });
    }
  }
}
