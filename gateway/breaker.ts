/** Stops asking an upstream of one project that keeps failing, and tries it again after a while. */

const FAILURES_TO_OPEN = 5;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

/**
 * Closed: all pass. Open after five failures in a row: nothing passes until the pause is over; then one request tries,
 * and its failure doubles the pause. A failure is what the gateway suffers (no connection, no answer, 502 to 504):
 * a plain 500 is often a project's own SQL.
 */
export class Breaker {
  #failures = 0;
  #pauseMs = FIRST_PAUSE_MS;
  #openUntilMs = 0;
  #trialUntilMs = 0;

  /** @returns 0 when the request may pass, else the seconds after which to come again. */
  admit(nowMs: number): number {
    if (this.#failures < FAILURES_TO_OPEN) return 0;
    const waitMs = Math.max(this.#openUntilMs, this.#trialUntilMs) - nowMs;
    if (waitMs > 0) return Math.ceil(waitMs / 1000);
    // One trial; the next one after a pause, should this never report back.
    this.#trialUntilMs = nowMs + this.#pauseMs;
    return 0;
  }

  success(): void {
    if (this.#failures === 0) return;
    this.#failures = 0;
    this.#pauseMs = FIRST_PAUSE_MS;
    this.#trialUntilMs = 0;
  }

  failure(nowMs: number): void {
    this.#failures += 1;
    if (this.#failures < FAILURES_TO_OPEN) return;
    if (this.#trialUntilMs > 0) this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
    this.#trialUntilMs = 0;
    this.#openUntilMs = nowMs + this.#pauseMs;
  }
}
