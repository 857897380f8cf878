/**
 * Writing an object. In order: may the caller, and is there room for the version (one round trip) → the bytes, durable under
 * a version of their own → the row (one round trip). What a crash leaves in between is a version in
 * `supalove.storage_versions` whose lease runs out; the upkeep removes it.
 */
import { randomUUID } from "node:crypto";
import { ConnectionLost, type Statement, type StatementResult } from "../../database/database.ts";
import type { ObjectAddress, WrittenObject } from "../backend/backend.ts";
import type { StorageContext } from "../context.ts";
import { type Bucket, findBucket, readBucket, readUsedBytes, sizeLimit } from "../database/rows.ts";
import { StorageError, sqlError, storageError } from "../errors.ts";
import { ownerUuid } from "../identity.ts";
import { allowsMimeType, isFolderPlaceholder } from "../names.ts";
import type { StorageParts } from "../service.ts";
import type { ObjectDescription, UploadSource } from "./upload-source.ts";

export interface UploadTarget {
  readonly bucket: string;
  readonly name: string;
  /** Replaces an object of the name; else such an object makes the upload fail. */
  readonly upsert: boolean;
  /** Subject of who uploads. */
  readonly owner: string | null;
  /** False where the right to upload was proved otherwise: by the token of a signed URL. */
  readonly probe: boolean;
}

export interface UploadedObject {
  readonly id: string;
  readonly etag: string;
  readonly version: string;
  readonly bytes: number;
}

/** How long a version may be written before its writer has to say that it goes on. */
const LEASE = "interval '15 minutes'";
const RENEW_MS = 5 * 60_000;

const RESERVE = `/* reserveVersion */ insert into supalove.storage_versions (version, bucket_id, name, state, expires_at)
  select $1, $2, $3, 'pending', now() + ${LEASE}
  where exists (select from storage.buckets where id = $2)
    and ($4::boolean or current_setting('supalove.storage_probe_code', true) = '00000')`;
const RENEW = `/* renewVersions */ update supalove.storage_versions set expires_at = now() + ${LEASE}
  where version = any ($1::text[]) and state = 'pending'`;
const FORGET =
  "/* forgetVersions */ delete from supalove.storage_versions where version = any ($1::text[]) and state = 'pending'";

const PROBE = "/* probeUpload */ select * from supalove.storage_probe_upload($1, $2, $3, $4, $5, $6, $7)";

const CLAIMED = `with claimed as (
    delete from supalove.storage_versions where version = $7 and state = 'pending' returning version
  )`;
const INSERT = `insert into storage.objects as o (bucket_id, name, owner, owner_id, metadata, user_metadata, version)
  select $1, $2, $3::uuid, $4, $5::jsonb, $6::jsonb, version from claimed`;
const COMMIT_NEW = `/* commitUpload */ ${CLAIMED} ${INSERT} returning o.id`;
const COMMIT_UPSERT = `/* commitUpsert */ ${CLAIMED} ${INSERT}
  on conflict (bucket_id, name) do update set
    metadata = excluded.metadata, user_metadata = excluded.user_metadata, version = excluded.version,
    owner = case when excluded.owner_id is null then o.owner else excluded.owner end,
    owner_id = coalesce(excluded.owner_id, o.owner_id)
  returning o.id`;

/**
 * Notes a version before its bytes are written.
 * @param probed A statement before this one has tried the write as the caller: nothing is noted for who may not.
 */
export function reserveVersion(
  context: StorageContext,
  { version, bucket, name }: Omit<ObjectAddress, "project">,
  probed: boolean,
): Statement {
  return context.ofService(RESERVE, [version, bucket, name, probed ? "false" : "true"]);
}

/** Forgets versions whose bytes are gone; what cannot be told now is found by the upkeep. */
export async function forgetVersions(context: StorageContext, versions: readonly string[]): Promise<void> {
  const list = `{${versions.join(",")}}`;
  await context.run([context.asService(), context.ofService(FORGET, [list])]).catch(() => {});
}

