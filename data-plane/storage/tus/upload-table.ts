/** Resumable uploads as rows of the project's database: found by any process, also after a crash. */
import { createHash } from "node:crypto";
import type { Statement } from "../../database/database.ts";
import type { StorageContext } from "../context.ts";
import { isoTime } from "../sql.ts";

export interface ResumableUpload {
  readonly version: string;
  readonly bucket: string;
  readonly name: string;
  /** Null while it is not known. */
  readonly length: number | null;
  readonly offset: number;
  /** As the client sent it. */
  readonly metadataHeader: string;
  readonly contentType: string | null;
  readonly cacheControl: string;
  /** JSON text. */
  readonly userMetadata: string | null;
  readonly digest: string;
  readonly partCount: number;
  readonly expiresAt: Date;
  readonly isFinished: boolean;
}

export const LIFE_HOURS = 24;
/** Open uploads of a project: each keeps bytes on the disk for as long as a day. */
const MAX_OPEN = 1_000;
const LOCK_SECONDS = 20;

const COLUMNS = `version, bucket_id, name, upload_length, upload_offset, upload_metadata, content_type, cache_control,
  user_metadata, digest, part_count, ${isoTime("expires_at")}, finished_at is not null`;

const CREATE = `/* createUpload */ with allowed as (
    select from storage.buckets
    where id = $2 and ($9::boolean or current_setting('supalove.storage_probe_code', true) = '00000')
      and (select count(*) from supalove.storage_uploads where finished_at is null) < ${MAX_OPEN}
  ), noted as (
    insert into supalove.storage_versions (version, bucket_id, name, state, expires_at)
    select $1, $2, $3, 'pending', now() + interval '${LIFE_HOURS} hours 30 minutes' from allowed
  )
  insert into supalove.storage_uploads (version, bucket_id, name, upload_length, upload_metadata, content_type, cache_control,
    user_metadata, expires_at)
  select $1, $2, $3, $4::bigint, $5, $6, $7, $8::jsonb, now() + interval '${LIFE_HOURS} hours' from allowed
  returning ${COLUMNS}`;
const FIND = `/* findUpload */ select ${COLUMNS} from supalove.storage_uploads where version = $1 and bucket_id = $2 and name = $3`;
const LOCK = `/* lockUpload */ update supalove.storage_uploads
  set locked_by = $2, locked_until = now() + interval '${LOCK_SECONDS} seconds', wanted_by = null
  where version = $1 and (locked_by is null or locked_until < now()) returning ${COLUMNS}`;
const WANT =
  "/* wantUpload */ update supalove.storage_uploads set wanted_by = $2 where version = $1 and locked_by is not null";
const KEEP = `/* keepUploadLocked */ update supalove.storage_uploads set locked_until = now() + interval '${LOCK_SECONDS} seconds'
  where version = $1 and locked_by = $2 returning wanted_by`;
const SAVE = `/* saveUpload */ update supalove.storage_uploads
  set upload_offset = $3::bigint, digest = $4, part_count = $5::integer, upload_length = $6::bigint
  where version = $1 and locked_by = $2 returning version`;
const UNLOCK =
  "/* unlockUpload */ update supalove.storage_uploads set locked_by = null, locked_until = null where version = $1 and locked_by = $2";
const FINISH = `/* finishUpload */ update supalove.storage_uploads
  set finished_at = now(), expires_at = now() + interval '1 hour', locked_by = null, locked_until = null where version = $1`;
const REMOVE = `/* removeUpload */ with gone as (
    delete from supalove.storage_uploads where version = $1 and finished_at is null returning version
  ) update supalove.storage_versions v set expires_at = now() from gone where v.version = gone.version and v.state = 'pending'`;

export interface NewUpload {
  readonly version: string;
  readonly bucket: string;
  readonly name: string;
  readonly length: number | null;
  readonly metadataHeader: string;
  readonly contentType: string | null;
  readonly cacheControl: string;
  readonly userMetadata: string;
}

