/**
 * Frames of a project's clients, worked off as they come while that takes little time, and in turns with other projects
 * when it takes more: a read of one socket may bring dozens of joins with a hundred bindings each.
 */
import { Slices } from "../../work/slices.ts";

/** Work after which others get their turn. */
const SLICE_MS = 3;
/** What may wait for a turn; a client that sends more than that at once is closed. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;

export class FrameTurns {
  readonly #holder: string;
  #workedMs = 0;
  #waiting: { readonly bytes: number; readonly work: () => void }[] = [];
  #waitingBytes = 0;
  #isResting = false;

  /** @param holder The project. */
  constructor(holder: string) {
    this.#holder = holder;
  }

  /** Whether a frame that comes now is worked off at once; its bytes need not be copied then. */
  get isFree(): boolean {
    return !this.#isResting;
  }

  /** Only when it is free. */
  run(work: () => void): void {
    const startedAt = performance.now();
    work();
    this.#workedMs += performance.now() - startedAt;
    if (this.#workedMs >= SLICE_MS && !this.#isResting) void this.#rest();
  }

  /** Behind everything that waits already. @returns False when too much waits. */
  add(bytes: number, work: () => void): boolean {
    if (this.#waitingBytes + bytes > MAX_WAITING_BYTES) return false;
    this.#waiting.push({ bytes, work });
    this.#waitingBytes += bytes;
    return true;
  }

  async #rest(): Promise<void> {
    this.#isResting = true;
    const slices = new Slices(this.#holder);
    await slices.pause();
    while (this.#waiting.length > 0) {
      const frames = this.#waiting;
      this.#waiting = [];
      for (const { bytes, work } of frames) {
        this.#waitingBytes -= bytes;
        work();
        if (slices.isDue) await slices.pause();
      }
    }
    this.#workedMs = 0;
    this.#isResting = false;
  }
}
