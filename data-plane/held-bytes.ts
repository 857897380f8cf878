/**
 * Bodies and answers that a process holds in memory, of all projects together. A project may hold as much as is free
 * after it: one alone gets half of the whole, two that are greedy a third each, and there is always room for one more
 * (dynamic thresholds, as switches share out their buffers). Nothing waits: who is refused may come again.
 *
 * One instance a process, handed to whatever holds bytes that a client or a tenant decides about. Small things are not
 * worth counting: {@link COUNTED_BYTES}.
 */
import type { ProjectRef } from "../control-plane/client/config-snapshot.ts";

/** What is smaller is bounded by the number of requests in flight. */
export const COUNTED_BYTES = 64 * 1024;

/** The project holds its share already, or the process all it may: an answer of 429 or 503. */
export class HeldBytesExhausted extends Error {
  constructor() {
    super("the project holds as many bytes in memory as it may at the moment");
  }
}

export class HeldBytes {
  readonly #max: number;
  readonly #byProject = new Map<ProjectRef, number>();
  #held = 0;

  /** @param max Bytes of all projects. */
  constructor(max: number) {
    this.#max = max;
  }

  /** Bytes held at the moment, of all projects. */
  get total(): number {
    return this.#held;
  }

  /** Bytes that one project holds at the moment. */
  heldBy(project: ProjectRef): number {
    return this.#byProject.get(project) ?? 0;
  }

  /** Whether the project may hold so many more now. */
  fits(project: ProjectRef, bytes: number): boolean {
    return this.heldBy(project) + bytes <= this.#max - this.#held - bytes;
  }

  /** @returns False when the project may not hold so many more; nothing is taken then. */
  take(project: ProjectRef, bytes: number): boolean {
    if (!this.fits(project, bytes)) return false;
    this.#held += bytes;
    this.#byProject.set(project, this.heldBy(project) + bytes);
    return true;
  }

  /** What was taken comes back; exactly once. */
  give(project: ProjectRef, bytes: number): void {
    const left = this.heldBy(project) - bytes;
    this.#held -= bytes;
    if (left > 0) this.#byProject.set(project, left);
    else this.#byProject.delete(project);
  }

  /** For one piece of work of a project that takes now and then, and gives all back at its end. */
  account(project: ProjectRef): HeldAccount {
    return new HeldAccount(this, project);
  }
}

export class HeldAccount {
  readonly #budget: HeldBytes;
  readonly #project: ProjectRef;
  #bytes = 0;
  #closed = false;

  constructor(budget: HeldBytes, project: ProjectRef) {
    this.#budget = budget;
    this.#project = project;
  }

  /** @throws {HeldBytesExhausted} */
  take(bytes: number): void {
    if (this.#closed) return;
    if (!this.#budget.take(this.#project, bytes)) throw new HeldBytesExhausted();
    this.#bytes += bytes;
  }

  /** Gives everything back. May be called again. */
  close(): void {
    this.#closed = true;
    if (this.#bytes > 0) this.#budget.give(this.#project, this.#bytes);
    this.#bytes = 0;
  }
}
