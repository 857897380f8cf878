/** URLs that carry their own right: to read one object, or to upload one. */
import type { ServiceResponse } from "../../service.ts";
import type { StorageContext } from "../context.ts";
import { findBucket, findObjectAsCaller, readBucket, readObject } from "../database/rows.ts";
import { storageError } from "../errors.ts";
import type { Fields } from "../http/json-body.ts";
import { json } from "../http/responses.ts";
import { parseTransformation, transformationText } from "../images/transformation.ts";
import { checkKey } from "../names.ts";
import { textArray } from "../objects/delete.ts";
import { probeUpload, readProbe } from "../objects/upload.ts";
import { userMetadataOfHeader } from "../objects/user-metadata.ts";
import type { StorageParts } from "../service.ts";

const UPLOAD_SECONDS = 7200;
const NOT_ACCESSIBLE = "Either the object does not exist or you do not have access to it";
const MAX_EXPIRY = Math.floor(Number.MAX_SAFE_INTEGER / 1000);

/** @throws {StorageError} */
export async function signDownload(
  parts: StorageParts,
  context: StorageContext,
  bucket: string,
  name: string,
  fields: Fields,
): Promise<ServiceResponse> {
  const exp = expiry(parts, fields);
  const transform = fields.object("transform");
  const transformation = transform ? parseTransformation(transform) : null;
  const [, result] = await context.run([context.asCaller(), findObjectAsCaller(context, bucket, name)]);
  if (readObject(result) === null) throw storageError("objectNotFound");
  const isRendered = transformation !== null && context.project.storage.imageTransformationEnabled;
  const claims = {
    url: `${bucket}/${name}`,
    scope: "download",
    ...(isRendered && transformation ? { transformations: transformationText(transformation) } : {}),
    ...(isRendered && transformation?.format ? { format: transformation.format } : {}),
    iat: parts.callers.nowSeconds,
    exp,
  };
  const token = parts.callers.sign(context.project, claims);
  const route = isRendered ? "/render/image/sign" : "/object/sign";
  return json({ signedURL: `${route}/${bucket}/${name}?token=${token}` });
}

const FIND_MANY = "/* findObjects */ select name from storage.objects where bucket_id = $1 and name = any ($2::text[])";

/** Answers an entry for each path, in order; what cannot be read is an entry with an error. */
export async function signDownloads(
  parts: StorageParts,
  context: StorageContext,
  bucket: string,
  fields: Fields,
): Promise<ServiceResponse> {
  const exp = expiry(parts, fields);
  const paths = fields.texts("paths", { min: 1, max: 1000 });
  const [, result] = await context.run([context.asCaller(), context.ofCaller(FIND_MANY, [bucket, textArray(paths)])]);
  const visible = new Set(result?.rows.map(([name]) => name));
  const iat = parts.callers.nowSeconds;
  return json(
    paths.map((path) => {
      if (!visible.has(path)) return { error: NOT_ACCESSIBLE, path, signedURL: null };
      const token = parts.callers.sign(context.project, { url: `${bucket}/${path}`, scope: "download", iat, exp });
      return { error: null, path, signedURL: `/object/sign/${bucket}/${path}?token=${token}` };
    }),
  );
}

function expiry(parts: StorageParts, fields: Fields): number {
  const exp = parts.callers.nowSeconds + fields.integer("expiresIn", { min: 1 });
  if (exp > MAX_EXPIRY) throw storageError("invalidParameter", "Invalid Parameter expiresIn");
  return exp;
}

/** @throws {StorageError} unless the caller could upload the object himself. */
export async function signUpload(
  parts: StorageParts,
  context: StorageContext,
  bucket: string,
  name: string,
): Promise<ServiceResponse> {
  checkKey(name);
  const { headers } = context.request;
  const upsert = headers["x-upsert"] === "true";
  const announced = Number(headers["content-length"] ?? Number.NaN);
  const owner = context.caller.subject;
  const [, probe, , found] = await context.run([
    context.asCaller(),
    probeUpload(context, {
      ...{ bucket, name, owner, upsert, contentType: headers["content-type"] },
      announcedBytes: Number.isNaN(announced) ? undefined : announced,
      userMetadata: userMetadataOfHeader(headers["x-metadata"]),
    }),
    context.asService(),
    findBucket(context, bucket),
  ]);
  if (found?.rowCount === 0) throw storageError("relatedResourceMissing");
  readBucket(found);
  readProbe(probe, "resourceExists");
  const iat = parts.callers.nowSeconds;
  const token = parts.callers.sign(context.project, {
    ...(owner === null ? {} : { owner }),
    ...{ url: `${bucket}/${name}`, upsert, scope: "upload", iat, exp: iat + UPLOAD_SECONDS },
  });
  return json({ url: `/object/upload/sign/${bucket}/${name}?token=${token}`, token });
}

export interface SignedDownload {
  /** Seconds since the epoch; null for a token without an end. */
  readonly expires: number | null;
  /** As in the token; null for the object as it is. */
  readonly transformations: string | null;
  readonly format: string | null;
}

/** @param path `bucket/key`, decoded. @throws {StorageError} InvalidJWT, InvalidSignature */
export function verifyDownload(
  parts: StorageParts,
  context: Pick<StorageContext, "project">,
  token: string | null,
  path: string,
): SignedDownload {
  const claims = verify(parts, context, token);
  // Tokens of before there were scopes name none, and those for uploads say whether they replace.
  const isLegacy = claims.scope === undefined && claims.upsert === undefined;
  if (claims.scope !== "download" && !isLegacy) {
    throw storageError("invalidSignature", "Token is not scoped for download");
  }
  checkPath(claims.url, path);
  return {
    expires: typeof claims.exp === "number" ? claims.exp : null,
    transformations: typeof claims.transformations === "string" ? claims.transformations : null,
    format: typeof claims.format === "string" ? claims.format : null,
  };
}

export interface SignedUpload {
  readonly owner: string | null;
  readonly upsert: boolean;
}

/** @throws {StorageError} InvalidJWT, InvalidSignature */
export function verifyUpload(
  parts: StorageParts,
  context: Pick<StorageContext, "project">,
  token: string | null,
  path: string,
): SignedUpload {
  const claims = verify(parts, context, token);
  if (claims.scope !== "upload" && !(claims.scope === undefined && typeof claims.upsert === "boolean")) {
    throw storageError("invalidSignature", "Token is not scoped for upload");
  }
  checkPath(claims.url, path);
  return { owner: typeof claims.owner === "string" ? claims.owner : null, upsert: claims.upsert === true };
}

function verify(parts: StorageParts, { project }: Pick<StorageContext, "project">, token: string | null) {
  if (token === null) throw storageError("invalidRequest", "querystring must have required property 'token'");
  return parts.callers.verifySigned(project, token);
}

/** The original signed paths that were decoded only in part: what decodes to the claim once more is the same path. */
function checkPath(claim: unknown, path: string): void {
  if (typeof claim !== "string") throw storageError("invalidSignature");
  if (claim === path) return;
  try {
    if (decodeURIComponent(claim) === path) return;
  } catch {
    // no escape of a path: it is not equal
  }
  throw storageError("invalidSignature");
}
