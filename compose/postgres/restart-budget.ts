/** How often PostgreSQL may be started again before it is better to give up: a server that dies at once would do so for ever. */

const MAX_RESTARTS = 3;
const WITHIN_MS = 10 * 60_000;

export class RestartBudget {
  #restarts: number[] = [];

  /** @param nowMs of any clock that does not go back. @returns false when it has been started too often of late. */
  take(nowMs: number): boolean {
    this.#restarts = this.#restarts.filter((at) => nowMs - at < WITHIN_MS);
    if (this.#restarts.length >= MAX_RESTARTS) return false;
    this.#restarts.push(nowMs);
    return true;
  }
}
