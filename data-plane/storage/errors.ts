/** Every failure that a caller may read, as the original storage service words it: storage-js and its users match on these. */
import { ConnectionLost, DatabaseError, PoolTimeout } from "../database/database.ts";

interface Entry {
  /** Body field `statusCode`; the HTTP status is 400 all the same, unless `httpStatus` says otherwise. */
  readonly statusCode: number;
  readonly code: string;
  /** Body field `error`; the code when left out. */
  readonly error?: string;
  readonly message: string;
  readonly httpStatus?: number;
}

const entry = (statusCode: number, code: string, message: string, rest: Partial<Entry> = {}): Entry => ({
  statusCode,
  code,
  message,
  ...rest,
});

export const CATALOGUE = {
  bucketNotFound: entry(404, "NoSuchBucket", "Bucket not found", { error: "Bucket not found" }),
  objectNotFound: entry(404, "NoSuchKey", "Object not found", { error: "not_found" }),
  bytesMissing: entry(404, "NoSuchKey", "The resource was not found", { error: "Not found" }),
  uploadNotFound: entry(404, "NoSuchUpload", "Upload not found"),
  bucketExists: entry(409, "BucketAlreadyExists", "The resource already exists", { error: "Duplicate" }),
  objectExists: entry(409, "KeyAlreadyExists", "The resource already exists", { error: "Duplicate" }),
  resourceExists: entry(409, "ResourceAlreadyExists", "The resource already exists", { error: "Duplicate" }),
  bucketNotEmpty: entry(409, "ResourceNotEmpty", "The bucket you tried to delete is not empty"),
  resourceReferenced: entry(409, "ResourceReferenced", "The resource is still referenced by another resource"),
  relatedResourceMissing: entry(404, "InvalidRequest", "The related resource does not exist"),
  tooManyToEmpty: entry(409, "InvalidRequest", "Unable to empty the bucket because it contains too many objects"),
  accessDenied: entry(403, "AccessDenied", "Access denied", { error: "Unauthorized" }),
  roleDenied: entry(403, "AccessDenied", "Access denied: Invalid role", { error: "Unauthorized", httpStatus: 403 }),
  invalidToken: entry(400, "InvalidJWT", "signature verification failed"),
  invalidSignature: entry(400, "InvalidSignature", "Invalid signature"),
  invalidKey: entry(400, "InvalidKey", "Invalid key"),
  invalidBucketName: entry(400, "InvalidBucketName", "Bucket name invalid", { error: "Invalid Input" }),
  invalidMimeType: entry(415, "InvalidMimeType", "mime type is not supported", { error: "invalid_mime_type" }),
  tooLarge: entry(413, "EntityTooLarge", "The object exceeded the maximum allowed size", {
    error: "Payload too large",
  }),
  metadataTooLarge: entry(413, "EntityTooLarge", "The user_metadata exceeded the maximum allowed size", {
    error: "Payload too large",
  }),
  jsonTooLarge: entry(413, "EntityTooLarge", "Request body is too large", {
    error: "Payload too large",
    httpStatus: 413,
  }),
  quotaExceeded: entry(413, "EntityTooLarge", "The project has used up its storage", { error: "Payload too large" }),
  invalidRange: entry(416, "InvalidRange", "invalid range provided", { error: "invalid_range", httpStatus: 416 }),
  invalidRobotsTag: entry(400, "InvalidRequest", "Invalid X-Robots-Tag header", { error: "invalid_x_robots_tag" }),
  invalidHeader: entry(400, "InvalidRequest", "Invalid character in header content", { error: "invalid_header_char" }),
  invalidRequest: entry(400, "InvalidRequest", "Invalid request", { error: "Error" }),
  noContent: entry(400, "InvalidRequest", "No content provided"),
  invalidParameter: entry(400, "InvalidParameter", "Invalid Parameter"),
  missingParameter: entry(400, "MissingParameter", "Missing Required Parameter"),
  malformedBody: entry(400, "InvalidRequest", "Body is not valid JSON", { error: "FastifyError" }),
  featureDisabled: entry(403, "FeatureNotEnabled", "feature not enabled for this tenant", { httpStatus: 403 }),
  locked: entry(423, "ResourceLocked", "The resource is locked"),
  lockTimeout: entry(503, "LockTimeout", "acquiring lock timeout", { error: "acquiring_lock_timeout" }),
  slowDown: entry(429, "SlowDown", "Too many connections issued to the database", {
    error: "too_many_connections",
    httpStatus: 429,
  }),
  tooManyUploads: entry(429, "SlowDown", "Too many uploads of the project are under way", { httpStatus: 429 }),
  tooManyTransformations: entry(429, "SlowDown", "Too many image transformations of the project are under way", {
    httpStatus: 429,
  }),
  databaseTimeout: entry(544, "DatabaseTimeout", "The connection to the database timed out", { httpStatus: 544 }),
  readOnly: entry(503, "DatabaseReadOnly", "The database is in read-only mode"),
  invalidObjectDefinition: entry(503, "InvalidObjectDefinition", "A policy or trigger of the project is not valid"),
  schemaMismatch: entry(503, "SchemaMismatch", "The schema of the project's storage is not as expected"),
  databaseError: entry(500, "DatabaseError", "database error", { httpStatus: 500 }),
  storeFailed: entry(500, "S3Error", "The object store did not answer as expected", { httpStatus: 500 }),
  noSpace: entry(507, "InsufficientStorage", "The server has no room for the object at the moment", {
    httpStatus: 507,
  }),
  aborted: entry(500, "Aborted", "Request aborted", { httpStatus: 499 }),
  invalidImage: entry(400, "InvalidRequest", "The source image is invalid or unsupported for rendering"),
  imageTooLarge: entry(400, "InvalidRequest", "The source image is too large for rendering"),
  imageTimeout: entry(408, "InvalidRequest", "The source image took too long to render", { httpStatus: 408 }),
  routeNotFound: entry(404, "InvalidRequest", "Route not found", { error: "Not Found", httpStatus: 404 }),
  invalidUploadId: entry(400, "InvalidUploadId", "Invalid upload id"),
  // Of the S3 endpoint, where the status is the true one.
  malformedXml: entry(400, "MalformedXML", "The XML is not well-formed or not as this operation expects it"),
  signatureMismatch: entry(
    403,
    "SignatureDoesNotMatch",
    "The request signature we calculated does not match the signature you provided",
  ),
  unknownAccessKey: entry(403, "InvalidAccessKeyId", "The access key does not exist"),
  expiredToken: entry(400, "ExpiredToken", "The provided token has expired."),
  timeSkewed: entry(403, "RequestTimeTooSkewed", "The request's time is too far from the server's"),
  invalidChecksum: entry(400, "InvalidChecksum", "The checksum of the body is not as announced"),
  incompleteBody: entry(400, "IncompleteBody", "The body is shorter or longer than announced"),
  notImplemented: entry(501, "NotImplemented", "This operation is not implemented"),
  preconditionFailed: entry(412, "PreconditionFailed", "At least one of the preconditions did not hold"),
  invalidPart: entry(400, "InvalidPart", "A part was not uploaded, or its entity tag is another one"),
  invalidPartOrder: entry(400, "InvalidPartOrder", "The parts are not in ascending order"),
  missingContentLength: entry(411, "MissingContentLength", "You must provide the Content-Length HTTP header"),
  s3Disabled: entry(403, "FeatureNotEnabled", "feature not enabled for this tenant", { httpStatus: 403 }),
  internal: entry(500, "InternalError", "Internal Server Error", { error: "Internal", httpStatus: 500 }),
} as const satisfies Record<string, Entry>;

