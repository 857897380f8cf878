/** How often passwords may be tried: few times for one account from one address, more often in all. */
import { AttemptLimiter } from "./attempt-limiter.ts";

const WINDOW_MS = 15 * 60_000;

export interface SignInLimits {
  /**
   * Counts an attempt at a password. @throws {RateLimited}
   * @returns to be called when the password was right: a success does not count.
   */
  take(email: string, addressBlock: string): () => void;
  /** Counts a sign-up, successful or not. @throws {RateLimited} */
  takeSignUp(addressBlock: string): void;
}

export function createSignInLimits(now: () => number): SignInLimits {
  const pair = new AttemptLimiter({ attempts: 10, windowMs: WINDOW_MS }, now);
  const address = new AttemptLimiter({ attempts: 100, windowMs: WINDOW_MS }, now);
  // Far above the pair's limit: one stranger must not lock the owner of an account out, a botnet is slowed down.
  const account = new AttemptLimiter({ attempts: 200, windowMs: WINDOW_MS }, now);
  const signUps = new AttemptLimiter({ attempts: 20, windowMs: WINDOW_MS }, now);
  return {
    take(email, addressBlock) {
      const keys = [
        [pair, `${email}\n${addressBlock}`],
        [address, addressBlock],
        [account, email],
      ] as const;
      for (const [limiter, key] of keys) limiter.take(key);
      return () => {
        for (const [limiter, key] of keys) limiter.giveBack(key);
      };
    },
    takeSignUp: (addressBlock) => signUps.take(addressBlock),
  };
}
