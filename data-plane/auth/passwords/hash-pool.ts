/**
 * Hashing for all projects on a few threads. A hash takes a core for about 75 ms, so the queue is what a hostile project
 * could fill: each has a bounded share of it, they take turns, and a full queue gives way to who has little in it.
 */
import { FairThreads } from "../../../control-plane/client/fair-threads.ts";
import type { HashJobs } from "./hash-worker.ts";

export interface HashPoolOptions {
  /** Threads at most; they are started when there is work and ended when there is none. */
  readonly threads: number;
  /** Jobs of one project that may wait. */
  readonly maxQueuedPerProject: number;
  /** Jobs that may wait altogether. */
  readonly maxQueued: number;
  /** A thread without work for so long is ended; each costs about 10 MB. */
  readonly idleTimeoutMs: number;
  /** A thread busy with one job for so long is ended, and the job fails. */
  readonly jobTimeoutMs: number;
  /** What a thread runs; left out: hash-worker.ts. */
  readonly script?: URL;
}

export const DEFAULT_HASH_POOL: Omit<HashPoolOptions, "threads"> = {
  maxQueuedPerProject: 64,
  maxQueued: 512,
  idleTimeoutMs: 30_000,
  jobTimeoutMs: 10_000,
};

export interface PasswordHasher {
  /** @throws {ThreadQueueFull} @throws the signal's reason when it is aborted before the job's turn has come. */
  hash(project: string, password: string, signal?: AbortSignal): Promise<string>;
  /** False also for hashes of unknown format or excessive cost. Throws as {@link hash}. */
  verify(project: string, password: string, hash: string, signal?: AbortSignal): Promise<boolean>;
  /** Waiting jobs fail, threads end. */
  close(): Promise<void>;
}

export function createHashPool(options: HashPoolOptions): PasswordHasher {
  const { script = new URL("./hash-worker.ts", import.meta.url), threads, maxQueued } = options;
  const { maxQueuedPerProject: maxQueuedOfOne, idleTimeoutMs, jobTimeoutMs } = options;
  const pool = new FairThreads<HashJobs>({
    script,
    threads,
    maxQueuedOfOne,
    maxQueued,
    idleTimeoutMs,
    jobTimeoutMs,
    resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4, codeRangeSizeMb: 16 },
  });
  return {
    hash: (project, password, signal) => pool.run(project, "hash", { password }, { signal }),
    verify: (project, password, hash, signal) => pool.run(project, "verify", { password, hash }, { signal }),
    close: () => pool.close(),
  };
}
