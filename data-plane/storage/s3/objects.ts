/** Objects, as S3 shows them: put, get, head, copy, delete. */
import type { ServiceResponse } from "../../service.ts";
import type { StorageContext } from "../context.ts";
import type { FileMetadata, ObjectRow } from "../database/rows.ts";
import { StorageError, storageError } from "../errors.ts";
import { checkKey } from "../names.ts";
import { matches } from "../objects/conditions.ts";
import { removeObject, removeObjects, textArray } from "../objects/delete.ts";
import { describeObject, downloadObject, findReadable, lastModifiedMs } from "../objects/download.ts";
import { copyObject } from "../objects/transfer.ts";
import { uploadObject } from "../objects/upload.ts";
import type { ObjectDescription } from "../objects/upload-source.ts";
import { empty, xml } from "./answers.ts";
import { openBody } from "./body.ts";
import type { S3Request } from "./s3-request.ts";
import { malformed } from "./xml.ts";

const DEFAULT_TYPE = "application/octet-stream";

export function descriptionOf(s3: S3Request): ObjectDescription {
  const { headers } = s3.request;
  return {
    contentType: headers["content-type"] || DEFAULT_TYPE,
    cacheControl: headers["cache-control"] ?? "no-cache",
    userMetadata: JSON.stringify(s3.userMetadata),
    robotsTag: null,
  };
}

/** Always replaces. A name that ends in a slash, without bytes, is an empty folder. */
export async function putObject(s3: S3Request, bucket: string, key: string): Promise<ServiceResponse> {
  const body = openBody(s3.request, s3.verified);
  const isFolder = key.endsWith("/") && body.bytes === 0;
  const name = checkKey(isFolder ? `${key}.emptyFolderPlaceholder` : key);
  const context = s3.context("upload");
  const description = descriptionOf(s3);
  const owner = context.caller.subject;
  const { etag } = await uploadObject(
    s3.parts,
    context,
    { bucket, name, owner, upsert: true, probe: true },
    {
      description,
      announcedBytes: body.bytes,
      declaredBytes: body.bytes,
      body: body.stream,
      finalDescription: async () => description,
      abandon: () => {},
    },
  );
  return empty(200, [["etag", etag]]);
}

const OVERRIDES = [
  ["response-content-type", "content-type"],
  ["response-content-language", "content-language"],
  ["response-expires", "expires"],
  ["response-cache-control", "cache-control"],
  ["response-content-disposition", "content-disposition"],
  ["response-content-encoding", "content-encoding"],
] as const;

export async function getObject(s3: S3Request, bucket: string, key: string): Promise<ServiceResponse> {
  const context = s3.context("object.get");
  const find = () => findReadable(context, bucket, key, "caller");
  const object = await find();
  checkPreconditions(s3, object);
  const answer = await downloadObject(s3.parts, context, object, { download: null }, find);
  return withS3Headers(s3, answer, object);
}

export async function headObject(s3: S3Request, bucket: string, key: string): Promise<ServiceResponse> {
  const context = s3.context("object.info");
  const object = await findReadable(context, bucket, key, "caller");
  checkPreconditions(s3, object);
  return withS3Headers(s3, describeObject(object), object);
}

function checkPreconditions({ request }: S3Request, object: ObjectRow): void {
  const { headers } = request;
  const ifMatch = headers["if-match"];
  if (ifMatch !== undefined && !matches(ifMatch, object.metadata?.eTag ?? "")) throw storageError("preconditionFailed");
  const since = headers["if-unmodified-since"];
  if (
    ifMatch === undefined &&
    since !== undefined &&
    Math.floor(lastModifiedMs(object) / 1000) * 1000 > Date.parse(since)
  ) {
    throw storageError("preconditionFailed");
  }
}

function withS3Headers(s3: S3Request, answer: ServiceResponse, object: ObjectRow): ServiceResponse {
  const overridden = new Map<string, string>();
  for (const [parameter, header] of OVERRIDES) {
    const value = s3.query.get(parameter);
    if (value && !/[^\t\x20-\x7e]/.test(value)) overridden.set(header, value);
  }
  const kept = answer.headers.filter(([name]) => !overridden.has(name) && name !== "x-robots-tag");
  const metadata = metadataHeaders(object.userMetadata);
  return { ...answer, headers: [...kept, ...overridden, ...metadata] };
}

