/**
 * Files of versions on a local disk: `<root>/<project>/<2 hex>/<2 hex>/<version>`. No text of a user is in a path, folders
 * stay small, and names differ in more than their case. A file is written once, synced with its folder, and only read then.
 */
import { createHash, type Hash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, link, mkdir, open, opendir, readdir, rename, rm, statfs, unlink } from "node:fs/promises";
import { join } from "node:path";
import { LRUCache } from "lru-cache";
import type { ProjectRef } from "../../../control-plane/client/config-snapshot.ts";
import {
  BytesMissing,
  isVersion,
  NoSpaceLeft,
  ObjectTooLarge,
  type OpenObject,
  type StoredVersion,
  type WriteOptions,
  type WrittenObject,
} from "./backend.ts";

/** Read at a time. Two of them are in memory for a download: this one and what the socket has not taken yet. */
const READ_BYTES = 256 * 1024;
const KNOWN_FOLDERS = 20_000;
const SPACE_CHECK_MS = 1_000;
/** PostgreSQL may live on the same disk, and all projects with it: the last part of it is not for objects. */
const RESERVED_SHARE = 0.02;
const MAX_RESERVED_BYTES = 1024 * 1024 * 1024;

export interface DiskStoreOptions {
  /** Made when it is not there. */
  readonly root: string;
  /** Bytes of the disk that are kept free; a fiftieth of it and at most 1 GiB when left out. */
  readonly reservedBytes?: number | undefined;
}

export class DiskStore {
  readonly root: string;
  readonly #reservedBytes: number | undefined;
  readonly #folders = new LRUCache<string, true>({ max: KNOWN_FOLDERS });
  #space: { readonly free: number; readonly reserved: number; readonly at: number } | null = null;

  constructor({ root, reservedBytes }: DiskStoreOptions) {
    this.root = root;
    this.#reservedBytes = reservedBytes;
  }

