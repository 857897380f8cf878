/**
 * Multipart uploads. Parts are staged files, each known by its row's id; completing makes one object of them. Who may write
 * the object is asked each time, as the caller.
 */
import { createHash, randomUUID } from "node:crypto";
import type { ServiceResponse } from "../../service.ts";
import type { ObjectAddress } from "../backend/backend.ts";
import type { StorageContext } from "../context.ts";
import { findBucket, readBucket, readUsedBytes } from "../database/rows.ts";
import { storageError } from "../errors.ts";
import { ownerUuid } from "../identity.ts";
import { checkKey } from "../names.ts";
import { findReadable, openObject } from "../objects/download.ts";
import {
  checkLimits,
  fileMetadata,
  forgetVersions,
  probeUpload,
  readProbe,
  renewLease,
  reserveVersion,
  undo,
} from "../objects/upload.ts";
import { isoTime } from "../sql.ts";
import { empty, isoOf, xml } from "./answers.ts";
import { openBody } from "./body.ts";
import { type CopySource, checkCopyConditions, descriptionOf } from "./objects.ts";
import type { S3Request } from "./s3-request.ts";
import { malformed } from "./xml.ts";

const MAX_PART_NUMBER = 10_000;
/** Open uploads of a project: each keeps parts on the disk until it is completed, aborted or a week old. */
const MAX_OPEN_UPLOADS = 1_000;

interface Upload {
  readonly id: string;
  readonly version: string;
  readonly contentType: string;
  readonly cacheControl: string;
  /** JSON text. */
  readonly userMetadata: string | null;
  readonly uploadedBytes: number;
}

const CREATE = `/* createMultipartUpload */ insert into storage.s3_multipart_uploads
    (id, upload_signature, bucket_id, key, version, owner_id, user_metadata, metadata)
  select $1, '', $2, $3, $4, $5, $6::jsonb, $7::jsonb
  where exists (select from storage.buckets where id = $2)
    and current_setting('supalove.storage_probe_code', true) = '00000'
    and (select count(*) from storage.s3_multipart_uploads) < ${MAX_OPEN_UPLOADS}
  returning id`;
const FIND = `/* findMultipartUpload */ select u.id, u.version, u.metadata ->> 'mimetype', u.metadata ->> 'cacheControl', u.user_metadata,
    (select coalesce(sum(size), 0) from storage.s3_multipart_uploads_parts p where p.upload_id = u.id and p.part_number <> $4)
  from storage.s3_multipart_uploads u where u.id = $1 and u.bucket_id = $2 and u.key = $3`;
const ADD_PART = `/* addPart */ with claimed as (
    delete from supalove.storage_versions where version = $1 and state = 'pending' returning version
  ), replaced as (
    delete from storage.s3_multipart_uploads_parts where upload_id = $2 and part_number = $3 and exists (select from claimed)
    returning id, bucket_id, key
  ), trash as (
    insert into supalove.storage_versions (version, bucket_id, name, state, expires_at)
    select id::text, bucket_id, key, 'trash', now() from replaced on conflict (version) do nothing
  )
  insert into storage.s3_multipart_uploads_parts (id, upload_id, part_number, size, bucket_id, key, etag, owner_id, version)
  select version::uuid, $2, $3::integer, $4::bigint, $5, $6, $7, $8, $9 from claimed returning id`;
const FIND_PARTS = `/* findParts */ select distinct on (part_number) part_number, id, size, etag
  from storage.s3_multipart_uploads_parts where upload_id = $1 order by part_number, created_at desc`;
const REMOVE_UPLOAD = `with gone as (
    delete from storage.s3_multipart_uploads where id = $1 and bucket_id = $2 and key = $3 returning id
  ), trash as (
    insert into supalove.storage_versions (version, bucket_id, name, state, expires_at)
    select p.id::text, p.bucket_id, p.key, 'trash', now()
    from storage.s3_multipart_uploads_parts p join gone on gone.id = p.upload_id
    on conflict (version) do nothing
  )`;
const COMPLETE = `/* completeMultipartUpload */ ${REMOVE_UPLOAD}, claimed as (
    delete from supalove.storage_versions where version = $4 and state = 'pending' and exists (select from gone) returning version
  )
  insert into storage.objects as o (bucket_id, name, owner, owner_id, metadata, user_metadata, version)
  select $2, $3, $5::uuid, $6, $7::jsonb, $8::jsonb, version from claimed
  on conflict (bucket_id, name) do update set
    metadata = excluded.metadata, user_metadata = excluded.user_metadata, version = excluded.version,
    owner = case when excluded.owner_id is null then o.owner else excluded.owner end,
    owner_id = coalesce(excluded.owner_id, o.owner_id)
  returning o.id`;
const ABORT = `/* abortMultipartUpload */ ${REMOVE_UPLOAD} select id from gone`;

