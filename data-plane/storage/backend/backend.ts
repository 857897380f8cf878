/**
 * Where the bytes of objects lie. Every version of an object is written once under an address of its own and never
 * changed; which version an object has is said by its row, so a reader never sees half of anything.
 */
import type { ProjectRef } from "../../../control-plane/client/config-snapshot.ts";

export interface ObjectAddress {
  readonly project: ProjectRef;
  readonly bucket: string;
  readonly name: string;
  /** A UUID made by the service; what stands in a row may be anything. */
  readonly version: string;
}

export interface WriteOptions {
  /** More than this makes the write fail with {@link ObjectTooLarge}. */
  readonly maxBytes: number;
  /** From Content-Length of a body that is the object; undefined when not known. */
  readonly declaredBytes: number | undefined;
}

export interface WrittenObject {
  readonly bytes: number;
  /** Lower-case hex. */
  readonly md5: string;
}

export interface OpenObject {
  readonly bytes: number;
  /** A chunk is good until the next one is asked for. The object is closed when the iteration ends or is left. */
  read(start: number, length: number): AsyncIterable<Buffer>;
  /** The same at once, where it is in memory. */
  whole?(start: number, length: number): Buffer;
  close(): Promise<void>;
}

export interface ObjectBackend {
  readonly kind: "disk" | "s3";
  /** Resolves when the bytes are durable. Whatever it throws, it has kept nothing. */
  write(address: ObjectAddress, body: AsyncIterable<Buffer>, options: WriteOptions): Promise<WrittenObject>;
  /** Null when there are no bytes. */
  open(address: ObjectAddress): Promise<OpenObject | null>;
  /** The bytes under another address; durable. @throws {BytesMissing} */
  copy(from: ObjectAddress, to: ObjectAddress): Promise<void>;
  /** Makes an object of files staged on this machine, in order; durable. They stay until they are removed. */
  publish(address: ObjectAddress, staged: readonly string[]): Promise<void>;
  /** What is not there counts as removed. */
  remove(address: ObjectAddress): Promise<void>;
  /** Removes everything of a project; may run again. */
  eraseProject(project: ProjectRef): Promise<void>;
  /** Every version of a project that has bytes here. */
  list(project: ProjectRef): AsyncIterable<StoredVersion>;
}

export interface StoredVersion {
  readonly version: string;
  readonly bytes: number;
  readonly modifiedMs: number;
  /** Removes exactly this one. */
  remove(): Promise<void>;
}

export class ObjectTooLarge extends Error {}

/** There are no bytes under the address. */
export class BytesMissing extends Error {}

/** The disk is full, or as full as it may become. */
export class NoSpaceLeft extends Error {}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Versions come from rows that a project's owner may write: only a UUID ever becomes part of a path. */
export function isVersion(text: string): boolean {
  return UUID.test(text);
}
