/** The routes that storage-js speaks. A static second segment wins over a bucket of that name; a path is decoded once. */
import type { ServiceSnapshot } from "../../control-plane/client/config-snapshot.ts";
import type { ServiceRequest, ServiceResponse } from "../service.ts";
import { createBucket, deleteBucket, emptyBucket, getBucket, listBuckets, updateBucket } from "./buckets/buckets.ts";
import { StorageContext } from "./context.ts";
import { storageError } from "./errors.ts";
import { Fields, readFields } from "./http/json-body.ts";
import { badUrl, json, routeNotFound } from "./http/responses.ts";
import { ANONYMOUS, type Caller, SERVICE } from "./identity.ts";
import { parseTransformation, parseTransformationText } from "./images/transformation.ts";
import { checkKey, isBucketName } from "./names.ts";
import { deleteObject, deleteObjects } from "./objects/delete.ts";
import {
  describeObject,
  downloadObject,
  findReadable,
  type ReadAccess,
  withoutCacheControl,
} from "./objects/download.ts";
import { objectInfo } from "./objects/info.ts";
import { listObjects, listObjectsV2 } from "./objects/list.ts";
import { copyObject, moveObject } from "./objects/transfer.ts";
import { uploadObject } from "./objects/upload.ts";
import { openUpload } from "./objects/upload-source.ts";
import { userMetadataOfHeader } from "./objects/user-metadata.ts";
import type { StorageParts } from "./service.ts";
import { signDownload, signDownloads, signUpload, verifyDownload, verifyUpload } from "./signing/signed-urls.ts";

/** A request on its way to its handler. */
class Visit {
  readonly parts: StorageParts;
  readonly request: ServiceRequest;
  readonly project: ServiceSnapshot;

  constructor(parts: StorageParts, request: ServiceRequest, project: ServiceSnapshot) {
    this.parts = parts;
    this.request = request;
    this.project = project;
  }

  /** As whoever the token says; without a good one it is refused. */
  authenticated(operation: string): StorageContext {
    const caller = this.parts.callers.authenticate(this.project, this.request.headers.authorization);
    return this.as(caller, operation);
  }

  /** Without a good token: anonymous. */
  maybeAuthenticated(operation: string): StorageContext {
    let caller: Caller = ANONYMOUS;
    try {
      caller = this.parts.callers.authenticate(this.project, this.request.headers.authorization);
    } catch {
      // anonymous, then
    }
    return this.as(caller, operation);
  }

  as(caller: Caller, operation: string): StorageContext {
    const { databases } = this.parts;
    const databaseOf = () => databases.get(this.project.projectRef, this.project.database);
    return new StorageContext(this.request, this.project, databaseOf, caller, operation);
  }

  get query(): URLSearchParams {
    return new URLSearchParams(this.request.query);
  }

  get queryFields(): Fields {
    return new Fields(Object.fromEntries(this.query), "querystring");
  }

  /** Several are joined by commas, as the original does. */
  get download(): string | null {
    const values = this.query.getAll("download");
    return values.length === 0 ? null : values.join(",");
  }
}

export async function handleRest(
  parts: StorageParts,
  request: ServiceRequest,
  project: ServiceSnapshot,
): Promise<ServiceResponse> {
  const { method, path } = request;
  const [, root, ...rest] = path.split("/");
  const visit = new Visit(parts, request, project);
  try {
    const answer = await dispatch(visit, root ?? "", rest);
    return answer ?? routeNotFound(method, path);
  } catch (error) {
    if (error instanceof URIError) return badUrl(path);
    throw error;
  }
}

function dispatch(visit: Visit, root: string, rest: readonly string[]): Promise<ServiceResponse | null> {
  switch (root) {
    case "bucket":
      return bucketRoutes(visit, rest);
    case "object":
      return objectRoutes(visit, rest);
    case "cdn":
      return cdnRoutes(visit, rest);
    case "render":
      return renderRoutes(visit, rest);
    default:
      return Promise.resolve(null);
  }
}

