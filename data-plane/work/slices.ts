/**
 * Long work on the event loop that all projects share, in slices: whoever has run for some milliseconds lets others go
 * first. Of all that wait to go on one does so in each turn of the loop, projects by turns, so that a request of a
 * neighbour never waits for more than one slice.
 *
 * For work whose result is objects of this thread, such as a schema cache. Work on bytes belongs into a thread of its
 * own: worker-pool.ts.
 */
import { FairQueue } from "../../control-plane/client/fair-queue.ts";

/** A request of a neighbour takes some five turns of the loop, and each may hold a slice. */
const SLICE_MS = 3;

const waiting = new FairQueue<() => void>({
  maxOfOne: Number.POSITIVE_INFINITY,
  maxOfAll: Number.POSITIVE_INFINITY,
});
let isPumping = false;

function pump(): void {
  waiting.shift()?.();
  if (waiting.size > 0) setImmediate(pump);
  else isPumping = false;
}

export class Slices {
  readonly #holder: string;
  #sinceMs = performance.now();

  /** @param holder The project whose work it is. */
  constructor(holder: string) {
    this.#holder = holder;
  }

  /** Ask it every few hundred steps at least: `if (slices.isDue) await slices.pause();` */
  get isDue(): boolean {
    return performance.now() - this.#sinceMs >= SLICE_MS;
  }

  /** Resolves when the work may go on. */
  async pause(): Promise<void> {
    await new Promise<void>((resume) => {
      waiting.push(this.#holder, resume);
      if (isPumping) return;
      isPumping = true;
      setImmediate(pump);
    });
    this.#sinceMs = performance.now();
  }

  /** As `items.map(convert)`, in slices. */
  async map<T, R>(items: readonly T[], convert: (item: T) => R): Promise<R[]> {
    const results: R[] = [];
    for (const item of items) {
      results.push(convert(item));
      if (this.isDue) await this.pause();
    }
    return results;
  }
}
