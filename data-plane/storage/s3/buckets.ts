/** Buckets and lists of objects, as S3 shows them. */
import type { ServiceResponse } from "../../service.ts";
import { insertBucket, removeBucket } from "../buckets/buckets.ts";
import { storageError } from "../errors.ts";
import { checkNewBucketName } from "../names.ts";
import { isoTime } from "../sql.ts";
import { empty, isoOf, xml } from "./answers.ts";
import type { S3Request } from "./s3-request.ts";
import { encodeRfc3986 } from "./signature.ts";
import type { XmlElements } from "./xml.ts";

const REGION = "us-east-1";
const LIST_BUCKETS = `/* s3ListBuckets */ select b.name, ${isoTime("b.created_at")} from storage.buckets b order by b.name limit 10000`;
const HEAD_BUCKET = "/* s3HeadBucket */ select id from storage.buckets where id = $1";

export async function listBuckets(s3: S3Request): Promise<ServiceResponse> {
  const context = s3.context("bucket.list");
  const [, result] = await context.run([context.asCaller(), context.ofCaller(LIST_BUCKETS, [])]);
  const owner = { ID: context.project.projectRef, DisplayName: context.project.projectRef };
  const buckets = (result?.rows ?? []).map(([name, created]) => ({ Name: name, CreationDate: created }));
  return xml("ListAllMyBucketsResult", { Owner: owner, Buckets: { Bucket: buckets } });
}

export async function createBucket(s3: S3Request, name: string): Promise<ServiceResponse> {
  checkNewBucketName(name);
  const isPublic = s3.amz("x-amz-acl") === "public-read";
  if (s3.hasBody) await s3.readXml("CreateBucketConfiguration").catch(ignoreEmpty);
  const context = s3.context("bucket.create");
  await insertBucket(context, { id: name, name, isPublic, limit: null, types: null });
  return empty(200, [["location", `/${name}`]]);
}

function ignoreEmpty(error: { readonly kind?: string }): void {
  if (error.kind !== "malformedXml") throw error;
}

export async function deleteBucket(s3: S3Request, name: string): Promise<ServiceResponse> {
  await removeBucket(s3.context("bucket.delete"), name);
  return empty(204);
}

export async function headBucket(s3: S3Request, name: string): Promise<ServiceResponse> {
  await requireBucket(s3, name, "bucket.head");
  return { status: 200, headers: [["x-amz-bucket-region", REGION]], body: null };
}

/** @throws {StorageError} NoSuchBucket, also where the caller does not see it. */
async function requireBucket(s3: S3Request, name: string, operation: string): Promise<void> {
  const context = s3.context(operation);
  const [, result] = await context.run([context.asCaller(), context.ofCaller(HEAD_BUCKET, [name])]);
  if (result?.rowCount === 0) throw storageError("bucketNotFound");
}

export async function getLocation(s3: S3Request, name: string): Promise<ServiceResponse> {
  await requireBucket(s3, name, "bucket.get_location");
  return {
    ...xml("LocationConstraint", {}),
    body: `<?xml version="1.0" encoding="UTF-8"?>\n<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${REGION}</LocationConstraint>`,
  };
}

export async function getVersioning(s3: S3Request, name: string): Promise<ServiceResponse> {
  await requireBucket(s3, name, "bucket.get_versioning");
  return xml("VersioningConfiguration", { Status: "Suspended" });
}

const MAX_KEYS = 1000;
const LIST = `/* s3ListObjects */ select l.id is null, l.name, l.metadata ->> 'eTag', l.metadata ->> 'size',
    coalesce(l.metadata ->> 'lastModified', ${isoTime("l.updated_at")})
  from storage.list_objects_with_delimiter($1, $2, $3, $4, $5, $6) l`;

interface Page {
  readonly prefix: string;
  readonly delimiter: string;
  readonly maxKeys: number;
  readonly encodes: boolean;
  readonly isTruncated: boolean;
  /** The last entry: a key, or a common prefix. */
  readonly last: string;
  readonly elements: XmlElements;
  readonly count: number;
}

