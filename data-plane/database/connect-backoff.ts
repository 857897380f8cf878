/** Keeps a server that cannot be reached from being knocked at by every request. */
import { ConnectionLost, DatabaseError } from "./database.ts";

const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5000;

export class ConnectBackoff {
  #failures = 0;
  #retryAt = 0;
  #lastFailure: Error | null = null;

  succeeded(): void {
    this.#failures = 0;
    this.#retryAt = 0;
    this.#lastFailure = null;
  }

  /** @returns the pause until the next attempt, in milliseconds. */
  failed(error: Error, now: number): number {
    const pause = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures++);
    const jittered = Math.round(pause * (0.75 + Math.random() / 2)); // so that many projects do not knock in step
    this.#retryAt = now + jittered;
    this.#lastFailure = error;
    return jittered;
  }

  isPausing(now: number): boolean {
    return now < this.#retryAt;
  }

  /**
   * What those who wait for a connection had better be told now, or null. "Too many connections" passes by itself, so
   * they go on waiting for that.
   */
  refusal(now: number): ConnectionLost | null {
    const error = this.#lastFailure;
    if (!error || !this.isPausing(now) || (error instanceof DatabaseError && error.code === "53300")) return null;
    if (error instanceof ConnectionLost) return error;
    return new ConnectionLost(`could not connect to the database: ${error.message}`, { cause: error, sent: false });
  }
}
