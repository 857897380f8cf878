/** Threads for work on bytes that would hold up the event loop all projects share. See worker.ts for what they can do. */
import { availableParallelism } from "node:os";
import { FairThreads } from "../../control-plane/client/fair-threads.ts";
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

export class WorkerPool extends FairThreads<Jobs> {
  constructor({ threads, maxQueuedPerProject = 64, maxQueued = 512, jobTimeoutMs }: WorkerPoolOptions = {}) {
    super({
      script: new URL("./worker.ts", import.meta.url),
      threads: threads ?? Math.max(1, availableParallelism() - 1),
      maxQueuedOfOne: maxQueuedPerProject,
      maxQueued,
      resourceLimits: { maxOldGenerationSizeMb: 512 },
      ...(jobTimeoutMs !== undefined && { jobTimeoutMs }),
    });
  }
}
