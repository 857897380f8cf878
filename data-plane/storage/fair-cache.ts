/** Pieces of memory of many projects under one bound: a project that fills its part makes room by itself. */
import { LRUCache } from "lru-cache";
import type { ProjectRef } from "../../control-plane/client/config-snapshot.ts";

/** Of the cache, for one project. */
const PROJECT_SHARE = 0.25;
/** Of an entry beside its bytes. */
const ENTRY_BYTES = 300;

export class FairCache<Value> {
  readonly #held: LRUCache<string, { readonly value: Value; readonly bytes: number }>;
  readonly #bytesOf = new Map<string, number>();
  readonly #maxProjectBytes: number;

  constructor(maxBytes: number) {
    this.#maxProjectBytes = maxBytes * PROJECT_SHARE;
    this.#held = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: ({ bytes }) => bytes,
      dispose: ({ bytes }, key) => this.#count(projectOf(key), -bytes),
    });
  }

  get(project: ProjectRef, key: string): Value | undefined {
    return this.#held.get(`${project}/${key}`)?.value;
  }

  set(project: ProjectRef, key: string, value: Value, valueBytes: number): void {
    const bytes = valueBytes + ENTRY_BYTES;
    if (bytes > this.#maxProjectBytes) return;
    const fullKey = `${project}/${key}`;
    this.#held.delete(fullKey);
    if ((this.#bytesOf.get(project) ?? 0) + bytes > this.#maxProjectBytes) this.#dropOldest(project, bytes);
    this.#count(project, bytes);
    this.#held.set(fullKey, { value, bytes });
  }

  #dropOldest(project: ProjectRef, bytes: number): void {
    for (const key of [...this.#held.rkeys()]) {
      if ((this.#bytesOf.get(project) ?? 0) + bytes <= this.#maxProjectBytes) return;
      if (projectOf(key) === project) this.#held.delete(key);
    }
  }

  #count(project: string, bytes: number): void {
    const total = (this.#bytesOf.get(project) ?? 0) + bytes;
    if (total <= 0) this.#bytesOf.delete(project);
    else this.#bytesOf.set(project, total);
  }
}

function projectOf(key: string): string {
  return key.slice(0, key.indexOf("/"));
}
