/** Reading an object: its row in one round trip, then its bytes at the client's pace. */
import type { ServiceResponse } from "../../service.ts";
import type { ObjectAddress, OpenObject } from "../backend/backend.ts";
import type { StorageContext } from "../context.ts";
import {
  type FileMetadata,
  findBucketAndObject,
  isVisible,
  type ObjectRow,
  readBucketAndObject,
} from "../database/rows.ts";
import { StorageError, storageError } from "../errors.ts";
import type { Headers } from "../http/responses.ts";
import { ANONYMOUS } from "../identity.ts";
import type { StorageParts } from "../service.ts";
import { isNotModified, parseRange } from "./conditions.ts";

/**
 * Who may read: `caller`, whoever the policies let (public buckets: everybody); `public`, everybody and public buckets only;
 * `anyone`, whoever asks, because a signed URL has proved the right.
 */
export type ReadAccess = "caller" | "public" | "anyone";

/** @throws {StorageError} NoSuchBucket, NoSuchKey */
export async function findReadable(
  context: StorageContext,
  bucketName: string,
  name: string,
  access: ReadAccess,
  options: { readonly policiesEvenIfPublic?: boolean } = {},
): Promise<ObjectRow> {
  const anonymous = access === "caller" && context.caller === ANONYMOUS;
  const asks = access === "caller" && !anonymous;
  const statements = [context.asService(), findBucketAndObject(context, bucketName, name)];
  if (asks) statements.push(context.asCaller(), isVisible(context, bucketName, name));
  const results = await context.run(statements);
  if (access === "anyone" && results[1]?.rowCount === 0) throw storageError("objectNotFound");
  const { bucket, object } = readBucketAndObject(results[1]);
  if (access === "public" || anonymous) {
    if (!bucket.isPublic) throw storageError("bucketNotFound");
  } else if (asks && (!bucket.isPublic || options.policiesEvenIfPublic)) {
    if (results[3]?.rowCount !== 1) throw storageError("objectNotFound");
  }
  if (object === null) throw storageError("objectNotFound");
  return object;
}

export interface DownloadOptions {
  /** Value of `?download`; null when it is not there. */
  readonly download: string | null;
  /** Seconds since the epoch: until when a signed URL is good. Sent instead of Cache-Control. */
  readonly expires?: number;
}

/** @throws {StorageError} */
export async function downloadObject(
  parts: StorageParts,
  context: StorageContext,
  object: ObjectRow,
  options: DownloadOptions,
  reread: () => Promise<ObjectRow>,
): Promise<ServiceResponse> {
  const { headers: sent } = context.request;
  const metadata = object.metadata ?? {};
  const headers = [...objectHeaders(object, sent["if-none-match"] !== undefined), ...answerHeaders(options)];
  const etag = metadata.eTag ?? "";
  if (isNotModified(sent, etag, lastModifiedMs(object))) return { status: 304, headers, body: null };
  return sendBytes(parts, context, object, headers, reread);
}

async function sendBytes(
  parts: StorageParts,
  context: StorageContext,
  object: ObjectRow,
  headers: Headers,
  reread: () => Promise<ObjectRow>,
): Promise<ServiceResponse> {
  const opened = await openObject(parts, context, object, reread);
  if (opened.object.version !== object.version) {
    // Replaced between the look at the row and the look for its bytes.
    const fresh = opened.object;
    const replaced = objectHeaders(fresh, false);
    return respond(context, opened.bytes, fresh, [...replaced, ...headers.filter(([name]) => !OF_VERSION.has(name))]);
  }
  return respond(context, opened.bytes, object, headers);
}

const OF_VERSION: ReadonlySet<string> = new Set([
  ...["content-type", "etag", "last-modified", "x-robots-tag", "cache-control", "accept-ranges"],
  ...["x-content-type-options", "content-security-policy"],
]);

/** The bytes of an object, or those of the version that has just replaced it. @throws {StorageError} when there are none. */
export async function openObject(
  parts: StorageParts,
  context: StorageContext,
  object: ObjectRow,
  reread: () => Promise<ObjectRow>,
): Promise<{ readonly object: ObjectRow; readonly bytes: OpenObject }> {
  const bytes = await parts.reader.open(addressOf(context, object));
  if (bytes) return { object, bytes };
  const fresh = await reread();
  if (fresh.version === object.version) throw storageError("bytesMissing");
  const freshBytes = await parts.reader.open(addressOf(context, fresh));
  if (!freshBytes) throw storageError("bytesMissing");
  return { object: fresh, bytes: freshBytes };
}

