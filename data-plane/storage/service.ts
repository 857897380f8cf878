/**
 * Storage of many projects in one process: files in buckets, under the policies of each project's database. The routes of
 * storage-js are here; resumable uploads (tus/) and the S3 endpoint (s3/) speak protocols of their own.
 */
import type { ProjectRef, ServiceSnapshot } from "../../control-plane/client/config-snapshot.ts";
import type { ProjectDatabases } from "../database/database.ts";
import type { HeldBytes } from "../held-bytes.ts";
import { BodyAborted, BodyTooLarge, type Service, type ServiceRequest, type ServiceResponse } from "../service.ts";
import { BytesMissing, NoSpaceLeft, type ObjectBackend, ObjectTooLarge } from "./backend/backend.ts";
import type { DiskStore } from "./backend/disk-store.ts";
import { databaseFailure, StorageError, storageError } from "./errors.ts";
import { errorResponse, json } from "./http/responses.ts";
import { Callers } from "./identity.ts";
import { ImageRenderer } from "./images/render.ts";
import { ObjectReader } from "./objects/reader.ts";
import { handleRest } from "./rest-routes.ts";
import { handleS3 } from "./s3/s3-routes.ts";
import { Shares } from "./shares.ts";
import { handleTus } from "./tus/tus-routes.ts";
import { Upkeep } from "./upkeep/upkeep.ts";

export interface StorageLogger {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

/** What the handlers share. */
export interface StorageParts {
  readonly databases: ProjectDatabases;
  readonly backend: ObjectBackend;
  /** Uploads that come in pieces lie here until they are whole. */
  readonly staging: DiskStore;
  readonly reader: ObjectReader;
  readonly callers: Callers;
  /** Uploads under way by project. */
  readonly uploads: Shares;
  readonly upkeep: Upkeep;
  readonly images: ImageRenderer;
  readonly logger: StorageLogger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export interface StorageServiceOptions {
  readonly databases: ProjectDatabases;
  readonly backend: ObjectBackend;
  readonly staging: DiskStore;
  /** Null: the project is gone. */
  readonly snapshotOf: (ref: ProjectRef) => Promise<ServiceSnapshot | null>;
  /** Of the process; images wait in memory for their turn. */
  readonly heldBytes: HeldBytes;
  readonly logger: StorageLogger;
  readonly now: () => number;
}

export interface StorageService {
  readonly handle: Service;
  readonly upkeep: Upkeep;
  /** The project is gone for good, and with it its bytes. */
  projectDeleted(ref: ProjectRef): Promise<void>;
  close(): Promise<void>;
}

const MAX_UPLOADS_OF_PROJECT = 200;
const MAX_OPEN_OBJECTS_OF_PROJECT = 500;
/** What is taken in of an upload that was refused, so that its client reads why. */
const LINGER_BYTES = 16 * 1024 * 1024;
const LINGER_MS = 5_000;

export function createStorageService(options: StorageServiceOptions): StorageService {
  const { databases, backend, staging, logger, now } = options;
  const upkeep = new Upkeep({ staging, backend, databases, snapshotOf: options.snapshotOf, logger, now });
  const parts: StorageParts = {
    ...{ databases, backend, staging, upkeep, logger, now },
    reader: new ObjectReader(backend, new Shares(MAX_OPEN_OBJECTS_OF_PROJECT, "slowDown")),
    callers: new Callers(now),
    uploads: new Shares(MAX_UPLOADS_OF_PROJECT, "tooManyUploads"),
    images: new ImageRenderer(options.heldBytes),
  };
  upkeep.start();

  const handle: Service = async (request, project) => {
    try {
      return await route(parts, request, project);
    } catch (error) {
      return refuse(parts, request, project, error, (failure) => errorResponse(failure, request.method));
    }
  };
  return {
    handle,
    upkeep,
    projectDeleted: (ref) => backend.eraseProject(ref),
    async close() {
      await upkeep.close();
      await parts.images.close();
    },
  };
}

/** What went wrong, as the client's protocol says it; what is nobody's fault here is thrown again. */
export async function refuse(
  { logger }: StorageParts,
  request: ServiceRequest,
  { projectRef }: ServiceSnapshot,
  error: unknown,
  render: (failure: StorageError) => ServiceResponse,
): Promise<ServiceResponse> {
  const failure = toStorageError(error);
  if (failure.httpStatus >= 500 && failure.kind !== "noSpace") {
    logger.warn({ err: failure.cause ?? failure, requestId: request.requestId, projectRef }, "storage failed");
  }
  await takeRest(request);
  return render(failure);
}

function route(parts: StorageParts, request: ServiceRequest, project: ServiceSnapshot): Promise<ServiceResponse> {
  const { path } = request;
  if (path === "/status") return Promise.resolve({ status: 200, headers: [], body: "" });
  if (path === "/version")
    return Promise.resolve({ status: 200, headers: [["content-type", "text/plain"]], body: VERSION });
  if (path === "/health") return Promise.resolve(json({ healthy: true }));
  if (path === "/s3" || path.startsWith("/s3/")) return handleS3(parts, request, project);
  if (path === "/upload/resumable" || path.startsWith("/upload/resumable/")) return handleTus(parts, request, project);
  return handleRest(parts, request, project);
}

/** Of the original whose behaviour this is. */
const VERSION = "1.70.0";

/** @throws What is nobody's fault here: the client has gone away, or does not go on. */
function toStorageError(error: unknown): StorageError {
  if (error instanceof StorageError) return error;
  if (error instanceof NoSpaceLeft) return new StorageError("noSpace", { cause: error });
  if (error instanceof ObjectTooLarge || error instanceof BodyTooLarge) return storageError("tooLarge");
  if (error instanceof BytesMissing) return storageError("bytesMissing");
  if (error instanceof BodyAborted) throw error;
  const failure = databaseFailure(error);
  return failure instanceof StorageError ? failure : new StorageError("internal", { cause: error });
}

/** Takes in what is left of a body, within bounds, so that the client reads the answer instead of a broken connection. */
export async function takeRest({ body, signal }: ServiceRequest): Promise<void> {
  if (body === null || (body.declaredBytes ?? 0) > LINGER_BYTES) return;
  const until = performance.now() + LINGER_MS;
  let bytes = 0;
  try {
    for await (const chunk of body.stream()) {
      bytes += chunk.length;
      if (bytes > LINGER_BYTES || performance.now() > until || signal.aborted) return;
    }
  } catch {
    // it has gone away, or was too large: there is nothing more to take in
  }
}
