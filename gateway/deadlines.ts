/** Many deadlines, one timer: a request's deadline costs a Set entry instead of a timer of its own. */

const SWEEP_MS = 100;

export interface Deadline {
  /** Moves the deadline; does nothing after it has passed or was stopped. */
  extend(ms: number): void;
  stop(): void;
}

class Entry implements Deadline {
  atMs: number;
  readonly onPassed: () => void;
  readonly #entries: Set<Entry>;

  constructor(entries: Set<Entry>, ms: number, onPassed: () => void) {
    this.#entries = entries;
    this.atMs = performance.now() + ms;
    this.onPassed = onPassed;
    entries.add(this);
  }

  extend(ms: number): void {
    this.atMs = performance.now() + ms;
  }

  stop(): void {
    this.#entries.delete(this);
  }
}

/** Admission up to 100 ms late. */
export class Deadlines {
  readonly #entries = new Set<Entry>();
  readonly #timer: NodeJS.Timeout;

  constructor() {
    this.#timer = setInterval(() => this.#sweep(), SWEEP_MS);
    this.#timer.unref();
  }

  start(ms: number, onPassed: () => void): Deadline {
    return new Entry(this.#entries, ms, onPassed);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#entries.clear();
  }

  #sweep(): void {
    const nowMs = performance.now();
    for (const entry of this.#entries) {
      if (entry.atMs > nowMs) continue;
      this.#entries.delete(entry);
      entry.onPassed();
    }
  }
}