export function addressOf(context: StorageContext, { bucket, name, version }: ObjectRow): ObjectAddress {
  return { project: context.project.projectRef, bucket, name, version: version ?? "" };
}

async function respond(
  context: StorageContext,
  opened: OpenObject,
  object: ObjectRow,
  headers: Headers,
): Promise<ServiceResponse> {
  const { headers: sent } = context.request;
  const size = opened.bytes;
  const validator = { etag: object.metadata?.eTag ?? "", lastModifiedMs: lastModifiedMs(object) };
  const range = parseRange(sent, size, validator);
  if (range === "unsatisfiable") {
    await opened.close();
    throw new StorageError("invalidRange", { headers: [["content-range", `bytes */${size}`]] });
  }
  const [start, length] = range ? [range.start, range.end - range.start + 1] : [0, size];
  const all: [string, string][] = [...headers.map(([name, value]): [string, string] => [name, value])];
  all.push(["content-length", String(length)]);
  if (range) all.push(["content-range", `bytes ${range.start}-${range.end}/${size}`]);
  const status = range ? 206 : 200;
  if (length === 0) {
    await opened.close();
    return { status, headers: all, body: "" };
  }
  const whole = opened.whole?.(start, length);
  return { status, headers: all, body: whole ?? readUntilGone(context, opened, start, length) };
}

/** A client that goes away before the first byte is asked for must not leave the object open. */
export function readUntilGone(
  { request }: Pick<StorageContext, "request">,
  opened: OpenObject,
  start: number,
  length: number,
): AsyncIterable<Buffer> {
  const { signal } = request;
  const close = () => void opened.close().catch(() => {});
  if (signal.aborted) close();
  else signal.addEventListener("abort", close, { once: true });
  return opened.read(start, length);
}

/** HEAD is answered from the row; no byte of the object is touched. */
export function describeObject(object: ObjectRow): ServiceResponse {
  const { size } = object.metadata ?? {};
  const headers: [string, string][] = objectHeaders(object, false).map(([name, value]) => [name, value]);
  if (size !== undefined) headers.push(["content-length", String(size)]);
  return { status: 200, headers, body: null };
}

/** Headers that the row tells of. @param isRevalidation The client has an older version, which it may show meanwhile. */
export function objectHeaders(object: ObjectRow, isRevalidation: boolean): Headers {
  const metadata: FileMetadata = object.metadata ?? {};
  const cacheControl = metadata.cacheControl ?? "no-cache";
  const type = servedType(metadata.mimetype ?? "");
  const headers: [string, string][] = [
    ["accept-ranges", "bytes"],
    ["content-type", headerValue(type)],
    ["etag", headerValue(metadata.eTag ?? "")],
    ["last-modified", new Date(lastModifiedMs(object)).toUTCString()],
    ["x-robots-tag", headerValue(metadata.xRobotsTag ?? "none")],
    ["cache-control", headerValue(isRevalidation ? `${cacheControl}, stale-while-revalidate=30` : cacheControl)],
    ["x-content-type-options", "nosniff"],
  ];
  if (mayHoldScripts(type)) {
    headers.push(["content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox"]);
  }
  return headers;
}

function answerHeaders({ download, expires }: DownloadOptions): Headers {
  const headers: [string, string][] = [];
  if (download !== null) headers.push(["content-disposition", contentDisposition(download)]);
  if (expires !== undefined) headers.push(["expires", new Date(expires * 1000).toUTCString()]);
  return headers;
}

/** Without the header that the signed route replaces by Expires. */
export function withoutCacheControl(response: ServiceResponse): ServiceResponse {
  return { ...response, headers: response.headers.filter(([name]) => name !== "cache-control") };
}

export function contentDisposition(name: string): string {
  if (name === "") return "attachment;";
  const encoded = encodeURIComponent(name.toWellFormed());
  return `attachment; filename=${encoded}; filename*=UTF-8''${encoded}`;
}

/** Pages are not served as pages: they would run in an origin that others share. */
export function servedType(type: string): string {
  return /text\/html/i.test(type) ? "text/plain" : type;
}

function mayHoldScripts(type: string): boolean {
  return /xml|svg|xhtml|xslt/i.test(type);
}

/** Stored by whoever may write the row: what cannot stand in a header is refused, and nothing is split by it. */
function headerValue(value: string): string {
  if (/[^\t\x20-\x7e\x80-\xff]/.test(value)) throw storageError("invalidHeader");
  return value;
}

export function lastModifiedMs(object: ObjectRow): number {
  const given = Date.parse(object.metadata?.lastModified ?? "");
  return Number.isNaN(given) ? Date.parse(object.updatedAt) || 0 : given;
}
