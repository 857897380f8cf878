/** Request bodies that have not arrived whole: one timer looks after them all, and only while there are any. */

/** How late a stalled sender may be noticed. */
const LOOK_MS = 100;
/** The server library cuts a slow sender ten seconds after its clock was started. */
const RESTART_MS = 4_000;

export interface ArrivingBody {
  /** @returns False when there is nothing to look after any more. */
  lookAfter(nowMs: number, restartLibraryClock: boolean): boolean;
}

export class ArrivingBodies {
  readonly #bodies = new Set<ArrivingBody>();
  #timer: NodeJS.Timeout | null = null;
  #restartedMs = 0;

  add(body: ArrivingBody): void {
    this.#bodies.add(body);
    if (this.#timer !== null) return;
    this.#restartedMs = performance.now();
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  delete(body: ArrivingBody): void {
    this.#bodies.delete(body);
  }

  #look(): void {
    if (this.#bodies.size === 0) {
      if (this.#timer !== null) clearInterval(this.#timer);
      this.#timer = null;
      return;
    }
    const nowMs = performance.now();
    const restart = nowMs - this.#restartedMs >= RESTART_MS;
    if (restart) this.#restartedMs = nowMs;
    for (const body of this.#bodies) if (!body.lookAfter(nowMs, restart)) this.#bodies.delete(body);
  }
}
