/**
 * Hashing for all projects on a few worker threads. A hash takes a core for about 75 ms, so the queue is what a hostile
 * project could fill: each has a bounded share of it, they take turns, and a full queue gives way to who has little in it.
 */
import { Worker } from "node:worker_threads";
import { FairQueue } from "../../../control-plane/client/fair-queue.ts";
import type { HashJob, HashResult } from "./hash-worker.ts";

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
  /** @throws {HashQueueFull} @throws the signal's reason when it is aborted before the job's turn has come. */
  hash(project: string, password: string, signal?: AbortSignal): Promise<string>;
  /** False also for hashes of unknown format or excessive cost. Throws as {@link hash}. */
  verify(project: string, password: string, hash: string, signal?: AbortSignal): Promise<boolean>;
  /** Waiting jobs fail, threads end. */
  close(): Promise<void>;
}

/** More work is waiting than will be done in good time: of the one project, or of all together. */
export class HashQueueFull extends Error {
  readonly scope: "project" | "all";
  constructor(scope: "project" | "all") {
    super("too many passwords are waiting to be hashed");
    this.scope = scope;
  }
}

interface Waiting {
  readonly job: HashJob;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (value: string | boolean) => void;
  readonly reject: (reason: unknown) => void;
}

interface Thread {
  readonly worker: Worker;
  current: Waiting | null;
  timer: NodeJS.Timeout | undefined;
}

export function createHashPool(options: HashPoolOptions): PasswordHasher {
  return new HashPool(options);
}

class HashPool implements PasswordHasher {
  readonly #options: HashPoolOptions;
  /** By project. */
  readonly #queue: FairQueue<Waiting>;
  readonly #threads = new Set<Thread>();
  #closed = false;

  constructor(options: HashPoolOptions) {
    this.#options = options;
    this.#queue = new FairQueue({ maxOfOne: options.maxQueuedPerProject, maxOfAll: options.maxQueued });
  }

  async hash(project: string, password: string, signal?: AbortSignal): Promise<string> {
    return (await this.#enqueue(project, { kind: "hash", password }, signal)) as string;
  }

  async verify(project: string, password: string, hash: string, signal?: AbortSignal): Promise<boolean> {
    return (await this.#enqueue(project, { kind: "verify", password, hash }, signal)) as boolean;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const closed = new Error("the hashing pool is closed");
    for (const waiting of this.#queue.drain()) waiting.reject(closed);
    for (const thread of this.#threads) thread.current?.reject(closed);
    await Promise.all([...this.#threads].map((thread) => this.#end(thread)));
  }

  #enqueue(project: string, job: HashJob, signal: AbortSignal | undefined): Promise<string | boolean> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new Error("the hashing pool is closed"));
      const refused = this.#queue.push(project, { job, signal, resolve, reject });
      refused?.item.reject(new HashQueueFull(refused.because === "own" ? "project" : "all"));
      this.#dispatch();
    });
  }

  #dispatch(): void {
    while (this.#queue.size > 0) {
      const thread = this.#idleThread();
      if (!thread) return;
      const next = this.#takeNext();
      if (!next) return;
      this.#start(thread, next);
    }
  }

  #idleThread(): Thread | null {
    for (const thread of this.#threads) if (!thread.current) return thread;
    return this.#threads.size < this.#options.threads ? this.#spawn() : null;
  }

  #takeNext(): Waiting | null {
    for (let waiting = this.#queue.shift(); waiting; waiting = this.#queue.shift()) {
      if (!waiting.signal?.aborted) return waiting;
      waiting.reject(waiting.signal.reason);
    }
    return null;
  }

  #start(thread: Thread, waiting: Waiting): void {
    clearTimeout(thread.timer);
    thread.current = waiting;
    thread.timer = setTimeout(() => this.#fail(thread, "took too long"), this.#options.jobTimeoutMs);
    thread.worker.ref();
    thread.worker.postMessage(waiting.job);
  }

  #spawn(): Thread {
    const worker = new Worker(this.#options.script ?? new URL("./hash-worker.ts", import.meta.url), {
      name: "password-hashing",
      resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4, codeRangeSizeMb: 16 },
      execArgv: [],
      env: {},
    });
    const thread: Thread = { worker, current: null, timer: undefined };
    this.#threads.add(thread);
    worker.on("message", (result: HashResult) => this.#finish(thread, result));
    worker.on("error", (error) => this.#fail(thread, error.message));
    return thread;
  }

  #finish(thread: Thread, result: HashResult): void {
    const finished = thread.current;
    thread.current = null;
    clearTimeout(thread.timer);
    if (result.ok) finished?.resolve(result.value);
    else finished?.reject(new Error(`password hashing failed: ${result.reason}`));
    this.#dispatch();
    if (thread.current) return;
    thread.timer = setTimeout(() => void this.#end(thread), this.#options.idleTimeoutMs).unref();
    thread.worker.unref(); // an idle thread keeps no process alive
  }

  #fail(thread: Thread, reason: string): void {
    thread.current?.reject(new Error(`password hashing failed: ${reason}`));
    thread.current = null;
    void this.#end(thread).then(() => this.#dispatch());
  }

  async #end(thread: Thread): Promise<void> {
    clearTimeout(thread.timer);
    this.#threads.delete(thread);
    await thread.worker.terminate();
  }
}
