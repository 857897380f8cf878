/** Metadata of users: small JSON objects that are copied into every access token. */
import { AuthError } from "../errors.ts";
import type { Metadata } from "./user.ts";
import { Merged } from "./user-queries.ts";

/** A token with more would not fit into the headers of most servers, nor its session into cookies. */
const MAX_METADATA_BYTES = 65_536;

/** A shallow merge in which null deletes a key. @throws {AuthError} `validation_failed` when the result is too large. */
export function mergeMetadata(current: Metadata | null, changes: Metadata | undefined): Metadata {
  const merged = Object.fromEntries(
    Object.entries({ ...current, ...changes }).filter(([, value]) => value !== null && value !== undefined),
  );
  checkMetadataSize(merged);
  return merged;
}

export function checkMetadataSize(metadata: Metadata | undefined): void {
  if (metadata && Buffer.byteLength(JSON.stringify(metadata)) > MAX_METADATA_BYTES) {
    throw new AuthError("validation_failed", `User metadata cannot be larger than ${MAX_METADATA_BYTES} bytes`);
  }
}

/**
 * The change that {@link mergeMetadata} makes, to be made by the database. What is there may have grown since it was read:
 * the size is judged by what was read. @throws {AuthError} `validation_failed` when the result would be too large.
 */
export function mergeInto(current: Metadata | null, changes: Metadata | undefined): Merged {
  mergeMetadata(current, changes);
  return new Merged(changes ?? {});
}

/** The keys that metadata as a caller sends it deletes: a new row holds them as null until they are merged. */
export function deletedKeys(metadata: Metadata): Metadata {
  return Object.fromEntries(Object.entries(metadata).filter(([, value]) => value === null));
}
