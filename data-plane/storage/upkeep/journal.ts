/** The statements by which versions, uploads and buckets come to their end. */
import type { StorageContext } from "../context.ts";
import { textArray } from "../objects/delete.ts";

export interface JournalEntry {
  readonly version: string;
  readonly bucket: string;
  readonly name: string;
}

/** Whatever still names a version keeps it: a row, a resumable upload, a part. */
const IS_NAMED = `(
    exists (select from storage.objects o where o.bucket_id = v.bucket_id and o.name = v.name and o.version = v.version)
    or exists (select from supalove.storage_uploads u where u.version = v.version and u.finished_at is null)
    or exists (select from storage.s3_multipart_uploads_parts p where p.id::text = v.version)
  )`;
const TAKE_EXPIRED = `/* takeExpiredVersions */ with due as (
    select v.version, ${IS_NAMED} as is_named from supalove.storage_versions v
    where v.expires_at < now() order by v.expires_at limit $1 for update skip locked
  ), kept as (
    delete from supalove.storage_versions v using due where v.version = due.version and due.is_named
  )
  update supalove.storage_versions v set state = 'removing', expires_at = now() + interval '10 minutes'
  from due where v.version = due.version and not due.is_named
  returning v.version, v.bucket_id, v.name`;
const FORGET_REMOVED = `/* forgetRemovedVersions */ delete from supalove.storage_versions
  where version = any ($1::text[]) and state = 'removing'`;
const EXPIRE_UPLOADS = `/* expireUploads */ delete from supalove.storage_uploads
  where expires_at < now() and (locked_until is null or locked_until < now())`;
/** An unfinished multipart upload is given up after a week; its parts are trash from then on. */
const EXPIRE_MULTIPART = `/* expireMultipartUploads */ with gone as (
    delete from storage.s3_multipart_uploads where created_at < now() - interval '7 days' returning id
  )
  insert into supalove.storage_versions (version, bucket_id, name, state, expires_at)
  select p.id::text, p.bucket_id, p.key, 'trash', now() from storage.s3_multipart_uploads_parts p join gone on gone.id = p.upload_id
  on conflict (version) do nothing`;
const EMPTYING_BATCH = `/* emptyingBatch */ with wanted as (
    select bucket_id, created_before from supalove.storage_emptying order by bucket_id limit 1 for update skip locked
  ), gone as (
    delete from storage.objects where id in (
      select o.id from storage.objects o join wanted w on o.bucket_id = w.bucket_id and o.created_at < w.created_before limit 1000
    ) returning id
  ), counted as (select count(*) as n from gone), done as (
    delete from supalove.storage_emptying e using wanted w, counted c where e.bucket_id = w.bucket_id and c.n < 1000
  ) select (select n from counted), exists (select from wanted)`;
const FIND_DUE = `/* findDueUpkeep */ select extract(epoch from least(
    (select min(expires_at) from supalove.storage_versions),
    (select min(expires_at) from supalove.storage_uploads),
    (select min(created_at) + interval '7 days' from storage.s3_multipart_uploads)
  ) - now()) * 1000, exists (select from supalove.storage_emptying)`;

/** Takes versions whose time is over; they are the caller's to remove for ten minutes. */
export async function takeExpired(context: StorageContext, limit: number): Promise<JournalEntry[]> {
  const [, result] = await context.run([context.asService(), context.ofService(TAKE_EXPIRED, [String(limit)])]);
  return (result?.rows ?? []).map(([version, bucket, name]) => ({
    version: version ?? "",
    bucket: bucket ?? "",
    name: name ?? "",
  }));
}

export async function forgetRemoved(context: StorageContext, entries: readonly JournalEntry[]): Promise<void> {
  const versions = textArray(entries.map(({ version }) => version));
  await context.run([context.asService(), context.ofService(FORGET_REMOVED, [versions])]);
}

export async function expireUploads(context: StorageContext): Promise<void> {
  await context.run([
    context.asService(),
    context.ofService(EXPIRE_UPLOADS, []),
    context.ofService(EXPIRE_MULTIPART, []),
  ]);
}

/** Deletes up to 1,000 objects of a bucket that is being emptied. @returns Whether there may be more to do. */
export async function emptyingBatch(context: StorageContext): Promise<boolean> {
  const [, result] = await context.run([context.asService(), context.ofService(EMPTYING_BATCH, [])]);
  const [count, found] = result?.rows[0] ?? [];
  return found === "t" && Number(count) > 0;
}

/** Milliseconds until something is to be done; null when there is nothing. */
export async function findDue(context: StorageContext): Promise<number | null> {
  const [, result] = await context.run([context.asService(), context.ofService(FIND_DUE, [])]);
  const [waitMs, isEmptying] = result?.rows[0] ?? [];
  if (isEmptying === "t") return 0;
  return waitMs === null || waitMs === undefined ? null : Number(waitMs);
}
