/** The S3 endpoint: path-style addresses below `/s3`, XML, the statuses of S3. */
import type { ServiceSnapshot } from "../../../control-plane/client/config-snapshot.ts";
import type { ServiceRequest, ServiceResponse } from "../../service.ts";
import { StorageContext } from "../context.ts";
import { storageError } from "../errors.ts";
import { routeNotFound } from "../http/responses.ts";
import { isBucketName } from "../names.ts";
import { refuse, type StorageParts } from "../service.ts";
import { s3Error } from "./answers.ts";
import {
  createBucket,
  deleteBucket,
  getLocation,
  getVersioning,
  headBucket,
  listBuckets,
  listObjects,
  listObjectsV2,
} from "./buckets.ts";
import {
  abortUpload,
  completeUpload,
  createUpload,
  listParts,
  listUploads,
  uploadPart,
  uploadPartCopy,
} from "./multipart.ts";
import {
  copyObjectTo,
  deleteObject,
  deleteObjects,
  getObject,
  getTagging,
  headObject,
  parseCopySource,
  putObject,
} from "./objects.ts";
import { S3Request } from "./s3-request.ts";
import { verifySignature } from "./signature.ts";

/** Parts of the protocol that would otherwise be taken for a list, a get or a put. */
const UNKNOWN_SUBRESOURCES = [
  ...[
    "acl",
    "cors",
    "policy",
    "policyStatus",
    "versions",
    "lifecycle",
    "replication",
    "encryption",
    "website",
    "logging",
  ],
  ...[
    "notification",
    "accelerate",
    "requestPayment",
    "ownershipControls",
    "publicAccessBlock",
    "object-lock",
    "metrics",
  ],
  ...[
    "analytics",
    "inventory",
    "intelligent-tiering",
    "retention",
    "legal-hold",
    "torrent",
    "restore",
    "select",
    "attributes",
  ],
];

export async function handleS3(
  parts: StorageParts,
  request: ServiceRequest,
  project: ServiceSnapshot,
): Promise<ServiceResponse> {
  try {
    if (!project.storage.s3ProtocolEnabled) throw storageError("s3Disabled");
    const verified = verifySignature(request, project, parts.callers, parts.now());
    const databaseOf = () => parts.databases.get(project.projectRef, project.database);
    const s3 = new S3Request(parts, request, verified, (caller, operation) => {
      return new StorageContext(request, project, databaseOf, caller, operation);
    });
    return (await dispatch(s3)) ?? routeNotFound(request.method, request.path);
  } catch (error) {
    return refuse(parts, request, project, error, (failure) => s3Error(failure, request));
  }
}

function dispatch(s3: S3Request): Promise<ServiceResponse | null> {
  const [, , bucketPart = "", ...keyParts] = s3.request.path.split("/");
  const bucket = decodeURIComponent(bucketPart);
  const key = decodeURIComponent(keyParts.join("/"));
  if (UNKNOWN_SUBRESOURCES.some((name) => s3.query.has(name))) throw storageError("notImplemented");
  if (bucket === "") return s3.request.method === "GET" ? listBuckets(s3) : Promise.resolve(null);
  if (!isBucketName(bucket) && s3.request.method !== "PUT") throw storageError("bucketNotFound");
  return key === "" ? onBucket(s3, bucket) : onObject(s3, bucket, key);
}

async function onBucket(s3: S3Request, bucket: string): Promise<ServiceResponse | null> {
  const { query } = s3;
  switch (s3.request.method) {
    case "GET":
      if (query.has("location")) return getLocation(s3, bucket);
      if (query.has("versioning")) return getVersioning(s3, bucket);
      if (query.has("uploads")) return listUploads(s3, bucket);
      if (query.has("tagging")) throw storageError("notImplemented");
      return query.get("list-type") === "2" ? listObjectsV2(s3, bucket) : listObjects(s3, bucket);
    case "HEAD":
      return headBucket(s3, bucket);
    case "PUT":
      if (query.has("versioning") || query.has("tagging")) throw storageError("notImplemented");
      return createBucket(s3, bucket);
    case "DELETE":
      return deleteBucket(s3, bucket);
    case "POST":
      if (query.has("delete")) return deleteObjects(s3, bucket);
      throw storageError("notImplemented");
    default:
      return null;
  }
}

async function onObject(s3: S3Request, bucket: string, key: string): Promise<ServiceResponse | null> {
  const { query } = s3;
  switch (s3.request.method) {
    case "GET":
      if (query.has("uploadId")) return listParts(s3, bucket, key);
      return query.has("tagging") ? getTagging(s3, bucket, key) : getObject(s3, bucket, key);
    case "HEAD":
      return headObject(s3, bucket, key);
    case "PUT":
      return put(s3, bucket, key);
    case "POST":
      if (query.has("uploads")) return createUpload(s3, bucket, key);
      if (query.has("uploadId")) return completeUpload(s3, bucket, key);
      throw storageError("notImplemented");
    case "DELETE":
      if (query.has("tagging")) throw storageError("notImplemented");
      return query.has("uploadId") ? abortUpload(s3, bucket, key) : deleteObject(s3, bucket, key);
    default:
      return null;
  }
}

function put(s3: S3Request, bucket: string, key: string): Promise<ServiceResponse> {
  if (s3.query.has("tagging")) throw storageError("notImplemented");
  const source = parseCopySource(s3);
  if (s3.query.has("uploadId")) {
    return source ? uploadPartCopy(s3, source, bucket, key) : uploadPart(s3, bucket, key);
  }
  return source ? copyObjectTo(s3, source, bucket, key) : putObject(s3, bucket, key);
}