async function bucketRoutes(visit: Visit, rest: readonly string[]): Promise<ServiceResponse | null> {
  const { parts, request } = visit;
  const method = asRead(request.method);
  const [first, second, ...more] = rest;
  if (more.length > 0) return null;
  if (first === undefined || (first === "" && second === undefined)) {
    if (method === "POST") {
      const context = visit.authenticated("storage.bucket.create");
      return createBucket(context, await readFields(request));
    }
    return method === "GET" ? listBuckets(visit.authenticated("storage.bucket.list"), visit.queryFields) : null;
  }
  const id = decodeURIComponent(first);
  if (second !== undefined) {
    if (second !== "empty" || method !== "POST") return null;
    return emptyBucket(parts, visit.authenticated("storage.bucket.empty"), id);
  }
  switch (method) {
    case "GET":
      return getBucket(visit.authenticated("storage.bucket.get"), id);
    case "PUT": {
      const context = visit.authenticated("storage.bucket.update");
      return updateBucket(context, id, await readFields(request));
    }
    case "DELETE":
      return deleteBucket(visit.authenticated("storage.bucket.delete"), id);
    default:
      return null;
  }
}

async function objectRoutes(visit: Visit, rest: readonly string[]): Promise<ServiceResponse | null> {
  switch (visit.request.method) {
    case "GET":
    case "HEAD":
      return readRoutes(visit, rest);
    case "POST":
      return postRoutes(visit, rest);
    case "PUT":
      return putRoutes(visit, rest);
    case "DELETE":
      return deleteRoutes(visit, rest);
    default:
      return null;
  }
}

interface Target {
  readonly bucket: string;
  readonly name: string;
}

/** `:bucket/*`: null when there is no object in it. @throws {URIError} */
function targetOf(segments: readonly string[]): Target | null {
  const [bucket, ...key] = segments;
  if (bucket === undefined || bucket === "" || key.length === 0) return null;
  return { bucket: decodeURIComponent(bucket), name: decodeURIComponent(key.join("/")) };
}

/** @throws {StorageError} for names that no bucket or object can have. */
function checked(target: Target): Target {
  if (!isBucketName(target.bucket)) throw storageError("invalidBucketName");
  checkKey(target.name);
  return target;
}

async function readRoutes(visit: Visit, rest: readonly string[]): Promise<ServiceResponse | null> {
  const [first, second] = rest;
  const isHead = visit.request.method === "HEAD";
  switch (first) {
    case "authenticated": {
      const target = targetOf(rest.slice(1));
      if (!target) return null;
      const operation = isHead ? "object.head_authenticated_info" : "storage.object.get_authenticated";
      return read(visit, checked(target), visit.authenticated(operation), "caller");
    }
    case "public": {
      const target = targetOf(rest.slice(1));
      if (!target) return null;
      const operation = isHead ? "object.head_authenticated_info" : "storage.object.get_public";
      return read(visit, checked(target), visit.as(ANONYMOUS, operation), "public");
    }
    case "sign": {
      const target = targetOf(rest.slice(1));
      return target ? readSigned(visit, target) : null;
    }
    case "info":
      return infoRoutes(visit, rest.slice(1), second);
    default: {
      const target = targetOf(rest);
      if (!target) return null;
      const operation = isHead ? "object.head_authenticated_info" : "storage.object.get_authenticated";
      return read(visit, checked(target), visit.maybeAuthenticated(operation), "caller");
    }
  }
}

async function infoRoutes(visit: Visit, rest: readonly string[], kind: string | undefined) {
  const special = kind === "public" || kind === "authenticated" ? targetOf(rest.slice(1)) : null;
  const target = special ?? targetOf(rest);
  if (!target) return null;
  const { bucket, name } = checked(target);
  const [context, access]: [StorageContext, ReadAccess] =
    special && kind === "public"
      ? [visit.as(ANONYMOUS, "storage.object.info_public"), "public"]
      : special
        ? [visit.authenticated("object.get_authenticated_info"), "caller"]
        : [visit.maybeAuthenticated("object.get_authenticated_info"), "caller"];
  return objectInfo(await findReadable(context, bucket, name, access));
}