/** What cannot stand in a header is only counted. */
function metadataHeaders(userMetadata: unknown): [string, string][] {
  if (typeof userMetadata !== "object" || userMetadata === null) return [];
  const headers: [string, string][] = [];
  let missing = 0;
  let bytes = 0;
  for (const [name, value] of Object.entries(userMetadata)) {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    bytes += name.length + text.length;
    if (/^[\w!#$%&'*+.^`|~-]+$/.test(name) && /^[\x20-\x7e]*$/.test(text) && bytes <= 8_000) {
      headers.push([`x-amz-meta-${name.toLowerCase()}`, text]);
    } else missing += 1;
  }
  if (missing > 0) headers.push(["x-amz-missing-meta", String(missing)]);
  return headers;
}

export async function deleteObject(s3: S3Request, bucket: string, key: string): Promise<ServiceResponse> {
  await removeObject(s3.parts, s3.context("object.delete"), bucket, key).catch((error) => {
    if (!(error instanceof StorageError) || error.kind !== "objectNotFound") throw error;
  });
  return empty(204);
}

const MAX_DELETES = 1000;

export async function deleteObjects(s3: S3Request, bucket: string): Promise<ServiceResponse> {
  const document = await s3.readXml("Delete");
  const objects = (document.Object ?? []) as readonly { readonly Key?: unknown }[];
  if (objects.length === 0 || objects.length > MAX_DELETES) throw malformed();
  const keys = objects.map(({ Key }) => {
    if (typeof Key !== "string" || Key === "") throw malformed();
    return Key;
  });
  const context = s3.context("object.delete_many");
  const [, found] = await context.run([
    context.asService(),
    context.ofService(
      `/* s3FindKeys */ select name from storage.objects where bucket_id = $1 and name = any ($2::text[])
      union all select null where exists (select from storage.buckets where id = $1)`,
      [bucket, textArray(keys)],
    ),
  ]);
  const existing = new Set(found?.rows.map(([name]) => name));
  if (!existing.has(null)) throw storageError("bucketNotFound");
  const removed = JSON.parse((await removeObjects(s3.parts, context, bucket, keys)).toString("utf8")) as {
    name: string;
  }[];
  const gone = new Set(removed.map(({ name }) => name));
  const isQuiet = String(document.Quiet ?? "").trim() === "true";
  const isDeleted = (key: string) => gone.has(key) || !existing.has(key);
  return xml("DeleteResult", {
    Deleted: isQuiet ? [] : keys.filter(isDeleted).map((Key) => ({ Key })),
    Error: keys
      .filter((key) => !isDeleted(key))
      .map((Key) => ({ Key, Code: "AccessDenied", Message: "You do not have permission to delete this object" })),
  });
}

export interface CopySource {
  readonly bucket: string;
  readonly key: string;
}

/** `/bucket/key` with escapes, as x-amz-copy-source has it. @throws {StorageError} */
export function parseCopySource(s3: S3Request): CopySource | null {
  const header = s3.amz("x-amz-copy-source");
  if (header === undefined) return null;
  let path: string;
  try {
    path = decodeURIComponent(header.replace(/^\//, "").replace(/\?versionId=.*$/, ""));
  } catch {
    throw storageError("invalidParameter", "Invalid Parameter CopySource");
  }
  const slash = path.indexOf("/");
  if (slash < 1 || slash === path.length - 1) throw storageError("invalidParameter", "Invalid Parameter CopySource");
  return { bucket: path.slice(0, slash), key: path.slice(slash + 1) };
}

/** @throws {StorageError} 412 */
export function checkCopyConditions(s3: S3Request, source: ObjectRow): void {
  const etag = source.metadata?.eTag ?? "";
  const modified = Math.floor(lastModifiedMs(source) / 1000) * 1000;
  const ifMatch = s3.amz("x-amz-copy-source-if-match");
  const ifNoneMatch = s3.amz("x-amz-copy-source-if-none-match");
  const since = s3.amz("x-amz-copy-source-if-modified-since");
  const unmodified = s3.amz("x-amz-copy-source-if-unmodified-since");
  const quoted = (list: string) => (list.includes('"') || list === "*" ? list : `"${list}"`);
  const fails =
    (ifMatch !== undefined && !matches(quoted(ifMatch), etag)) ||
    (ifNoneMatch !== undefined && matches(quoted(ifNoneMatch), etag)) ||
    (ifNoneMatch === undefined && since !== undefined && modified <= Date.parse(since)) ||
    (ifMatch === undefined && unmodified !== undefined && modified > Date.parse(unmodified));
  if (fails) throw storageError("preconditionFailed");
}

export async function copyObjectTo(
  s3: S3Request,
  source: CopySource,
  bucket: string,
  key: string,
): Promise<ServiceResponse> {
  const replaces = s3.amz("x-amz-metadata-directive")?.toUpperCase() === "REPLACE";
  const { headers } = s3.request;
  const metadata: FileMetadata = replaces
    ? { mimetype: headers["content-type"] || DEFAULT_TYPE, cacheControl: headers["cache-control"] ?? "no-cache" }
    : {};
  const context: StorageContext = s3.context("object.copy");
  const row = await copyObject(
    s3.parts,
    context,
    { bucket: source.bucket, name: source.key, toBucket: bucket, toName: checkKey(key) },
    { upsert: true, userMetadata: replaces ? JSON.stringify(s3.userMetadata) : "source", metadata },
    (object) => checkCopyConditions(s3, object),
  );
  const written = row.metadata as FileMetadata | null;
  return xml("CopyObjectResult", { ETag: written?.eTag ?? "", LastModified: written?.lastModified ?? "" });
}

export async function getTagging(s3: S3Request, bucket: string, key: string): Promise<ServiceResponse> {
  await findReadable(s3.context("object.get_tagging"), bucket, key, "caller");
  return xml("Tagging", { TagSet: "" });
}