export interface ProbedObject {
  readonly bucket: string;
  readonly name: string;
  readonly owner: string | null;
  readonly upsert: boolean;
  readonly contentType: string | undefined;
  /** As the request has announced it; a policy on it refuses what is not announced. */
  readonly announcedBytes: number | undefined;
  /** JSON text. */
  readonly userMetadata: string | null;
}

/** As the caller. {@link readProbe} reads the answer. */
export function probeUpload(context: StorageContext, object: ProbedObject): Statement {
  const metadata = JSON.stringify({ mimetype: object.contentType, contentLength: object.announcedBytes });
  return context.ofCaller(PROBE, [
    object.bucket,
    object.name,
    ownerUuid(object.owner),
    object.owner,
    metadata,
    object.userMetadata,
    object.upsert ? "true" : "false",
  ]);
}

/** @throws {StorageError} when the caller may not. */
export function readProbe(
  result: StatementResult | undefined,
  taken: "objectExists" | "resourceExists" = "objectExists",
): void {
  const [code, message, detail] = result?.rows[0] ?? ["XX000", "", ""];
  if (code !== "00000") throw sqlError({ code: code ?? "XX000", message: message ?? "", detail }, taken);
}

/** Limits of the bucket and the project. @throws {StorageError} */
export function checkLimits(
  context: StorageContext,
  bucket: Bucket,
  usedBytes: number,
  object: { readonly name: string; readonly contentType: string | undefined; readonly bytes: number | undefined },
): { readonly maxBytes: number } {
  const { storage } = context.project;
  if (isFolderPlaceholder(object.name)) {
    if ((object.bytes ?? 0) > 0) throw storageError("tooLarge");
    return { maxBytes: 0 };
  }
  const type = object.contentType;
  if (type !== undefined) {
    if (!allowsMimeType(bucket.allowedMimeTypes, type) || !allowsMimeType(storage.allowedMimeTypes, type)) {
      throw storageError("invalidMimeType", `mime type ${type} is not supported`);
    }
  }
  const maxBytes = sizeLimit(context, bucket);
  if ((object.bytes ?? 0) > maxBytes) throw storageError("tooLarge");
  const left = storage.totalBytesLimit - usedBytes;
  if (left < (object.bytes ?? 0) || left <= 0) throw storageError("quotaExceeded");
  return { maxBytes: Math.min(maxBytes, left) };
}

/** @throws {StorageError} */
export async function uploadObject(
  parts: StorageParts,
  context: StorageContext,
  target: UploadTarget,
  source: UploadSource,
): Promise<UploadedObject> {
  const { bucket, name } = target;
  const address: ObjectAddress = { project: context.project.projectRef, bucket, name, version: randomUUID() };
  const leave = parts.uploads.enter(address.project);
  try {
    const { maxBytes } = await admit(context, target, source, address);
    parts.upkeep.noteWork(address.project);
    const stopRenewing = renewLease(context, [address.version]);
    try {
      const written = await parts.backend.write(address, source.body, {
        maxBytes,
        declaredBytes: source.declaredBytes,
      });
      const description = await finalDescription(context, target, source, written);
      const etag = `"${written.md5}"`;
      const id = await commitObject(context, target, address.version, written, etag, description);
      return { id, etag, version: address.version, bytes: written.bytes };
    } catch (error) {
      await undo(parts, context, address, error);
      throw error;
    } finally {
      stopRenewing();
    }
  } catch (error) {
    source.abandon();
    throw error;
  } finally {
    leave();
  }
}

/**
 * Takes back a version whose row was not written. Where nobody knows whether it was, because the connection broke during the
 * commit, nothing is touched: the lease runs out, and the upkeep looks at what became of it.
 */
export async function undo(
  parts: StorageParts,
  context: StorageContext,
  address: ObjectAddress,
  error: unknown,
): Promise<void> {
  if (error instanceof StorageError && error.cause instanceof ConnectionLost && error.cause.sent) return;
  await parts.backend.remove(address).catch(() => {});
  await forgetVersions(context, [address.version]);
}