export async function createUpload(s3: S3Request, bucket: string, key: string): Promise<ServiceResponse> {
  const name = checkKey(key);
  const context = s3.context("upload.create_multipart");
  const description = descriptionOf(s3);
  const owner = context.caller.subject;
  const { contentType, cacheControl, userMetadata } = description;
  const id = randomUUID();
  const metadata = JSON.stringify({ mimetype: contentType, cacheControl });
  const [, probe, , bucketResult, created] = await context.run([
    context.asCaller(),
    probeUpload(context, { bucket, name, owner, upsert: true, contentType, announcedBytes: undefined, userMetadata }),
    context.asService(),
    findBucket(context, bucket),
    context.ofService(CREATE, [id, bucket, name, randomUUID(), owner, userMetadata, metadata]),
  ]);
  const found = readBucket(bucketResult);
  checkLimits(context, found, readUsedBytes(bucketResult), { name, contentType, bytes: undefined });
  readProbe(probe);
  if (created?.rowCount !== 1) throw storageError("tooManyUploads");
  s3.parts.upkeep.noteWork(context.project.projectRef);
  return xml("InitiateMultipartUploadResult", { Bucket: bucket, Key: key, UploadId: id });
}

/** The upload, the bucket's limits and the right to write, in one look. @throws {StorageError} */
async function admit(
  context: StorageContext,
  bucket: string,
  key: string,
  uploadId: string,
  part: { readonly number: number; readonly bytes: number | undefined; readonly reserve: string | null },
): Promise<{ readonly upload: Upload; readonly maxBytes: number }> {
  const owner = context.caller.subject;
  const probed = { bucket, name: key, owner, upsert: true, contentType: undefined, announcedBytes: part.bytes };
  const [, probe, , bucketResult, uploadResult] = await context.run([
    context.asCaller(),
    probeUpload(context, { ...probed, userMetadata: null }),
    context.asService(),
    findBucket(context, bucket),
    context.ofService(FIND, [uploadId, bucket, key, String(part.number)]),
    ...(part.reserve === null ? [] : [reserveVersion(context, { version: part.reserve, bucket, name: key }, true)]),
  ]);
  try {
    const found = readBucket(bucketResult);
    const row = uploadResult?.rows[0];
    if (!row) throw storageError("uploadNotFound");
    readProbe(probe);
    const [id, version, contentType, cacheControl, userMetadata, uploaded] = row;
    const upload: Upload = {
      id: id ?? "",
      version: version ?? "",
      contentType: contentType ?? "application/octet-stream",
      cacheControl: cacheControl ?? "no-cache",
      userMetadata: userMetadata ?? null,
      uploadedBytes: Number(uploaded),
    };
    const bytes = part.bytes === undefined ? undefined : upload.uploadedBytes + part.bytes;
    const { maxBytes } = checkLimits(context, found, readUsedBytes(bucketResult), {
      name: key,
      contentType: undefined,
      bytes,
    });
    return { upload, maxBytes: maxBytes - upload.uploadedBytes };
  } catch (error) {
    if (part.reserve !== null) await forgetVersions(context, [part.reserve]);
    throw error;
  }
}

function partNumberOf(s3: S3Request): number {
  const number = Number(s3.query.get("partNumber"));
  if (!Number.isInteger(number) || number < 1 || number > MAX_PART_NUMBER) {
    throw storageError("invalidParameter", "Invalid Parameter partNumber");
  }
  return number;
}

/** @returns The part's entity tag. */
async function storePart(
  s3: S3Request,
  context: StorageContext,
  bucket: string,
  key: string,
  bytes: number | undefined,
  body: AsyncIterable<Buffer>,
): Promise<string> {
  const { parts } = s3;
  const number = partNumberOf(s3);
  const uploadId = s3.query.get("uploadId") ?? "";
  const version = randomUUID();
  const project = context.project.projectRef;
  const leave = parts.uploads.enter(project);
  try {
    parts.upkeep.noteWork(project);
    const { upload, maxBytes } = await admit(context, bucket, key, uploadId, { number, bytes, reserve: version });
    const stopRenewing = renewLease(context, [version]);
    try {
      const written = await parts.staging.write(project, version, body, { maxBytes, declaredBytes: bytes });
      const etag = `"${written.md5}"`;
      const [, added] = await context.run([
        context.asService(),
        context.ofService(ADD_PART, [
          ...[version, uploadId, String(number), String(written.bytes), bucket, key, etag],
          ...[context.caller.subject, upload.version],
        ]),
      ]);
      if (added?.rowCount !== 1) throw storageError("uploadNotFound");
      return etag;
    } catch (error) {
      await parts.staging.remove(project, version);
      await forgetVersions(context, [version]);
      throw error;
    } finally {
      stopRenewing();
    }
  } finally {
    leave();
  }
}

