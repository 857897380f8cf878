/** Names of buckets and objects, media types and sizes: what is allowed. Pure. */
import { storageError } from "./errors.ts";

/** Also S3's own limit, in bytes. */
const MAX_KEY_BYTES = 1024;
const MAX_BUCKET_CHARACTERS = 100;
const KEY = /^[\w/!\-.*'() &$@=;:+,?]+$/;
const BUCKET = /^[\w!\-.*'() &$@=;:+,?]+$/;
const DOT_SEGMENT = /(?:^|\/)\.{1,2}(?:\/|$)/;

/** @throws {StorageError} InvalidKey */
export function checkKey(key: string): string {
  if (!KEY.test(key) || Buffer.byteLength(key) > MAX_KEY_BYTES) throw storageError("invalidKey", `Invalid key: ${key}`);
  if (DOT_SEGMENT.test(key)) throw storageError("invalidKey", `Invalid key: ${key} contains dot path segment`);
  return key;
}

/** For an existing bucket in a path. */
export function isBucketName(name: string): boolean {
  return BUCKET.test(name) && name.length <= MAX_BUCKET_CHARACTERS && name !== "." && name !== "..";
}

/** For a new bucket. @throws {StorageError} InvalidBucketName */
export function checkNewBucketName(name: string): string {
  if (!isBucketName(name) || name !== name.trim() || name.endsWith("--table-s3"))
    throw storageError("invalidBucketName");
  return name;
}

const SIZE = /^(\d{1,15}(?:\.\d{1,6})?)\s*(b|kb|mb|gb)$/i;
const UNITS: Readonly<Record<string, number>> = { b: 1, kb: 1e3, mb: 1e6, gb: 1e9 };

/**
 * A bucket's size limit: bytes, or a number with a decimal unit such as `20mb`, which is rounded to three significant digits.
 * @returns Null for null. @throws {StorageError} InvalidRequest for anything else.
 */
export function parseSizeLimit(value: unknown): number | null {
  if (value === null) return null;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  if (typeof value === "string") {
    if (/^\d{1,15}$/.test(value)) return Number(value);
    const match = SIZE.exec(value);
    if (match) {
      const number = Number(Number(match[1]).toPrecision(3));
      return Math.round(number * (UNITS[(match[2] as string).toLowerCase()] as number));
    }
  }
  throw storageError(
    "invalidRequest",
    "body/file_size_limit must be a size in bytes or a number with a unit, such as 20mb",
  );
}

const MEDIA_TYPE_PATTERN = /^[\w!#$&^.+-]+\/(?:[\w!#$&^.+-]+(?:;\s*charset=[\w-]+)?|\*)$|\*$/;

/** @throws {StorageError} InvalidMimeType */
export function checkAllowedMimeTypes(types: readonly string[]): readonly string[] {
  const kept = types.filter((type) => type !== "");
  for (const type of kept) {
    if (type.length > 1000 || !MEDIA_TYPE_PATTERN.test(type)) {
      throw storageError("invalidMimeType", `mime type ${type} is not supported`);
    }
  }
  return kept;
}

/** Parameters count as part of the subtype, so `text/plain;charset=utf-8` is not `text/plain`. No list allows all. */
export function allowsMimeType(allowed: readonly string[] | null, type: string): boolean {
  if (allowed === null || allowed.length === 0) return true;
  const [sentType, sentSubtype] = split(type);
  return allowed.some((item) => {
    const [itemType, itemSubtype] = split(item);
    return itemType === sentType && (itemSubtype === "*" || itemSubtype === sentSubtype);
  });
}

function split(type: string): [string, string] {
  const slash = type.indexOf("/");
  return slash === -1 ? [type, ""] : [type.slice(0, slash), type.slice(slash + 1)];
}

const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+\s*(?:;[\t\x20-\x7e]*)?$/;

/** Whether a declared content type can be stored and sent again. */
export function isMediaType(type: string): boolean {
  return type.length <= 1000 && MEDIA_TYPE.test(type);
}

/** Placeholders of empty folders hold nothing and have no type of interest. */
export function isFolderPlaceholder(key: string): boolean {
  return key.endsWith(".emptyFolderPlaceholder");
}

const ROBOTS_RULE =
  /^(?:all|noindex|nofollow|none|noarchive|nosnippet|notranslate|noimageindex|indexifembedded|max-snippet:\s?-?\d+|max-image-preview:\s?(?:none|standard|large)|max-video-preview:\s?-?\d+|unavailable_after:\s?[\w:+ .-]+)$/;

/** @returns The value as given. @throws {StorageError} when a rule is unknown. */
export function checkRobotsTag(value: string): string {
  for (const part of value.split(",")) {
    const rule = part.trim();
    if (ROBOTS_RULE.test(rule)) continue;
    const agent = /^[\w.-]+:\s+(.*)$/.exec(rule);
    if (agent && ROBOTS_RULE.test(agent[1] as string)) continue;
    throw storageError("invalidRobotsTag", `Invalid X-Robots-Tag header: ${rule === "" ? "empty rule" : `"${rule}"`}`);
  }
  return value;
}
