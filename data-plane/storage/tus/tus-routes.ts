/**
 * Resumable uploads: TUS 1.0.0 at `/upload/resumable`, and at `/upload/resumable/sign` with the token of a signed upload URL.
 * @see https://tus.io/protocols/resumable-upload
 */
import { randomUUID } from "node:crypto";
import type { ServiceSnapshot } from "../../../control-plane/client/config-snapshot.ts";
import type { ServiceRequest, ServiceResponse } from "../../service.ts";
import { isVersion } from "../backend/backend.ts";
import { StorageContext } from "../context.ts";
import { findBucket, readBucket, readUsedBytes, sizeLimit } from "../database/rows.ts";
import { type StorageError, storageError } from "../errors.ts";
import { errorResponse, type Headers, routeNotFound } from "../http/responses.ts";
import { type Caller, ownerUuid, SERVICE } from "../identity.ts";
import { allowsMimeType, checkKey, isMediaType } from "../names.ts";
import { fileMetadata, probeUpload, readProbe } from "../objects/upload.ts";
import { parseUserMetadata } from "../objects/user-metadata.ts";
import { refuse, type StorageParts, takeRest } from "../service.ts";
import { verifyUpload } from "../signing/signed-urls.ts";
import { checkVersion, OFFSET_TYPE, parseMetadata, readCount, TUS_EXTENSIONS, TUS_VERSION } from "./headers.ts";
import { TusError } from "./tus-error.ts";
import {
  createStatement,
  etagOf,
  findStatement,
  finishStatement,
  type ResumableUpload,
  readUpload,
  removeStatement,
  type UploadId,
} from "./upload-table.ts";
import { lockUpload, writePiece } from "./writer.ts";

const PREFIX = "/upload/resumable";
const DEFAULT_TYPE = "application/octet-stream";

/** A request on its way: who it is from, and whether a signed URL's token speaks for it. */
interface Visit {
  readonly parts: StorageParts;
  readonly request: ServiceRequest;
  readonly project: ServiceSnapshot;
  readonly isSigned: boolean;
  /** Null for a signed one: its right is in its token. */
  readonly caller: Caller | null;
}

/** Who owns what is uploaded, and whether it may replace. */
interface Rights {
  readonly context: StorageContext;
  readonly owner: string | null;
  readonly upsert: boolean;
  readonly probe: boolean;
}