async function read(
  visit: Visit,
  { bucket, name }: Target,
  context: StorageContext,
  access: ReadAccess,
): Promise<ServiceResponse> {
  const find = () => findReadable(context, bucket, name, access);
  const object = await find();
  if (visit.request.method === "HEAD") return describeObject(object);
  return downloadObject(visit.parts, context, object, { download: visit.download }, find);
}

async function readSigned(visit: Visit, { bucket, name }: Target): Promise<ServiceResponse> {
  const context = visit.as(SERVICE, "storage.object.get_signed");
  const { expires } = verifyDownload(visit.parts, context, visit.query.get("token"), `${bucket}/${name}`);
  const find = () => findReadable(context, bucket, name, "anyone");
  const object = await find();
  if (visit.request.method === "HEAD") return describeObject(object);
  const options = { download: visit.download, ...(expires === null ? {} : { expires }) };
  const answer = await downloadObject(visit.parts, context, object, options, find);
  return expires === null ? answer : withoutCacheControl(answer);
}

async function postRoutes(visit: Visit, rest: readonly string[]): Promise<ServiceResponse | null> {
  const { parts, request } = visit;
  const [first = "", second] = rest;
  switch (first) {
    case "list":
    case "list-v2": {
      if (rest.length !== 2 || !second) break;
      const isFirst = first === "list";
      const context = visit.authenticated(isFirst ? "storage.object.list" : "storage.object.list_v2");
      const fields = await readFields(request, { mayBeEmpty: !isFirst });
      return (isFirst ? listObjects : listObjectsV2)(context, decodeURIComponent(second), fields);
    }
    case "move":
      if (rest.length === 1) return move(visit);
      break;
    case "copy":
      if (rest.length === 1) return copy(visit);
      break;
    case "sign": {
      if (rest.length === 2 && second) {
        const context = visit.authenticated("storage.object.sign_many");
        return signDownloads(parts, context, decodeURIComponent(second), await readFields(request));
      }
      const target = targetOf(rest.slice(1));
      if (!target) break;
      const context = visit.authenticated("storage.object.sign");
      return signDownload(parts, context, target.bucket, target.name, await readFields(request));
    }
    case "upload": {
      const target = second === "sign" ? targetOf(rest.slice(2)) : null;
      if (!target) break;
      const context = visit.authenticated("storage.object.sign_upload_url");
      return signUpload(parts, context, target.bucket, target.name);
    }
  }
  const target = targetOf(rest);
  if (!target) return null;
  const context = visit.authenticated("storage.object.upload");
  return upload(visit, target, context, request.headers["x-upsert"] === "true");
}

async function putRoutes(visit: Visit, rest: readonly string[]): Promise<ServiceResponse | null> {
  const signed = rest[0] === "upload" && rest[1] === "sign" ? targetOf(rest.slice(2)) : null;
  if (signed) return uploadSigned(visit, signed);
  const target = targetOf(rest);
  return target ? upload(visit, target, visit.authenticated("storage.object.upload_update"), true) : null;
}

async function upload(
  visit: Visit,
  target: Target,
  context: StorageContext,
  upsert: boolean,
): Promise<ServiceResponse> {
  const { bucket, name } = checked(target);
  const source = await openUpload(visit.request);
  const owner = context.caller.subject;
  const { id } = await uploadObject(visit.parts, context, { bucket, name, upsert, owner, probe: true }, source);
  return json({ Id: id, Key: `${bucket}/${name}` });
}

async function uploadSigned(visit: Visit, target: Target): Promise<ServiceResponse> {
  const { bucket, name } = target;
  const context = visit.as(SERVICE, "storage.object.upload_signed");
  const token = visit.query.get("token");
  const { owner, upsert } = verifyUpload(visit.parts, context, token, `${bucket}/${name}`);
  checked(target);
  const source = await openUpload(visit.request);
  await uploadObject(visit.parts, context, { bucket, name, upsert, owner, probe: false }, source);
  return json({ Key: `${bucket}/${name}` });
}

async function move(visit: Visit): Promise<ServiceResponse> {
  const context = visit.authenticated("storage.object.move");
  const fields = await readFields(visit.request);
  const bucket = fields.text("bucketId");
  const name = fields.text("sourceKey");
  const toName = checkKey(fields.text("destinationKey"));
  const toBucket = fields.optionalText("destinationBucket") || bucket;
  return moveObject(visit.parts, context, { bucket, name, toBucket, toName });
}

