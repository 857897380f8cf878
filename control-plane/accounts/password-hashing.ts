/**
 * bcrypt in worker threads: one hash costs some 75 ms of CPU, which would stop every other request of the process.
 * Threads start on demand and end when idle; the queue is bounded, so that a flood of sign-ins is refused instead of
 * piling up, and shared fairly, so that the flood of one is not the wait of all.
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import bcrypt from "bcryptjs";
import { FairQueue } from "../client/fair-queue.ts";
import { InvalidInput, RateLimited } from "../errors.ts";

/** 2^10 rounds: what Supabase's auth uses too. */
export const BCRYPT_COST = 10;
const GENERATED_PASSWORD_COST = 4;
const MIN_PASSWORD_LENGTH = 8;
/** bcrypt reads no further; a longer password would be cut without a word. */
const MAX_PASSWORD_BYTES = 72;
const QUEUE = { maxOfOne: 32, maxOfAll: 256 };
const IDLE_TIMEOUT_MS = 30_000;
const BUSY_RETRY_SECONDS = 5;

/** A hash of no password anybody has, of the same cost: compared with when there is no account, so that it takes as long. */
const UNKNOWN_ACCOUNT_HASH = "$2b$10$C6UzMDM.H6dfI/f/IKcEeO7ZQ8b7fFz1vVQm1yQpJrYQf2bY9xk5K";

/** A `holder` is whose work it is: an address, an account or an organization. They take turns. */
export interface PasswordHashing {
  /** @throws {RateLimited} when too many of the holder's, or of all, wait already. */
  hash(holder: string, password: string): Promise<string>;
  /** Takes the same time whether there is a hash or not; false for null. @throws {RateLimited} as above. */
  verify(holder: string, password: string, hash: string | null): Promise<boolean>;
  close(): Promise<void>;
}

/**
 * bcrypt at its least cost, about 1 ms, for what {@link generatePassword} has made: a high cost is there to slow guessing
 * down, and nobody guesses 92 random bits. The auth service verifies by the cost in the hash, in the same time as others,
 * and hashes at its own cost what a person chooses in its place.
 */
export function hashGeneratedPassword(password: string): Promise<string> {
  return bcrypt.hash(password, GENERATED_PASSWORD_COST);
}

/** @throws {InvalidInput} too short, or longer than bcrypt reads. */
export function checkNewPassword(field: string, password: string): void {
  if (password.length < MIN_PASSWORD_LENGTH) {
    throw new InvalidInput(field, `a password has at least ${MIN_PASSWORD_LENGTH} characters`);
  }
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) {
    throw new InvalidInput(field, `a password has at most ${MAX_PASSWORD_BYTES} bytes`);
  }
}

export type PasswordJob =
  | { readonly kind: "hash"; readonly password: string; readonly cost: number }
  | { readonly kind: "verify"; readonly password: string; readonly hash: string };
export type PasswordResult = { readonly value: string | boolean } | { readonly error: string };

interface QueuedJob {
  readonly job: PasswordJob;
  resolve(value: string | boolean): void;
  reject(error: Error): void;
}

/** @param threads At most so many at once; one core stays for the event loop when there are several. */
export function createPasswordHashing(threads: number = Math.max(1, availableParallelism() - 1)): PasswordHashing {
  return new WorkerPool(threads);
}

class WorkerPool implements PasswordHashing {
  readonly #maxThreads: number;
  readonly #idle: Worker[] = [];
  readonly #busy = new Map<Worker, QueuedJob>();
  readonly #queue = new FairQueue<QueuedJob>(QUEUE);
  #idleTimer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(maxThreads: number) {
    this.#maxThreads = maxThreads;
  }

  async hash(holder: string, password: string): Promise<string> {
    return String(await this.#run(holder, { kind: "hash", password, cost: BCRYPT_COST }));
  }

  async verify(holder: string, password: string, hash: string | null): Promise<boolean> {
    const matches = await this.#run(holder, { kind: "verify", password, hash: hash ?? UNKNOWN_ACCOUNT_HASH });
    return hash !== null && matches === true;
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#idleTimer) clearTimeout(this.#idleTimer);
    const closed = new Error("password hashing was closed");
    for (const { reject } of [...this.#queue.drain(), ...this.#busy.values()]) reject(closed);
    const workers = [...this.#idle.splice(0), ...this.#busy.keys()];
    this.#busy.clear();
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  #run(holder: string, job: PasswordJob): Promise<string | boolean> {
    if (this.#closed) return Promise.reject(new Error("password hashing was closed"));
    return new Promise((resolve, reject) => {
      const refused = this.#queue.push(holder, { job, resolve, reject });
      refused?.item.reject(new RateLimited(BUSY_RETRY_SECONDS, "the server is busy, try again in a moment"));
      this.#dispatch();
    });
  }

  #dispatch(): void {
    if (this.#queue.size === 0) return;
    const worker = this.#idle.pop() ?? (this.#busy.size < this.#maxThreads ? this.#startWorker() : undefined);
    const next = worker && this.#queue.shift();
    if (!next) return;
    this.#busy.set(worker, next);
    worker.ref(); // a process must not end in the middle of a hash; an idle thread must not keep it alive
    worker.postMessage(next.job);
  }

  #startWorker(): Worker {
    const worker = new Worker(new URL("./password-worker.ts", import.meta.url));
    worker.on("message", (result: PasswordResult) => this.#finish(worker, result));
    worker.on("error", (error) => {
      this.#forget(worker)?.reject(error);
      this.#dispatch();
    });
    return worker;
  }

  #finish(worker: Worker, result: PasswordResult): void {
    const done = this.#busy.get(worker);
    this.#busy.delete(worker);
    this.#idle.push(worker);
    worker.unref();
    if ("error" in result) done?.reject(new Error(result.error));
    else done?.resolve(result.value);
    this.#dispatch();
    this.#endIdleWorkersLater();
  }

  #forget(worker: Worker): QueuedJob | undefined {
    const running = this.#busy.get(worker);
    this.#busy.delete(worker);
    const index = this.#idle.indexOf(worker);
    if (index >= 0) this.#idle.splice(index, 1);
    return running;
  }

  #endIdleWorkersLater(): void {
    if (this.#idleTimer) clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => {
      for (const worker of this.#idle.splice(0)) void worker.terminate();
    }, IDLE_TIMEOUT_MS).unref();
  }
}