export async function handleTus(
  parts: StorageParts,
  request: ServiceRequest,
  project: ServiceSnapshot,
): Promise<ServiceResponse> {
  const rest = request.path.slice(PREFIX.length);
  const isSigned = rest === "/sign" || rest.startsWith("/sign/");
  const id = (isSigned ? rest.slice(5) : rest).replace(/^\//, "");
  if (request.method === "OPTIONS") return answerOptions(project);
  let caller: Caller | null = null;
  if (!isSigned) {
    try {
      caller = parts.callers.authenticate(project, request.headers.authorization);
    } catch (error) {
      return refuse(parts, request, project, error, (failure) => withVersion(errorResponse(failure, request.method)));
    }
  }
  const visit: Visit = { parts, request, project, isSigned, caller };
  try {
    return withVersion((await dispatch(visit, id)) ?? routeNotFound(request.method, request.path));
  } catch (error) {
    if (error instanceof TusError) {
      await takeRest(request);
      return plainText(error.status, error.message, request);
    }
    return refuse(parts, request, project, error, (failure) => plainText(failure.statusCode, textOf(failure), request));
  }
}

function textOf(failure: StorageError): string {
  return failure.kind === "tooLarge" ? "Maximum size exceeded\n" : failure.message;
}

function plainText(status: number, text: string, { method }: ServiceRequest): ServiceResponse {
  const headers: Headers = [["content-type", "text/plain; charset=utf-8"]];
  return withVersion({ status, headers, body: method === "HEAD" ? null : text });
}

function withVersion(response: ServiceResponse): ServiceResponse {
  return { ...response, headers: [["tus-resumable", TUS_VERSION], ...response.headers] };
}

function answerOptions({ storage }: ServiceSnapshot): ServiceResponse {
  const headers: Headers = [
    ["tus-version", TUS_VERSION],
    ["tus-extension", TUS_EXTENSIONS],
    ["tus-max-size", String(storage.fileSizeLimitBytes)],
  ];
  return withVersion({ status: 204, headers, body: null });
}

async function dispatch(visit: Visit, id: string): Promise<ServiceResponse | null> {
  const { method, headers } = visit.request;
  checkVersion(headers);
  if (id === "") return method === "POST" ? create(visit) : null;
  const upload = parseId(id);
  switch (method) {
    case "HEAD":
      return describe(visit, upload);
    case "PATCH":
      return patch(visit, upload);
    case "DELETE":
      return terminate(visit, upload);
    default:
      return null;
  }
}

function idOf({ bucket, name, version }: UploadId): string {
  return Buffer.from(`${bucket}/${name}/${version}`).toString("base64url");
}

/** @throws {TusError} 400 */
function parseId(id: string): UploadId {
  const text = Buffer.from(id, "base64url").toString("utf8");
  const first = text.indexOf("/");
  const last = text.lastIndexOf("/");
  const version = text.slice(last + 1);
  if (first < 1 || last <= first || !isVersion(version)) throw new TusError(400, "Invalid upload id");
  return { bucket: text.slice(0, first), name: text.slice(first + 1, last), version };
}

/** @throws {StorageError} */
function rightsOf(visit: Visit, bucket: string, name: string, operation: string): Rights {
  const { parts, request, project, isSigned } = visit;
  const databaseOf = () => parts.databases.get(project.projectRef, project.database);
  const suffix = isSigned ? "_signed" : "";
  const caller = visit.caller ?? SERVICE;
  const context = new StorageContext(request, project, databaseOf, caller, `storage.tus.upload.${operation}${suffix}`);
  if (!isSigned) {
    return { context, owner: caller.subject, upsert: request.headers["x-upsert"] === "true", probe: true };
  }
  const token = request.headers["x-signature"];
  if (token === undefined) throw storageError("invalidSignature", "Missing x-signature header");
  return { context, ...verifyUpload(parts, context, token, `${bucket}/${name}`), probe: false };
}

async function create(visit: Visit): Promise<ServiceResponse> {
  const { request } = visit;
  const { headers } = request;
  if (headers["upload-concat"] !== undefined)
    throw new TusError(501, "Concatenation extension is not (yet) supported.\n");
  const length = readCount(headers, "upload-length");
  const defers = headers["upload-defer-length"];
  if (defers !== undefined && defers !== "1") throw new TusError(400, "Invalid upload-defer-length\n");
  if ((length === undefined) === (defers === undefined)) {
    throw new TusError(400, "Upload-Length or Upload-Defer-Length header required\n");
  }
  const sent = parseMetadata(headers["upload-metadata"]);
  const { bucketName: bucket, contentType } = sent;
  const name = checkKey(sent.objectName);
  if (contentType !== undefined && !isMediaType(contentType))
    throw storageError("invalidMimeType", "Invalid Content-Type header");
  const rights = rightsOf(visit, bucket, name, "create");
  const { context } = rights;
  const upload = {
    ...{
      version: randomUUID(),
      bucket,
      name,
      length: length ?? null,
      metadataHeader: headers["upload-metadata"] ?? "",
    },
    contentType: contentType ?? null,
    cacheControl: /^\d+$/.test(sent.cacheControl ?? "") ? `max-age=${sent.cacheControl}` : "no-cache",
    userMetadata: parseUserMetadata(sent.metadata),
  };
  const results = await context.run([
    ...(rights.probe ? [context.asCaller(), probeOf(rights, upload, length)] : []),
    context.asService(),
    findBucket(context, bucket),
    createStatement(context, upload, !rights.probe),
  ]);
  const bucketResult = results.at(-2);
  const found = readBucket(bucketResult);
  const created = readUpload(results.at(-1)?.rows[0]);
  try {
    const { storage } = context.project;
    const maxBytes = sizeLimit(context, found);
    if ((length ?? 0) > maxBytes) throw storageError("tooLarge");
    if ((length ?? 0) > storage.totalBytesLimit - readUsedBytes(bucketResult)) throw storageError("quotaExceeded");
    const isAllowed = (type: string) =>
      allowsMimeType(found.allowedMimeTypes, type) && allowsMimeType(storage.allowedMimeTypes, type);
    if (contentType !== undefined && !isAllowed(contentType)) {
      throw storageError("invalidMimeType", `mime type ${contentType} is not supported`);
    }
    if (rights.probe) readProbe(results[1]);
    if (created === null) throw storageError("tooManyUploads");
  } catch (error) {
    if (created) await context.run([context.asService(), removeStatement(context, created.version)]);
    throw error;
  }
  visit.parts.upkeep.noteWork(context.project.projectRef);
  const location = `${request.publicUrl}/storage/v1${PREFIX}${visit.isSigned ? "/sign" : ""}/${idOf(upload)}`;
  const carriesBytes = headers["content-type"] === OFFSET_TYPE;
  if (!carriesBytes && length !== 0) {
    return { status: 201, headers: [["location", location], ...expiryOf(created)], body: "" };
  }
  const written = await receive(visit, rights, created, { limit: sizeLimit(context, found) });
  return { status: 201, headers: [["location", location], ...progressOf(written)], body: "" };
}

function probeOf(
  { context, owner, upsert }: Rights,
  upload: Pick<ResumableUpload, "bucket" | "name" | "contentType" | "userMetadata">,
  length: number | undefined,
) {
  const { bucket, name, contentType, userMetadata } = upload;
  const probed = { bucket, name, owner, upsert, contentType: contentType ?? undefined, announcedBytes: length };
  return probeUpload(context, { ...probed, userMetadata });
}

function expiryOf({ expiresAt }: ResumableUpload): Headers {
  return [["upload-expires", expiresAt.toUTCString()]];
}

function progressOf(upload: ResumableUpload): Headers {
  const offset = ["upload-offset", String(upload.offset)] as const;
  return upload.isFinished ? [offset, ["tus-complete", "1"]] : [offset, ...expiryOf(upload)];
}

/** The upload, if it is there, and whether the caller may write what it is to become. */
async function load(visit: Visit, id: UploadId, rights: Rights): Promise<{ upload: ResumableUpload; limit: number }> {
  const { context } = rights;
  const [, bucketResult, uploadResult] = await context.run([
    context.asService(),
    findBucket(context, id.bucket),
    findStatement(context, id),
  ]);
  const bucket = readBucket(bucketResult);
  const upload = readUpload(uploadResult?.rows[0]);
  if (upload === null) throw new TusError(404, "The file for this url was not found\n");
  if (upload.expiresAt.getTime() < visit.parts.now())
    throw new TusError(410, "The file for this url no longer exists\n");
  return { upload, limit: sizeLimit(context, bucket) };
}

async function requireRight(rights: Rights, upload: ResumableUpload): Promise<void> {
  if (!rights.probe) return;
  const { context } = rights;
  const [, probe] = await context.run([context.asCaller(), probeOf(rights, upload, upload.length ?? undefined)]);
  readProbe(probe);
}

async function describe(visit: Visit, id: UploadId): Promise<ServiceResponse> {
  const { upload } = await load(visit, id, rightsOf(visit, id.bucket, id.name, "get"));
  const headers: Headers = [
    ["upload-offset", String(upload.offset)],
    upload.length === null ? ["upload-defer-length", "1"] : ["upload-length", String(upload.length)],
    ["upload-metadata", upload.metadataHeader],
    ["cache-control", "no-store"],
    ...(upload.isFinished ? [] : expiryOf(upload)),
  ];
  return { status: 200, headers, body: null };
}

async function patch(visit: Visit, id: UploadId): Promise<ServiceResponse> {
  const { headers } = visit.request;
  const offset = readCount(headers, "upload-offset");
  if (offset === undefined) throw new TusError(403, "Upload-Offset header required\n");
  const type = headers["content-type"];
  if (type === undefined) throw new TusError(403, "Content-Type header required\n");
  if (type !== OFFSET_TYPE) throw new TusError(400, "Invalid content-type\n");
  const rights = rightsOf(visit, id.bucket, id.name, "part");
  const { upload, limit } = await load(visit, id, rights);
  await requireRight(rights, upload);
  if (upload.isFinished) throw storageError("objectExists");
  const declared = readCount(headers, "upload-length");
  const written = await receive(visit, rights, upload, { limit, offset, declared });
  return { status: 204, headers: progressOf(written), body: null };
}

interface Reception {
  /** The most that an object of the bucket may have. */
  readonly limit: number;
  /** Where the client believes to be; left out for the body that came with the creation. */
  readonly offset?: number;
  /** Length that is announced only now. */
  readonly declared?: number | undefined;
}

/** Takes the body in, and makes the object when it is whole. */
async function receive(
  visit: Visit,
  rights: Rights,
  { version }: ResumableUpload,
  { limit, offset, declared }: Reception,
): Promise<ResumableUpload> {
  const { parts, request } = visit;
  const { context } = rights;
  const leave = parts.uploads.enter(context.project.projectRef);
  try {
    const lock = await lockUpload(context, version);
    try {
      const { upload } = lock;
      if (offset !== undefined && offset !== upload.offset) throw new TusError(409, "Upload-Offset conflict\n");
      if (declared !== undefined && upload.length !== null) throw new TusError(400, "Invalid upload-length\n");
      const length = declared ?? upload.length;
      if (length !== null && length < upload.offset) throw new TusError(400, "Invalid upload-length\n");
      if ((length ?? 0) > limit) throw storageError("tooLarge");
      const maxBytes = length ?? limit;
      if (upload.offset + (request.body?.declaredBytes ?? 0) > maxBytes)
        throw new TusError(413, "upload's size exceeded\n");
      const body = request.body?.stream({ lends: true }) ?? nothing();
      const written = await writePiece(parts, context, lock, body, { maxBytes, length });
      return written.offset === length ? await finish(parts, rights, written) : written;
    } finally {
      await lock.release();
    }
  } finally {
    leave();
  }
}

async function* nothing(): AsyncGenerator<Buffer> {}

const CLAIM = `with claimed as (
    delete from supalove.storage_versions where version = $7 and state = 'pending' returning version
  )
  insert into storage.objects as o (bucket_id, name, owner, owner_id, metadata, user_metadata, version)
  select $1, $2, $3::uuid, $4, $5::jsonb, $6::jsonb, version from claimed`;
const COMMIT_NEW = `/* commitResumable */ ${CLAIM} returning o.id`;
const COMMIT_UPSERT = `/* commitResumableOver */ ${CLAIM} on conflict (bucket_id, name) do update set
    metadata = excluded.metadata, user_metadata = excluded.user_metadata, version = excluded.version,
    owner = case when excluded.owner_id is null then o.owner else excluded.owner end,
    owner_id = coalesce(excluded.owner_id, o.owner_id)
  returning o.id`;

/** First come, first served: who finishes behind another, without the right to replace, is told that the object exists. */
async function finish(
  parts: StorageParts,
  { context, owner, upsert }: Rights,
  upload: ResumableUpload,
): Promise<ResumableUpload> {
  const { bucket, name, version } = upload;
  const { projectRef } = context.project;
  await parts.backend.publish({ project: projectRef, bucket, name, version }, [version]);
  const metadata = fileMetadata({ bytes: upload.offset }, etagOf(upload), {
    contentType: upload.contentType ?? DEFAULT_TYPE,
    cacheControl: upload.cacheControl,
    robotsTag: null,
  });
  const [, written] = await context.run(
    [
      context.asService(),
      context.ofService(upsert ? COMMIT_UPSERT : COMMIT_NEW, [
        ...[bucket, name, ownerUuid(owner), owner, JSON.stringify(metadata), upload.userMetadata ?? "{}", version],
      ]),
      finishStatement(context, version),
    ],
    "objectExists",
  );
  if (written?.rowCount !== 1) throw new TusError(410, "The file for this url no longer exists\n");
  if (parts.backend.kind !== "disk") await parts.staging.remove(projectRef, version);
  return { ...upload, isFinished: true };
}

async function terminate(visit: Visit, id: UploadId): Promise<ServiceResponse> {
  const rights = rightsOf(visit, id.bucket, id.name, "delete");
  const { upload } = await load(visit, id, rights);
  await requireRight(rights, upload);
  if (upload.isFinished) throw new TusError(400, "The upload is finished\n");
  const { context } = rights;
  const lock = await lockUpload(context, upload.version);
  try {
    await context.run([context.asService(), removeStatement(context, upload.version)]);
  } finally {
    await lock.release();
  }
  visit.parts.upkeep.noteWork(context.project.projectRef);
  return { status: 204, headers: [], body: null };
}