export async function uploadPart(s3: S3Request, bucket: string, key: string): Promise<ServiceResponse> {
  const context = s3.context("upload.part");
  const body = openBody(s3.request, s3.verified);
  if (body.bytes === undefined) throw storageError("missingContentLength");
  const etag = await storePart(s3, context, bucket, key, body.bytes, body.stream);
  return empty(200, [["etag", etag]]);
}

export async function uploadPartCopy(
  s3: S3Request,
  source: CopySource,
  bucket: string,
  key: string,
): Promise<ServiceResponse> {
  const context = s3.context("upload.part_copy");
  const find = () => findReadable(context, source.bucket, source.key, "caller", { policiesEvenIfPublic: true });
  const object = await find();
  checkCopyConditions(s3, object);
  const { bytes: opened } = await openObject(s3.parts, context, object, find);
  const range = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(s3.amz("x-amz-copy-source-range") ?? "");
  const start = range ? Number(range[1]) : 0;
  const end = range ? Number(range[2]) : opened.bytes - 1;
  if (start > end + 1 || end >= opened.bytes) {
    await opened.close();
    throw storageError("invalidRange");
  }
  const length = end - start + 1;
  const etag = await storePart(s3, context, bucket, key, length, opened.read(start, length)).finally(() =>
    opened.close(),
  );
  return xml("CopyPartResult", { ETag: etag, LastModified: new Date().toISOString() });
}

interface Part {
  readonly number: number;
  readonly id: string;
  readonly bytes: number;
  readonly etag: string;
}

export async function completeUpload(s3: S3Request, bucket: string, key: string): Promise<ServiceResponse> {
  const { parts } = s3;
  const context = s3.context("upload.complete_multipart");
  const uploadId = s3.query.get("uploadId") ?? "";
  const wanted = s3.hasBody ? readPartList(await s3.readXml("CompleteMultipartUpload")) : [];
  const project = context.project.projectRef;
  const address: ObjectAddress = { project, bucket, name: key, version: randomUUID() };
  parts.upkeep.noteWork(project);
  const { upload, maxBytes } = await admit(context, bucket, key, uploadId, {
    ...{ number: 0, bytes: undefined, reserve: address.version },
  });
  const stopRenewing = renewLease(context, [address.version]);
  try {
    const [, found] = await context.run([context.asService(), context.ofService(FIND_PARTS, [uploadId])]);
    const uploaded = (found?.rows ?? []).map(([number, id, bytes, etag]): Part => {
      return { number: Number(number), id: id ?? "", bytes: Number(bytes), etag: etag ?? "" };
    });
    const chosen = choose(uploaded, wanted);
    const bytes = chosen.reduce((sum, part) => sum + part.bytes, 0);
    if (bytes > maxBytes + upload.uploadedBytes) throw storageError("tooLarge");
    await parts.backend.publish(
      address,
      chosen.map(({ id }) => id),
    );
    const etag = joinedEtag(chosen.map((part) => part.etag));
    const owner = context.caller.subject;
    const metadata = fileMetadata({ bytes }, etag, { ...upload, robotsTag: null });
    const [, written] = await context.run([
      context.asService(),
      context.ofService(COMPLETE, [
        ...[uploadId, bucket, key, address.version, ownerUuid(owner), owner, JSON.stringify(metadata)],
        upload.userMetadata,
      ]),
    ]);
    if (written?.rowCount !== 1) throw storageError("uploadNotFound");
    const location = `${context.request.publicUrl}/storage/v1/s3/${bucket}/${key}`;
    return xml("CompleteMultipartUploadResult", { Location: location, Bucket: bucket, Key: key, ETag: etag });
  } catch (error) {
    await undo(parts, context, address, error);
    throw error;
  } finally {
    stopRenewing();
  }
}

interface WantedPart {
  readonly number: number;
  readonly etag: string;
}

function readPartList(document: Readonly<Record<string, unknown>>): WantedPart[] {
  return ((document.Part ?? []) as readonly { readonly PartNumber?: unknown; readonly ETag?: unknown }[]).map(
    (part) => {
      const number = Number(part.PartNumber);
      if (!Number.isInteger(number) || typeof part.ETag !== "string") throw malformed();
      return { number, etag: part.ETag.trim().replaceAll('"', "") };
    },
  );
}

/** An empty list means all that were uploaded. @throws {StorageError} */
function choose(uploaded: readonly Part[], wanted: readonly WantedPart[]): readonly Part[] {
  if (wanted.length === 0) {
    if (uploaded.length === 0) throw malformed();
    return uploaded;
  }
  const byNumber = new Map(uploaded.map((part) => [part.number, part]));
  let last = 0;
  return wanted.map(({ number, etag }) => {
    if (number <= last) throw storageError("invalidPartOrder");
    last = number;
    const part = byNumber.get(number);
    if (!part || part.etag.replaceAll('"', "") !== etag) throw storageError("invalidPart");
    return part;
  });
}