/** @param isAllowed Decided already; else by a statement before this one, which has tried the write. */
export function createStatement(context: StorageContext, upload: NewUpload, isAllowed: boolean): Statement {
  return context.ofService(CREATE, [
    ...[upload.version, upload.bucket, upload.name, upload.length === null ? null : String(upload.length)],
    ...[upload.metadataHeader, upload.contentType, upload.cacheControl, upload.userMetadata, String(isAllowed)],
  ]);
}

export function findStatement(context: StorageContext, { version, bucket, name }: UploadId): Statement {
  return context.ofService(FIND, [version, bucket, name]);
}

export interface UploadId {
  readonly version: string;
  readonly bucket: string;
  readonly name: string;
}

/** @returns Null while somebody else writes. */
export async function tryLock(
  context: StorageContext,
  version: string,
  holder: string,
): Promise<ResumableUpload | null> {
  const [, result] = await context.run([context.asService(), context.ofService(LOCK, [version, holder])]);
  return readUpload(result?.rows[0]);
}

/** Asks whoever writes to let go. */
export async function wantLock(context: StorageContext, version: string, holder: string): Promise<void> {
  await context.run([context.asService(), context.ofService(WANT, [version, holder])]);
}

/** @returns `lost`: it is not ours any more; `wanted`: somebody waits for it. */
export async function keepLock(
  context: StorageContext,
  version: string,
  holder: string,
): Promise<"kept" | "wanted" | "lost"> {
  const [, result] = await context.run([context.asService(), context.ofService(KEEP, [version, holder])]);
  const row = result?.rows[0];
  if (!row) return "lost";
  return row[0] === null ? "kept" : "wanted";
}

/** @returns False when the lock is not ours any more: nothing was saved. */
export async function saveProgress(
  context: StorageContext,
  {
    version,
    offset,
    digest,
    partCount,
    length,
  }: Pick<ResumableUpload, "version" | "offset" | "digest" | "partCount" | "length">,
  holder: string,
): Promise<boolean> {
  const values = [version, holder, String(offset), digest, String(partCount), length === null ? null : String(length)];
  const [, result] = await context.run([context.asService(), context.ofService(SAVE, values)]);
  return result?.rowCount === 1;
}

export async function unlock(context: StorageContext, version: string, holder: string): Promise<void> {
  await context.run([context.asService(), context.ofService(UNLOCK, [version, holder])]).catch(() => {});
}

export function finishStatement(context: StorageContext, version: string): Statement {
  return context.ofService(FINISH, [version]);
}

export function removeStatement(context: StorageContext, version: string): Statement {
  return context.ofService(REMOVE, [version]);
}

export function readUpload(row: readonly (string | null)[] | undefined): ResumableUpload | null {
  if (!row) return null;
  const [version, bucket, name, length, offset, metadataHeader, contentType, cacheControl, userMetadata, ...rest] = row;
  const [digest, partCount, expiresAt, isFinished] = rest;
  return {
    version: version ?? "",
    bucket: bucket ?? "",
    name: name ?? "",
    length: length === null || length === undefined ? null : Number(length),
    offset: Number(offset),
    metadataHeader: metadataHeader ?? "",
    contentType: contentType ?? null,
    cacheControl: cacheControl ?? "no-cache",
    userMetadata: userMetadata ?? null,
    digest: digest ?? "",
    partCount: Number(partCount),
    expiresAt: new Date(expiresAt ?? 0),
    isFinished: isFinished === "t",
  };
}

/** The entity tag grows with each piece; a single one has that of its bytes. @param md5 Of the piece, in hex. */
export function addPiece(
  { digest, partCount }: Pick<ResumableUpload, "digest" | "partCount">,
  md5: string,
): Pick<ResumableUpload, "digest" | "partCount"> {
  if (partCount === 0) return { digest: md5, partCount: 1 };
  return { digest: createHash("md5").update(digest).update(md5).digest("hex"), partCount: partCount + 1 };
}

export function etagOf({ digest, partCount }: Pick<ResumableUpload, "digest" | "partCount">): string {
  const hex = partCount === 0 ? createHash("md5").digest("hex") : digest;
  return partCount <= 1 ? `"${hex}"` : `"${hex}-${partCount}"`;
}