  /** @throws {NoSpaceLeft} when the disk has no room for so many bytes. */
  async requireSpace(bytes: number): Promise<void> {
    const now = performance.now();
    if (this.#space === null || now - this.#space.at > SPACE_CHECK_MS) {
      await mkdir(this.root, { recursive: true, mode: 0o700 });
      const { bavail, blocks, bsize } = await statfs(this.root);
      const reserved = this.#reservedBytes ?? Math.min(blocks * bsize * RESERVED_SHARE, MAX_RESERVED_BYTES);
      this.#space = { free: bavail * bsize, reserved, at: now };
    }
    if (this.#space.free - bytes < this.#space.reserved) throw new NoSpaceLeft("the disk has no room for the object");
  }

  /** Writes a new version. Nothing of it stays when that fails. */
  async write(
    project: ProjectRef,
    version: string,
    body: AsyncIterable<Buffer>,
    { maxBytes, declaredBytes }: WriteOptions,
  ): Promise<WrittenObject> {
    await this.requireSpace(declaredBytes ?? 0);
    const file = await this.create(project, version);
    let checkAt = SPACE_CHECK_BYTES;
    try {
      for await (const chunk of body) {
        if (file.bytes + chunk.length > maxBytes) throw new ObjectTooLarge(`more than ${maxBytes} bytes`);
        await file.append(chunk);
        if (file.bytes < checkAt) continue;
        checkAt = file.bytes + SPACE_CHECK_BYTES;
        await this.requireSpace(0);
      }
      const md5 = file.digest();
      await file.finish();
      return { bytes: file.bytes, md5 };
    } catch (error) {
      await file.abandon();
      await this.remove(project, version);
      throw outOfSpace(error);
    }
  }

  /** A new file to be filled by and by. The caller closes it. */
  async create(project: ProjectRef, version: string): Promise<StagedFile> {
    const folder = await this.#ensureFolder(project, version);
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
    const handle = await open(join(folder, version), flags, 0o600).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw outOfSpace(error);
      // The folder was here a moment ago: its project was erased, or somebody has tidied up.
      this.#folders.delete(folder);
      return open(join(await this.#ensureFolder(project, version), version), flags, 0o600);
    });
    return new StagedFile(handle, folder, 0);
  }

  /** An unfinished file, to be continued at an offset: what lies behind it is cut off. @throws {BytesMissing} */
  async continue(project: ProjectRef, version: string, offset: number): Promise<StagedFile> {
    const folder = this.#folder(project, version);
    const handle = await open(join(folder, version), constants.O_WRONLY).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") throw new BytesMissing(version);
      throw error;
    });
    try {
      const { size } = await handle.stat();
      if (size < offset) throw new BytesMissing(version);
      if (size > offset) await handle.truncate(offset);
      return new StagedFile(handle, folder, offset);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async open(project: ProjectRef, version: string): Promise<OpenObject | null> {
    if (!isVersion(version)) return null;
    try {
      const handle = await open(join(this.#folder(project, version), version), constants.O_RDONLY);
      const { size } = await handle.stat();
      return new OpenFile(handle, size);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw error;
    }
  }

  /** The same bytes as another version: a second name of the file, since neither is ever changed. @throws {BytesMissing} */
  async copy(project: ProjectRef, from: string, to: string): Promise<void> {
    if (!isVersion(from)) throw new BytesMissing(from);
    const folder = await this.#ensureFolder(project, to);
    try {
      await link(join(this.#folder(project, from), from), join(folder, to));
      await syncFolder(folder);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT") throw new BytesMissing(from);
      if (code !== "EMLINK" && code !== "EPERM" && code !== "ENOTSUP") throw outOfSpace(error);
      await this.concatenate(project, [from], to); // no further link to this file, or none on this disk
    }
  }

  /** One version of the bytes of several. @throws {BytesMissing} */
  async concatenate(project: ProjectRef, parts: readonly string[], to: string): Promise<void> {
    const target = await this.create(project, to);
    try {
      for await (const chunk of this.readAll(project, parts)) await target.appendUnhashed(chunk);
      await target.finish();
    } catch (error) {
      await target.abandon();
      await this.remove(project, to);
      throw outOfSpace(error);
    }
  }

  /** The bytes of several versions, one after the other. @throws {BytesMissing} */
  async *readAll(project: ProjectRef, versions: readonly string[]): AsyncGenerator<Buffer> {
    for (const version of versions) {
      const file = await this.open(project, version);
      if (file === null) throw new BytesMissing(version);
      yield* file.read(0, file.bytes);
    }
  }

  async remove(project: ProjectRef, version: string): Promise<void> {
    if (!isVersion(version)) return;
    await unlink(join(this.#folder(project, version), version)).catch(ignoreMissing);
  }

  /** Out of the way at once, then removed; what a crash leaves is removed the next time. */
  async eraseProject(project: ProjectRef): Promise<void> {
    const erased = join(this.root, ".erased");
    await mkdir(erased, { recursive: true, mode: 0o700 });
    this.#folders.clear();
    await rename(join(this.root, project), join(erased, `${project}-${Date.now()}`)).catch(ignoreMissing);
    for (const name of await readdir(erased)) {
      if (name.startsWith(project)) await rm(join(erased, name), { recursive: true, force: true });
    }
    await syncFolder(this.root);
  }

  /** Projects that have a folder here. */
  async listProjects(): Promise<string[]> {
    const names = await readdir(this.root).catch(() => [] as string[]);
    return names.filter((name) => !name.startsWith("."));
  }

  /** Removes what an interrupted {@link eraseProject} has left. */
  async finishErasures(): Promise<void> {
    await rm(join(this.root, ".erased"), { recursive: true, force: true });
  }

  async *list(project: ProjectRef): AsyncGenerator<StoredVersion> {
    for await (const outer of folders(join(this.root, project))) {
      for await (const inner of folders(outer)) {
        for (const name of await readdir(inner)) {
          if (!isVersion(name)) continue;
          const path = join(inner, name);
          const handle = await open(path, constants.O_RDONLY).catch(() => null);
          if (!handle) continue;
          const { size, ctimeMs } = await handle.stat().finally(() => handle.close());
          yield { version: name, bytes: size, modifiedMs: ctimeMs, remove: () => unlink(path).catch(ignoreMissing) };
        }
      }
    }
  }

  #folder(project: ProjectRef, version: string): string {
    return join(this.root, project, version.slice(0, 2), version.slice(2, 4));
  }

  async #ensureFolder(project: ProjectRef, version: string): Promise<string> {
    const folder = this.#folder(project, version);
    if (this.#folders.has(folder)) return folder;
    const first = await mkdir(folder, { recursive: true, mode: 0o700 }).catch((error) => {
      throw outOfSpace(error);
    });
    if (first !== undefined) {
      // A new folder is durable when its parent is.
      await syncFolder(join(this.root, project, version.slice(0, 2)));
      await syncFolder(join(this.root, project));
      await syncFolder(this.root);
    }
    this.#folders.set(folder, true);
    return folder;
  }
}

/** A long upload looks again whether there is room, each time after so many bytes. */
const SPACE_CHECK_BYTES = 16 * 1024 * 1024;

/** A file that is being written, with the MD5 of what was appended since it was opened or last digested. */
export class StagedFile {
  readonly #handle: FileHandle;
  readonly #folder: string;
  #hash: Hash = createHash("md5");
  #isClosed = false;
  /** Length of the file. */
  bytes: number;

  constructor(handle: FileHandle, folder: string, bytes: number) {
    this.#handle = handle;
    this.#folder = folder;
    this.bytes = bytes;
  }

  async append(chunk: Buffer): Promise<void> {
    this.#hash.update(chunk);
    await this.appendUnhashed(chunk);
  }

  async appendUnhashed(chunk: Buffer): Promise<void> {
    let written = 0;
    while (written < chunk.length) {
      const { bytesWritten } = await this.#handle.write(chunk, written, chunk.length - written, this.bytes);
      written += bytesWritten;
      this.bytes += bytesWritten;
    }
  }

  /** MD5 in hex of what was appended since the last digest. */
  digest(): string {
    const md5 = this.#hash.digest("hex");
    this.#hash = createHash("md5");
    return md5;
  }

  /** Forgets what was appended behind the offset. */
  async truncate(offset: number): Promise<void> {
    await this.#handle.truncate(offset);
    this.bytes = offset;
  }

  async sync(): Promise<void> {
    await this.#handle.datasync();
  }

  /** Durable, and closed. */
  async finish(): Promise<void> {
    await this.#handle.datasync();
    await this.abandon();
    await syncFolder(this.#folder);
  }

  async abandon(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#handle.close();
  }
}

class OpenFile implements OpenObject {
  readonly #handle: FileHandle;
  readonly bytes: number;
  #isClosed = false;

  constructor(handle: FileHandle, bytes: number) {
    this.#handle = handle;
    this.bytes = bytes;
  }

  async *read(start: number, length: number): AsyncGenerator<Buffer> {
    const buffer = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, Math.max(1, length)));
    let position = start;
    const end = start + length;
    try {
      while (position < end) {
        const { bytesRead } = await this.#handle.read(buffer, 0, Math.min(buffer.length, end - position), position);
        if (bytesRead === 0) throw new Error("the file is shorter than it was");
        position += bytesRead;
        yield bytesRead === buffer.length ? buffer : buffer.subarray(0, bytesRead);
      }
    } finally {
      await this.close();
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#handle.close();
  }
}

async function* folders(parent: string): AsyncGenerator<string> {
  const folder = await opendir(parent).catch(() => null);
  if (!folder) return;
  for await (const entry of folder) if (entry.isDirectory()) yield join(parent, entry.name);
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}

function outOfSpace(error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOSPC" || code === "EDQUOT" ? new NoSpaceLeft("the disk is full", { cause: error }) : error;
}
