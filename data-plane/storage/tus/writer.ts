/**
 * Writing to a resumable upload. One request at a time does, whichever process it came to: the row says who, for some
 * seconds at a time, and a newcomer asks the holder to let go. What has come is made durable and written down every so often.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { BytesMissing } from "../backend/backend.ts";
import type { StagedFile } from "../backend/disk-store.ts";
import type { StorageContext } from "../context.ts";
import { storageError } from "../errors.ts";
import type { StorageParts } from "../service.ts";
import { TusError } from "./tus-error.ts";
import { addPiece, keepLock, type ResumableUpload, saveProgress, tryLock, unlock, wantLock } from "./upload-table.ts";

const LOCK_WAIT_MS = 5_000;
const LOCK_POLL_MS = 150;
const KEEP_MS = 2_000;
const CHECKPOINT_BYTES = 16 * 1024 * 1024;

/** Holders of this process, who can be told at once. */
const holders = new Map<string, () => void>();

export interface Lock {
  readonly holder: string;
  readonly upload: ResumableUpload;
  /** Somebody else wants to write, or has already begun to. */
  isWanted(): boolean;
  release(): Promise<void>;
}

/** @throws {StorageError} LockTimeout. @throws {TusError} when there is no such upload any more. */
export async function lockUpload(context: StorageContext, version: string): Promise<Lock> {
  const holder = randomUUID();
  const key = `${context.project.projectRef}/${version}`;
  const until = performance.now() + LOCK_WAIT_MS;
  let upload = await tryLock(context, version, holder);
  while (upload === null) {
    if (performance.now() > until) throw storageError("lockTimeout");
    holders.get(key)?.();
    await wantLock(context, version, holder);
    await delay(LOCK_POLL_MS);
    upload = await tryLock(context, version, holder);
  }
  let isWanted = false;
  const letGo = () => {
    isWanted = true;
  };
  holders.set(key, letGo);
  const timer = setInterval(() => {
    keepLock(context, version, holder)
      .then((state) => {
        if (state !== "kept") isWanted = true;
      })
      .catch(() => {});
  }, KEEP_MS);
  timer.unref();
  return {
    holder,
    upload,
    isWanted: () => isWanted,
    async release() {
      clearInterval(timer);
      if (holders.get(key) === letGo) holders.delete(key);
      await unlock(context, version, holder);
    },
  };
}

export interface WriteLimits {
  /** Length of the upload, or the most it may have while that is not known. */
  readonly maxBytes: number;
  /** As known or announced now. */
  readonly length: number | null;
}

/**
 * Takes in a request's body. Whatever ends it early, what was received before stays, except when there was more than announced.
 * @returns The upload as it is then; the file is synced. @throws {TusError} 413
 */
export async function writePiece(
  parts: StorageParts,
  context: StorageContext,
  lock: Lock,
  body: AsyncIterable<Buffer>,
  { maxBytes, length }: WriteLimits,
): Promise<ResumableUpload> {
  const { holder } = lock;
  const before = { ...lock.upload, length };
  const file = await openFile(parts, context, before);
  let saved = before;
  const save = async () => {
    if (file.bytes === saved.offset && saved.length === lock.upload.length) return;
    await file.sync();
    const piece = file.bytes === saved.offset ? {} : addPiece(saved, file.digest());
    const next = { ...saved, ...piece, offset: file.bytes };
    if (!(await saveProgress(context, next, holder))) throw storageError("lockTimeout");
    saved = next;
  };
  try {
    for await (const chunk of body) {
      if (file.bytes + chunk.length > maxBytes) {
        await file.truncate(before.offset);
        await saveProgress(context, before, holder);
        saved = { ...before, offset: file.bytes };
        throw new TusError(413, "upload's size exceeded\n");
      }
      await file.append(chunk);
      if (lock.isWanted()) {
        await save();
        throw storageError("locked");
      }
      if (file.bytes - saved.offset < CHECKPOINT_BYTES) continue;
      await parts.staging.requireSpace(0);
      await save();
    }
    await save();
    await file.finish();
    return saved;
  } catch (error) {
    await save().catch(() => {}); // the connection broke: what has come is kept
    throw error;
  } finally {
    await file.abandon();
  }
}

async function openFile(parts: StorageParts, context: StorageContext, upload: ResumableUpload): Promise<StagedFile> {
  const { staging } = parts;
  const { projectRef } = context.project;
  await staging.requireSpace(0);
  try {
    return await staging.continue(projectRef, upload.version, upload.offset);
  } catch (error) {
    if (!(error instanceof BytesMissing)) throw error;
    if (upload.offset > 0) throw new TusError(410, "The file for this url no longer exists\n");
    return staging.create(projectRef, upload.version);
  }
}
