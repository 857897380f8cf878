/**
 * Pauses between pieces of work that a tenant can have done again and again, such as reading a database's catalogue: each
 * is followed by a pause ten times as long, so whoever has it done all the time gets a tenth of the time.
 */
const PAUSE_FACTOR = 10;
/** Pauses up to this length, after work of half a second, may be owed: */
const SHORT_PAUSE_MS = 5_000;
/** so much in all, so that the changes of a migration show at once. */
const OWED_PAUSE_MS = 20_000;

export class Pauses {
  readonly #clock: () => number;
  /** Until when the pauses reach that follow the work so far. */
  #pausedUntil = Number.NEGATIVE_INFINITY;
  #next = Number.NEGATIVE_INFINITY;

  /** @param clock Milliseconds, growing steadily. */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** When the next piece of work may begin, by the clock. */
  get next(): number {
    return this.#next;
  }

  /** Milliseconds until then; 0 when it may begin now. */
  get waitMs(): number {
    return Math.max(0, this.#next - this.#clock());
  }

  /** Work that began at this time by the clock has ended. */
  ended(since: number): void {
    const now = this.#clock();
    const pause = PAUSE_FACTOR * (now - since);
    this.#pausedUntil = Math.max(now, this.#pausedUntil) + pause;
    this.#next = pause > SHORT_PAUSE_MS ? this.#pausedUntil : this.#pausedUntil - OWED_PAUSE_MS;
  }
}
