/** Stops asking an upstream of one project that keeps failing, and tries it again after a while. */

const FAILURES_TO_OPEN = 5;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

/**
 * Closed: all pass. Open after five failures in a row: nothing passes until the pause is over; then one request tries,
 * and its failure doubles the pause. A failure is what the gateway suffers itself: no connection, none that lasts, no
 * answer in time, or one that breaks the protocol. Any answer says that the service is there, a 503 too: whoever may
 * call a function can have it answer 503, and must not be able to take the service away from everybody else.
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
