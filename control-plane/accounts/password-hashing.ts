/**
 * bcrypt in worker threads: one hash costs some 75 ms of CPU, which would stop every other request of the process.
 * Threads start on demand and end when idle; the queue is bounded, so that a flood of sign-ins is refused instead of
 * piling up, and shared fairly, so that the flood of one is not the wait of all.
 */
import { availableParallelism } from "node:os";
import bcrypt from "bcryptjs";
import { FairThreads, ThreadQueueFull } from "../client/fair-threads.ts";
import { InvalidInput, RateLimited } from "../errors.ts";
import type { PasswordJobs } from "./password-worker.ts";

/** 2^10 rounds: what Supabase's auth uses too. */
export const BCRYPT_COST = 10;
const GENERATED_PASSWORD_COST = 4;
const MIN_PASSWORD_LENGTH = 8;
/** bcrypt reads no further; a longer password would be cut without a word. */
const MAX_PASSWORD_BYTES = 72;
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

/** @param threads At most so many at once; one core stays for the event loop when there are several. */
export function createPasswordHashing(threads: number = Math.max(1, availableParallelism() - 1)): PasswordHashing {
  const pool = new FairThreads<PasswordJobs>({
    script: new URL("./password-worker.ts", import.meta.url),
    threads,
    maxQueuedOfOne: 32,
    maxQueued: 256,
    resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4, codeRangeSizeMb: 16 },
  });
  return {
    hash: (holder, password) => pool.run(holder, "hash", { password, cost: BCRYPT_COST }).catch(refuseOverload),
    async verify(holder, password, hash) {
      const job = { password, hash: hash ?? UNKNOWN_ACCOUNT_HASH };
      return (await pool.run(holder, "verify", job).catch(refuseOverload)) && hash !== null;
    },
    close: () => pool.close(),
  };
}

function refuseOverload(error: unknown): never {
  if (!(error instanceof ThreadQueueFull)) throw error;
  throw new RateLimited(BUSY_RETRY_SECONDS, "the server is busy, try again in a moment");
}
