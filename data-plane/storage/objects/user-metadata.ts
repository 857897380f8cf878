/** The metadata that a client gives an object: a JSON object in a header (base64) or in a form field. */
import { storageError } from "../errors.ts";

const MAX_BYTES = 1024 * 1024;

/**
 * @returns JSON text of an object. What is no JSON at all is dropped, as the original does.
 * @throws {StorageError} for a list or a text, for a zero character, and for more than 1 MiB.
 */
export function parseUserMetadata(text: string | undefined): string {
  if (text === undefined || text === "") return "{}";
  if (Buffer.byteLength(text) > MAX_BYTES) throw storageError("metadataTooLarge");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "{}";
  }
  if (typeof value === "string" || Array.isArray(value)) {
    throw storageError("invalidParameter", "invalid input syntax for type json");
  }
  if (typeof value !== "object" || value === null) return "{}";
  const json = JSON.stringify(value);
  if (json.includes("\\u0000")) throw storageError("invalidParameter", "unsupported Unicode escape sequence");
  return json;
}

/** @param header `x-metadata`. */
export function userMetadataOfHeader(header: string | undefined): string {
  return parseUserMetadata(header === undefined ? undefined : Buffer.from(header, "base64").toString("utf8"));
}