async function admit(
  context: StorageContext,
  target: UploadTarget,
  { description, announcedBytes, declaredBytes }: UploadSource,
  address: ObjectAddress,
): Promise<{ readonly maxBytes: number }> {
  const { bucket: bucketName, name } = target;
  const probed = {
    ...target,
    announcedBytes,
    contentType: description.contentType,
    userMetadata: description.userMetadata,
  };
  const results = await context.run([
    ...(target.probe ? [context.asCaller(), probeUpload(context, probed)] : []),
    context.asService(),
    findBucket(context, bucketName),
    reserveVersion(context, address, target.probe),
  ]);
  const bucketResult = results.at(-2);
  const bucket = readBucket(bucketResult);
  try {
    const limits = checkLimits(context, bucket, readUsedBytes(bucketResult), {
      name,
      contentType: description.contentType,
      bytes: declaredBytes,
    });
    if (target.probe) readProbe(results[1]);
    return limits;
  } catch (error) {
    if (results.at(-1)?.command !== "INSERT 0 0") await forgetVersions(context, [address.version]);
    throw error;
  }
}

/** What a form says behind its file counts too, and must not slip past the policies. */
async function finalDescription(
  context: StorageContext,
  target: UploadTarget,
  source: UploadSource,
  written: WrittenObject,
): Promise<ObjectDescription> {
  const description = await source.finalDescription();
  const first = source.description;
  if (description.contentType === first.contentType && description.userMetadata === first.userMetadata)
    return description;
  const probed = { ...target, announcedBytes: source.announcedBytes, ...description };
  const [, bucketResult, , probeResult] = await context.run([
    context.asService(),
    findBucket(context, target.bucket),
    context.asCaller(),
    probeUpload(context, probed),
  ]);
  checkLimits(context, readBucket(bucketResult), 0, {
    name: target.name,
    contentType: description.contentType,
    bytes: written.bytes,
  });
  if (target.probe) readProbe(probeResult);
  return description;
}

/** What stands in `storage.objects.metadata`. */
export function fileMetadata(
  written: { readonly bytes: number },
  etag: string,
  description: Pick<ObjectDescription, "contentType" | "cacheControl" | "robotsTag">,
): Record<string, unknown> {
  return {
    eTag: etag,
    size: written.bytes,
    mimetype: description.contentType,
    cacheControl: description.cacheControl,
    lastModified: new Date().toISOString(),
    contentLength: written.bytes,
    httpStatusCode: 200,
    ...(description.robotsTag === null ? {} : { xRobotsTag: description.robotsTag }),
  };
}

/** The row, and with it the object. @returns its id. @throws {StorageError} */
export async function commitObject(
  context: StorageContext,
  target: Pick<UploadTarget, "bucket" | "name" | "upsert" | "owner">,
  version: string,
  written: { readonly bytes: number },
  etag: string,
  description: Omit<ObjectDescription, "userMetadata"> & { readonly userMetadata: string | null },
): Promise<string> {
  const [, result] = await context.run(
    [
      context.asService(),
      context.ofService(target.upsert ? COMMIT_UPSERT : COMMIT_NEW, [
        target.bucket,
        target.name,
        ownerUuid(target.owner),
        target.owner,
        JSON.stringify(fileMetadata(written, etag, description)),
        description.userMetadata,
        version,
      ]),
    ],
    "objectExists",
  );
  const id = result?.rows[0]?.[0];
  // The lease had run out: this process stood still, and the upkeep has taken the bytes away.
  if (!id) throw new StorageError("aborted", { message: "The upload took too long to be finished" });
  return id;
}

/** Keeps leases while bytes come in; the returned function stops it. */
export function renewLease(context: StorageContext, versions: readonly string[]): () => void {
  const timer = setInterval(() => {
    const list = `{${versions.join(",")}}`;
    context.run([context.asService(), context.ofService(RENEW, [list])]).catch(() => {});
  }, RENEW_MS);
  timer.unref();
  return () => clearInterval(timer);
}
