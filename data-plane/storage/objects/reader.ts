/**
 * Opens objects for reading: small ones from memory when they were read lately. A version never changes, so what is held
 * is never out of date; whether somebody may see it was decided by its row before.
 */
import type { ObjectAddress, ObjectBackend, OpenObject } from "../backend/backend.ts";
import { FairCache } from "../fair-cache.ts";
import type { Shares } from "../shares.ts";

const MAX_HELD_OBJECT_BYTES = 64 * 1024;
const DEFAULT_CACHE_BYTES = 32 * 1024 * 1024;

export class ObjectReader {
  readonly #backend: ObjectBackend;
  readonly #open: Shares;
  readonly #held: FairCache<Buffer>;

  constructor(backend: ObjectBackend, openFiles: Shares, cacheBytes = DEFAULT_CACHE_BYTES) {
    this.#backend = backend;
    this.#open = openFiles;
    this.#held = new FairCache(cacheBytes);
  }

  /** Null when there are no bytes. @throws {StorageError} when the project reads too many at a time. */
  async open(address: ObjectAddress): Promise<OpenObject | null> {
    const { project, version } = address;
    const held = this.#held.get(project, version);
    if (held) return new HeldObject(held);
    const leave = this.#open.enter(project);
    try {
      const opened = await this.#backend.open(address);
      if (opened === null) {
        leave();
        return null;
      }
      if (opened.bytes > MAX_HELD_OBJECT_BYTES) return new CountedObject(opened, leave);
      const bytes = await readWhole(opened);
      leave();
      this.#held.set(project, version, bytes, bytes.length);
      return new HeldObject(bytes);
    } catch (error) {
      leave();
      throw error;
    }
  }
}

/** All of an object that is known to be small. It is closed then. */
export async function readWhole(object: OpenObject): Promise<Buffer> {
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
