/** Rows of buckets and objects as the service needs them, and the statements that read them. */
import type { Statement, StatementResult } from "../../database/database.ts";
import type { StorageContext } from "../context.ts";
import { storageError } from "../errors.ts";
import { isoTime } from "../sql.ts";

export interface Bucket {
  readonly id: string;
  readonly isPublic: boolean;
  /** Null: the project's limit alone. */
  readonly fileSizeLimit: number | null;
  readonly allowedMimeTypes: readonly string[] | null;
}

/** What the service writes into `storage.objects.metadata`; rows written by SQL may hold anything. */
export interface FileMetadata {
  readonly eTag?: string;
  readonly size?: number;
  readonly mimetype?: string;
  readonly cacheControl?: string;
  /** ISO. */
  readonly lastModified?: string;
  readonly contentLength?: number;
  readonly httpStatusCode?: number;
  readonly xRobotsTag?: string;
}

export interface ObjectRow {
  readonly id: string;
  readonly bucket: string;
  readonly name: string;
  readonly version: string | null;
  readonly metadata: FileMetadata | null;
  /** JSON as it is stored. */
  readonly userMetadata: unknown;
  readonly createdAt: string;
  readonly updatedAt: string;
}

const BUCKET_COLUMNS = "b.id, b.public, b.file_size_limit, to_json(b.allowed_mime_types)";
const OBJECT_COLUMNS = `o.id, o.bucket_id, o.name, o.version, o.metadata, o.user_metadata, ${isoTime("o.created_at")}, ${isoTime("o.updated_at")}`;

const FIND_BUCKET = `/* findBucket */ select ${BUCKET_COLUMNS}, (select sum(bytes) from supalove.storage_usage)
  from storage.buckets b where b.id = $1`;
const FIND_BUCKET_AND_OBJECT = `/* findBucketAndObject */ select ${BUCKET_COLUMNS}, null, ${OBJECT_COLUMNS}
  from storage.buckets b left join storage.objects o on o.bucket_id = b.id and o.name = $2 where b.id = $1`;
const FIND_OBJECT = `/* findObject */ select ${OBJECT_COLUMNS} from storage.objects o where o.bucket_id = $1 and o.name = $2`;
const IS_VISIBLE = "/* isObjectVisible */ select o.id from storage.objects o where o.bucket_id = $1 and o.name = $2";
const BUCKET_WIDTH = 5;

export function findBucket(context: StorageContext, bucket: string): Statement {
  return context.ofService(FIND_BUCKET, [bucket]);
}

/** As the service. */
export function findBucketAndObject(context: StorageContext, bucket: string, name: string): Statement {
  return context.ofService(FIND_BUCKET_AND_OBJECT, [bucket, name]);
}

export function findObjectAsService(context: StorageContext, bucket: string, name: string): Statement {
  return context.ofService(FIND_OBJECT, [bucket, name]);
}

export function findObjectAsCaller(context: StorageContext, bucket: string, name: string): Statement {
  return context.ofCaller(FIND_OBJECT, [bucket, name]);
}

/** Answers a row when the caller may see the object. */
export function isVisible(context: StorageContext, bucket: string, name: string): Statement {
  return context.ofCaller(IS_VISIBLE, [bucket, name]);
}

type Values = readonly (string | null)[];

/** @throws {StorageError} NoSuchBucket */
export function readBucket(result: StatementResult | undefined): Bucket {
  const row = result?.rows[0];
  if (!row) throw storageError("bucketNotFound");
  return bucketOf(row);
}

/** Bytes of all objects of the project, as {@link findBucket} answers them. */
export function readUsedBytes(result: StatementResult | undefined): number {
  return Number(result?.rows[0]?.[BUCKET_WIDTH - 1] ?? 0);
}

export function readBucketAndObject(result: StatementResult | undefined): { bucket: Bucket; object: ObjectRow | null } {
  const row = result?.rows[0];
  if (!row) throw storageError("bucketNotFound");
  const values = row.slice(BUCKET_WIDTH);
  return { bucket: bucketOf(row), object: values[0] === null ? null : objectOf(values) };
}

export function readObject(result: StatementResult | undefined): ObjectRow | null {
  const row = result?.rows[0];
  return row ? objectOf(row) : null;
}

function bucketOf([id, isPublic, fileSizeLimit, allowedMimeTypes]: Values): Bucket {
  return {
    id: id ?? "",
    isPublic: isPublic === "t",
    fileSizeLimit: fileSizeLimit === null || fileSizeLimit === undefined ? null : Number(fileSizeLimit),
    allowedMimeTypes: allowedMimeTypes ? JSON.parse(allowedMimeTypes) : null,
  };
}

function objectOf([id, bucket, name, version, metadata, userMetadata, createdAt, updatedAt]: Values): ObjectRow {
  return {
    id: id ?? "",
    bucket: bucket ?? "",
    name: name ?? "",
    version: version ?? null,
    metadata: metadata ? parseMetadata(metadata) : null,
    userMetadata: userMetadata ? JSON.parse(userMetadata) : null,
    createdAt: createdAt ?? "",
    updatedAt: updatedAt ?? "",
  };
}

/** Only members of the expected types: the row may have been written by hand. */
function parseMetadata(text: string): FileMetadata | null {
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const given = value as Record<string, unknown>;
  const kept: Record<string, unknown> = {};
  for (const name of ["eTag", "mimetype", "cacheControl", "lastModified", "xRobotsTag"]) {
    if (typeof given[name] === "string") kept[name] = given[name];
  }
  for (const name of ["size", "contentLength", "httpStatusCode"]) {
    if (typeof given[name] === "number") kept[name] = given[name];
  }
  return kept as FileMetadata;
}

/** The most that an object of the bucket may have, in bytes. */
export function sizeLimit(context: StorageContext, bucket: Bucket): number {
  return Math.min(context.project.storage.fileSizeLimitBytes, bucket.fileSizeLimit ?? Number.POSITIVE_INFINITY);
}