export type StorageErrorName = keyof typeof CATALOGUE;

export interface StorageErrorOptions extends ErrorOptions {
  readonly message?: string;
  readonly httpStatus?: number;
  readonly headers?: readonly (readonly [string, string])[];
}

/** Sent as `{statusCode, error, message, code}`; what must stay private goes in `cause`, which is only logged. */
export class StorageError extends Error {
  readonly kind: StorageErrorName;
  readonly code: string;
  /** The body field `statusCode`, which TUS and S3 use as the true status. */
  readonly statusCode: number;
  readonly error: string;
  readonly httpStatus: number;
  readonly headers: readonly (readonly [string, string])[];

  constructor(kind: StorageErrorName, options: StorageErrorOptions = {}) {
    const found: Entry = CATALOGUE[kind];
    super(options.message ?? found.message, options);
    this.kind = kind;
    this.code = found.code;
    this.statusCode = found.statusCode;
    this.error = found.error ?? found.code;
    this.httpStatus = options.httpStatus ?? found.httpStatus ?? 400;
    this.headers = options.headers ?? [];
  }
}

export function storageError(kind: StorageErrorName, message?: string): StorageError {
  return new StorageError(kind, message === undefined ? {} : { message });
}

/** A PostgreSQL failure that was caught inside a function, or came as an error. */
interface SqlFailure {
  readonly code: string;
  readonly message: string;
  readonly detail?: string | null | undefined;
}

const RLS_VIOLATION = "new row violates row-level security policy";
const CONNECTIONS_EXHAUSTED = /too many (?:clients|connections)|remaining connection slots|max client connections/i;

/** @param taken What a unique violation means here. */
export function sqlError(
  failure: SqlFailure,
  taken: StorageErrorName = "resourceExists",
  cause?: unknown,
): StorageError {
  const options = cause === undefined ? {} : { cause };
  const make = (kind: StorageErrorName, message?: string) =>
    new StorageError(kind, message === undefined ? options : { ...options, message });
  switch (failure.code) {
    case "42501":
      return make("accessDenied", failure.message.startsWith(RLS_VIOLATION) ? RLS_VIOLATION : failure.message);
    case "23505":
      return make(taken);
    case "23503":
      return /still referenced/.test(failure.detail ?? failure.message)
        ? make("resourceReferenced")
        : make("relatedResourceMissing");
    case "55P03":
      return make("lockTimeout");
    case "57014":
      return make("databaseTimeout");
    case "25006":
      return make("readOnly");
    case "42P17":
      return make("invalidObjectDefinition");
    case "22P02":
    case "22P05":
      return make("invalidParameter", failure.message);
    case "42703":
    case "42P01":
      return make("schemaMismatch");
    case "53300":
      return make("slowDown");
    default:
      if (CONNECTIONS_EXHAUSTED.test(failure.message)) return make("slowDown");
      return make("databaseError", `database error, code: ${failure.code}`);
  }
}

/** What a call to the database threw, as the caller is told; anything unknown is passed on. */
export function databaseFailure(error: unknown, taken?: StorageErrorName): unknown {
  if (error instanceof DatabaseError) return sqlError(error, taken, error);
  if (error instanceof PoolTimeout || error instanceof ConnectionLost)
    return new StorageError("databaseTimeout", { cause: error });
  return error;
}
