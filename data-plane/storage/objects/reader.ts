/**
 * Opens objects for reading: small ones from memory when they were read lately. A version never changes, so what is held
 * is never out of date; whether somebody may see it was decided by its row before.
 */
import { LRUCache } from "lru-cache";
import type { ProjectRef } from "../../../control-plane/client/config-snapshot.ts";
import type { ObjectAddress, ObjectBackend, OpenObject } from "../backend/backend.ts";
import type { Shares } from "../shares.ts";

const MAX_HELD_OBJECT_BYTES = 64 * 1024;
const DEFAULT_CACHE_BYTES = 32 * 1024 * 1024;
/** Of the cache, for one project. */
const PROJECT_SHARE = 0.25;

export class ObjectReader {
  readonly #backend: ObjectBackend;
  readonly #open: Shares;
  readonly #held: LRUCache<string, Buffer>;
  readonly #bytesOf = new Map<ProjectRef, number>();
  readonly #maxProjectBytes: number;

  constructor(backend: ObjectBackend, openFiles: Shares, cacheBytes = DEFAULT_CACHE_BYTES) {
    this.#backend = backend;
    this.#open = openFiles;
    this.#maxProjectBytes = cacheBytes * PROJECT_SHARE;
    this.#held = new LRUCache({
      maxSize: cacheBytes,
      sizeCalculation: sizeOf,
      dispose: (bytes, key) => this.#count(projectOf(key), -sizeOf(bytes)),
    });
  }

  /** Null when there are no bytes. @throws {StorageError} when the project reads too many at a time. */
  async open(address: ObjectAddress): Promise<OpenObject | null> {
    const key = `${address.project}/${address.version}`;
    const held = this.#held.get(key);
    if (held) return new HeldObject(held);
    const leave = this.#open.enter(address.project);
    try {
      const opened = await this.#backend.open(address);
      if (opened === null) {
        leave();
        return null;
      }
      if (opened.bytes > MAX_HELD_OBJECT_BYTES) return new CountedObject(opened, leave);
      const bytes = await readWhole(opened);
      leave();
      this.#hold(address.project, key, bytes);
      return new HeldObject(bytes);
    } catch (error) {
      leave();
      throw error;
    }
  }

  #hold(project: ProjectRef, key: string, bytes: Buffer): void {
    if ((this.#bytesOf.get(project) ?? 0) + sizeOf(bytes) > this.#maxProjectBytes) this.#dropOldest(project);
    if (this.#held.has(key)) return;
    this.#count(project, sizeOf(bytes));
    this.#held.set(key, bytes);
  }

  /** A project that fills its part makes room by itself. */
  #dropOldest(project: ProjectRef): void {
    for (const key of this.#held.rkeys()) {
      if (!key.startsWith(project)) continue;
      this.#held.delete(key);
      return;
    }
  }

  #count(project: ProjectRef, bytes: number): void {
    const total = (this.#bytesOf.get(project) ?? 0) + bytes;
    if (total <= 0) this.#bytesOf.delete(project);
    else this.#bytesOf.set(project, total);
  }
}

const ENTRY_BYTES = 300;

function sizeOf(bytes: Buffer): number {
  return bytes.length + ENTRY_BYTES;
}

function projectOf(key: string): ProjectRef {
  return key.slice(0, key.indexOf("/")) as ProjectRef;
}

async function readWhole(object: OpenObject): Promise<Buffer> {
  const whole = Buffer.allocUnsafeSlow(object.bytes);
  let length = 0;
  if (object.bytes === 0) await object.close();
  else for await (const chunk of object.read(0, object.bytes)) length += chunk.copy(whole, length);
  return whole.subarray(0, length);
}

class HeldObject implements OpenObject {
  readonly #whole: Buffer;
  readonly bytes: number;

  constructor(whole: Buffer) {
    this.#whole = whole;
    this.bytes = whole.length;
  }

  whole(start: number, length: number): Buffer {
    return this.#whole.subarray(start, start + length);
  }

  async *read(start: number, length: number): AsyncGenerator<Buffer> {
    yield this.whole(start, length);
  }

  async close(): Promise<void> {}
}

/** Counts as open until it is read or closed. */
class CountedObject implements OpenObject {
  readonly #object: OpenObject;
  readonly #leave: () => void;
  readonly bytes: number;

  constructor(object: OpenObject, leave: () => void) {
    this.#object = object;
    this.#leave = leave;
    this.bytes = object.bytes;
  }

  async *read(start: number, length: number): AsyncGenerator<Buffer> {
    try {
      yield* this.#object.read(start, length);
    } finally {
      this.#leave();
    }
  }

  async close(): Promise<void> {
    this.#leave();
    await this.#object.close();
  }
}