/** MD5 over the parts' MD5s, and their number. @param etags With quotes. */
export function joinedEtag(etags: readonly string[]): string {
  const hash = createHash("md5");
  for (const etag of etags) hash.update(Buffer.from(etag.replaceAll('"', ""), "hex"));
  return `"${hash.digest("hex")}-${etags.length}"`;
}

export async function abortUpload(s3: S3Request, bucket: string, key: string): Promise<ServiceResponse> {
  const context = s3.context("upload.abort_multipart");
  const uploadId = s3.query.get("uploadId") ?? "";
  await admit(context, bucket, key, uploadId, { number: 0, bytes: undefined, reserve: null });
  await context.run([context.asService(), context.ofService(ABORT, [uploadId, bucket, key])]);
  s3.parts.upkeep.noteWork(context.project.projectRef);
  return empty(204);
}

const LIST_PARTS = `/* listParts */ select part_number, size, etag, ${isoTime("created_at")} from (
    select distinct on (part_number) * from storage.s3_multipart_uploads_parts
    where upload_id = $1 and part_number > $2 order by part_number, created_at desc
  ) p order by part_number limit $3`;

/** As the caller: the tables have no policies, so only a service key sees rows. */
export async function listParts(s3: S3Request, bucket: string, key: string): Promise<ServiceResponse> {
  const context = s3.context("upload.list_parts");
  const uploadId = s3.query.get("uploadId") ?? "";
  const marker = Number(s3.query.get("part-number-marker") ?? 0) || 0;
  const maxParts = Math.min(Number(s3.query.get("max-parts") ?? 1000) || 1000, 1000);
  const [, found, , result] = await context.run([
    context.asService(),
    context.ofService(FIND, [uploadId, bucket, key, "0"]),
    context.asCaller(),
    context.ofCaller(LIST_PARTS, [uploadId, String(marker), String(maxParts + 1)]),
  ]);
  if (found?.rowCount !== 1) throw storageError("uploadNotFound");
  const rows = (result?.rows ?? []).slice(0, maxParts);
  const isTruncated = (result?.rows.length ?? 0) > maxParts;
  return xml("ListPartsResult", {
    Bucket: bucket,
    Key: key,
    UploadId: uploadId,
    PartNumberMarker: marker,
    NextPartNumberMarker: isTruncated ? (rows.at(-1)?.[0] ?? "") : undefined,
    MaxParts: maxParts,
    IsTruncated: isTruncated,
    Part: rows.map(([number, size, etag, created]) => ({
      PartNumber: number,
      LastModified: isoOf(created ?? ""),
      ETag: etag,
      Size: size,
    })),
  });
}

const LIST_UPLOADS = `/* listMultipartUploads */ select key, id, ${isoTime("created_at")}
  from storage.list_multipart_uploads_with_delimiter($1, $2, $3, $4, $5, $6)`;

export async function listUploads(s3: S3Request, bucket: string): Promise<ServiceResponse> {
  const context = s3.context("upload.list_multipart");
  const { query } = s3;
  const prefix = query.get("prefix") ?? "";
  const delimiter = query.get("delimiter") ?? "";
  const keyMarker = query.get("key-marker") ?? "";
  const idMarker = query.get("upload-id-marker") ?? "";
  const maxUploads = Math.min(Number(query.get("max-uploads") ?? 1000) || 1000, 1000);
  const [, bucketResult, , result] = await context.run([
    context.asService(),
    findBucket(context, bucket),
    context.asCaller(),
    context.ofCaller(LIST_UPLOADS, [bucket, prefix, delimiter, String(maxUploads + 1), keyMarker, idMarker]),
  ]);
  readBucket(bucketResult);
  const rows = (result?.rows ?? []).slice(0, maxUploads);
  const isTruncated = (result?.rows.length ?? 0) > maxUploads;
  const last = rows.at(-1);
  return xml("ListMultipartUploadsResult", {
    Bucket: bucket,
    KeyMarker: keyMarker,
    UploadIdMarker: idMarker,
    NextKeyMarker: isTruncated ? (last?.[0] ?? "") : undefined,
    NextUploadIdMarker: isTruncated ? (last?.[1] ?? "") : undefined,
    Prefix: prefix,
    Delimiter: delimiter === "" ? undefined : delimiter,
    MaxUploads: maxUploads,
    IsTruncated: isTruncated,
    Upload: rows
      .filter(([, id]) => id !== null)
      .map(([key, id, created]) => ({
        Key: key,
        UploadId: id,
        Initiated: isoOf(created ?? ""),
        StorageClass: "STANDARD",
      })),
    CommonPrefixes: rows.filter(([, id]) => id === null).map(([key]) => ({ Prefix: key })),
  });
}