async function copy(visit: Visit): Promise<ServiceResponse> {
  const context = visit.authenticated("storage.object.copy");
  const fields = await readFields(visit.request);
  const bucket = fields.text("bucketId");
  const name = fields.text("sourceKey");
  const toName = checkKey(fields.text("destinationKey"));
  const toBucket = fields.optionalText("destinationBucket") || bucket;
  const { headers } = visit.request;
  const keepsMetadata = fields.flag("copyMetadata") ?? true;
  const given = keepsMetadata ? undefined : fields.object("metadata");
  const cacheControl = given?.optionalText("cacheControl");
  const mimetype = given?.optionalText("mimetype");
  const given_ = headers["x-metadata"];
  const row = await copyObject(
    visit.parts,
    context,
    { bucket, name, toBucket, toName },
    {
      upsert: headers["x-upsert"] === "true",
      userMetadata: keepsMetadata ? "source" : given_ === undefined ? null : userMetadataOfHeader(given_),
      metadata: {
        ...(cacheControl === undefined ? {} : { cacheControl }),
        ...(mimetype === undefined ? {} : { mimetype }),
      },
    },
  );
  return json({ Id: row.id, Key: `${toBucket}/${toName}`, ...row });
}

async function deleteRoutes(visit: Visit, rest: readonly string[]): Promise<ServiceResponse | null> {
  const [bucket] = rest;
  if (rest.length === 1 && bucket) {
    const context = visit.authenticated("storage.object.delete_many");
    const fields = await readFields(visit.request);
    return deleteObjects(visit.parts, context, decodeURIComponent(bucket), fields.texts("prefixes", { min: 1 }));
  }
  const target = targetOf(rest);
  if (!target) return null;
  return deleteObject(visit.parts, visit.authenticated("storage.object.delete"), target.bucket, target.name);
}

/** `/render/image/<public|authenticated|sign>/:bucket/*` */
async function renderRoutes(visit: Visit, [image, kind, ...rest]: readonly string[]): Promise<ServiceResponse | null> {
  const { method } = visit.request;
  const target = targetOf(rest);
  if (image !== "image" || !target || (method !== "GET" && method !== "HEAD")) return null;
  if (kind !== "public" && kind !== "authenticated" && kind !== "sign") return null;
  const { bucket, name } = checked(target);
  const operation = `storage.render.image_${kind}`;
  const context =
    kind === "public"
      ? visit.as(ANONYMOUS, operation)
      : kind === "sign"
        ? visit.as(SERVICE, operation)
        : visit.authenticated(operation);
  if (!visit.project.storage.imageTransformationEnabled) throw storageError("featureDisabled");
  const signed =
    kind === "sign" ? verifyDownload(visit.parts, context, visit.query.get("token"), `${bucket}/${name}`) : null;
  const transformation = signed
    ? parseTransformationText(signed.transformations ?? "", signed.format)
    : parseTransformation(visit.queryFields);
  const access: ReadAccess = kind === "public" ? "public" : kind === "sign" ? "anyone" : "caller";
  const find = () => findReadable(context, bucket, name, access, { policiesEvenIfPublic: true });
  const object = await find();
  const options = { download: visit.download, expires: signed?.expires ?? null };
  return visit.parts.images.render(visit.parts, context, object, transformation, options, find);
}

/** There is no cache in front whose entries could be dropped: whoever may ask is told that all is done. */
async function cdnRoutes(visit: Visit, rest: readonly string[]): Promise<ServiceResponse | null> {
  if (visit.request.method !== "DELETE") return null;
  const kind = rest.length === 0 ? "tenant" : rest.length === 1 ? "bucket" : "object";
  const context = visit.authenticated(`storage.cdn.purge_${kind}_cache`);
  if (context.caller.role !== "service_role") throw storageError("roleDenied");
  return json({ message: "success" });
}

function asRead(method: string): string {
  return method === "HEAD" ? "GET" : method;
}