/** @param startAfter A key. @param token The last entry of the page before; empty at the beginning. */
async function readPage(s3: S3Request, bucket: string, startAfter: string, token: string): Promise<Page> {
  const { query } = s3;
  const prefix = query.get("prefix") ?? "";
  const delimiter = query.get("delimiter") ?? "";
  const asked = query.get("max-keys");
  const maxKeys = asked === undefined || asked === "" ? MAX_KEYS : Math.min(Number(asked), MAX_KEYS);
  if (!Number.isInteger(maxKeys) || maxKeys < 0) throw storageError("invalidParameter", "Invalid Parameter max-keys");
  const encodes = query.get("encoding-type") === "url";
  const show = (text: string) => (encodes ? encodeRfc3986(text).replaceAll("%2F", "/") : text);
  const context = s3.context("object.list");
  const values = [bucket, prefix, delimiter, String(maxKeys + 1), startAfter, token];
  const [, found, result] = await context.run([
    context.asCaller(),
    context.ofCaller(HEAD_BUCKET, [bucket]),
    context.ofCaller(LIST, values),
  ]);
  if (found?.rowCount === 0) throw storageError("bucketNotFound");
  const rows = maxKeys === 0 ? [] : (result?.rows ?? []);
  const page = rows.slice(0, maxKeys);
  const contents = page
    .filter(([isPrefix]) => isPrefix !== "t")
    .map(([, name, etag, size, modified]) => ({
      Key: show(name ?? ""),
      LastModified: isoOf(modified ?? ""),
      ETag: etag ?? "",
      Size: Number(size ?? 0),
      StorageClass: "STANDARD",
    }));
  const prefixes = page.filter(([isPrefix]) => isPrefix === "t").map(([, name]) => ({ Prefix: show(name ?? "") }));
  return {
    ...{ prefix, delimiter, maxKeys, encodes, isTruncated: rows.length > maxKeys },
    last: page.at(-1)?.[1] ?? "",
    elements: { Contents: contents, CommonPrefixes: prefixes },
    count: page.length,
  };
}

export async function listObjectsV2(s3: S3Request, bucket: string): Promise<ServiceResponse> {
  const { query } = s3;
  const token = query.get("continuation-token");
  const startAfter = query.get("start-after") ?? "";
  const resumed = token === undefined ? "" : decodeToken(token);
  const page = await readPage(s3, bucket, startAfter, resumed);
  return xml("ListBucketResult", {
    Name: bucket,
    Prefix: page.prefix,
    Delimiter: page.delimiter === "" ? undefined : page.delimiter,
    StartAfter: startAfter === "" ? undefined : startAfter,
    MaxKeys: page.maxKeys,
    KeyCount: page.count,
    IsTruncated: page.isTruncated,
    EncodingType: page.encodes ? "url" : undefined,
    ContinuationToken: token,
    NextContinuationToken: page.isTruncated ? encodeToken(page.last) : undefined,
    ...page.elements,
  });
}

export async function listObjects(s3: S3Request, bucket: string): Promise<ServiceResponse> {
  const marker = s3.query.get("marker") ?? "";
  // A marker that is a common prefix stands for all that is below it.
  const page = await readPage(s3, bucket, "", marker);
  const show = (text: string) => (page.encodes ? encodeRfc3986(text).replaceAll("%2F", "/") : text);
  return xml("ListBucketResult", {
    Name: bucket,
    Prefix: page.prefix,
    Marker: marker,
    NextMarker: page.isTruncated && page.delimiter !== "" ? show(page.last) : undefined,
    MaxKeys: page.maxKeys,
    Delimiter: page.delimiter === "" ? undefined : page.delimiter,
    IsTruncated: page.isTruncated,
    EncodingType: page.encodes ? "url" : undefined,
    ...page.elements,
  });
}

function encodeToken(last: string): string {
  return Buffer.from(`l:${last}`).toString("base64");
}

function decodeToken(token: string): string {
  const text = Buffer.from(token, "base64").toString("utf8");
  if (!text.startsWith("l:") || text.includes("\0"))
    throw storageError("invalidParameter", "Invalid Parameter continuation token");
  return text.slice(2);
}
