/** How many of something each project may have at a time in this process. */
import type { ProjectRef } from "../../control-plane/client/config-snapshot.ts";
import { type StorageErrorName, storageError } from "./errors.ts";

export class Shares {
  readonly #max: number;
  readonly #refusal: StorageErrorName;
  readonly #counts = new Map<ProjectRef, number>();

  constructor(max: number, refusal: StorageErrorName) {
    this.#max = max;
    this.#refusal = refusal;
  }

  /** @returns What gives the place back; calling it twice does no harm. @throws {StorageError} when all are taken. */
  enter(project: ProjectRef): () => void {
    const count = this.#counts.get(project) ?? 0;
    if (count >= this.#max) throw storageError(this.#refusal);
    this.#counts.set(project, count + 1);
    let isIn = true;
    return () => {
      if (!isIn) return;
      isIn = false;
      const left = (this.#counts.get(project) ?? 1) - 1;
      if (left <= 0) this.#counts.delete(project);
      else this.#counts.set(project, left);
    };
  }
}
