/** Images on request: found as any object, transformed in a worker thread, kept for who asks next. */

import { createHash } from "node:crypto";
import { ThreadQueueFull } from "../../../control-plane/client/fair-threads.ts";
import type { HeldBytes } from "../../held-bytes.ts";
import type { ServiceResponse } from "../../service.ts";
import { WorkerPool } from "../../work/worker-pool.ts";
import type { StorageContext } from "../context.ts";
import type { ObjectRow } from "../database/rows.ts";
import { storageError } from "../errors.ts";
import { FairCache } from "../fair-cache.ts";
import { isNotModified } from "../objects/conditions.ts";
import { contentDisposition, lastModifiedMs, objectHeaders, openObject } from "../objects/download.ts";
import { readWhole } from "../objects/reader.ts";
import type { StorageParts } from "../service.ts";
import { type Transformation, transformationText } from "./transformation.ts";

const MAX_SOURCE_BYTES = 25_000_000;
const CACHE_BYTES = 32 * 1024 * 1024;
const QUEUED_PER_PROJECT = 16;
const QUEUED = 128;
const JOB_TIMEOUT_MS = 15_000;

interface Variant {
  readonly bytes: Buffer;
  readonly contentType: string;
}

export class ImageRenderer {
  readonly #pool = new WorkerPool({
    threads: 1,
    maxQueuedPerProject: QUEUED_PER_PROJECT,
    maxQueued: QUEUED,
    jobTimeoutMs: JOB_TIMEOUT_MS,
  });
  readonly #variants = new FairCache<Variant>(CACHE_BYTES);
  readonly #underWay = new Map<string, Promise<Variant>>();
  readonly #heldBytes: HeldBytes;

  /** @param heldBytes Of the process: sources wait in memory for their turn. */
  constructor(heldBytes: HeldBytes) {
    this.#heldBytes = heldBytes;
  }

  /** @throws {StorageError} */
  async render(
    parts: StorageParts,
    context: StorageContext,
    object: ObjectRow,
    transformation: Transformation,
    options: { readonly download: string | null; readonly expires: number | null },
    reread: () => Promise<ObjectRow>,
  ): Promise<ServiceResponse> {
    const { headers: sent, method } = context.request;
    const acceptsWebp = transformation.format === undefined && /image\/webp/i.test(sent.accept ?? "");
    const text = transformationText(transformation);
    const key = `${object.version}/${text}${focusText(transformation)}/${acceptsWebp ? "webp" : ""}`;
    const etag = `"${createHash("md5")
      .update(`${object.metadata?.eTag ?? ""}${key}`)
      .digest("hex")}"`;
    const headers: [string, string][] = objectHeaders(object, false)
      .filter(([name]) => KEPT_HEADERS.has(name))
      .map(([name, value]) => [name, value]);
    headers.push(["etag", etag], ["x-transformations", text], ["vary", "Accept"]);
    if (options.expires !== null) headers.push(["expires", new Date(options.expires * 1000).toUTCString()]);
    else headers.push(["cache-control", object.metadata?.cacheControl ?? "no-cache"]);
    if (options.download !== null) headers.push(["content-disposition", contentDisposition(options.download)]);
    if (isNotModified(sent, etag, lastModifiedMs(object))) return { status: 304, headers, body: null };
    const variant = await this.#variant(parts, context, object, { transformation, acceptsWebp }, key, reread);
    headers.push(["content-type", variant.contentType], ["content-length", String(variant.bytes.length)]);
    return { status: 200, headers, body: method === "HEAD" ? null : variant.bytes };
  }

  close(): Promise<void> {
    return this.#pool.close();
  }

  async #variant(
    parts: StorageParts,
    context: StorageContext,
    object: ObjectRow,
    wish: { readonly transformation: Transformation; readonly acceptsWebp: boolean },
    key: string,
    reread: () => Promise<ObjectRow>,
  ): Promise<Variant> {
    const project = context.project.projectRef;
    const known = this.#variants.get(project, key);
    if (known) return known;
    const workKey = `${project}/${key}`;
    const underWay = this.#underWay.get(workKey) ?? this.#make(parts, context, object, wish, reread);
    this.#underWay.set(workKey, underWay);
    try {
      const variant = await underWay;
      this.#variants.set(project, key, variant, variant.bytes.length);
      return variant;
    } finally {
      this.#underWay.delete(workKey);
    }
  }

  async #make(
    parts: StorageParts,
    context: StorageContext,
    object: ObjectRow,
    wish: { readonly transformation: Transformation; readonly acceptsWebp: boolean },
    reread: () => Promise<ObjectRow>,
  ): Promise<Variant> {
    const project = context.project.projectRef;
    const opened = await openObject(parts, context, object, reread);
    const { bytes } = opened;
    if (bytes.bytes > MAX_SOURCE_BYTES) {
      await bytes.close();
      throw storageError("imageTooLarge");
    }
    if (!this.#heldBytes.take(project, bytes.bytes)) {
      await bytes.close();
      throw storageError("tooManyTransformations");
    }
    try {
      // A copy: what is in the cache of objects must not be handed over to a thread.
      const source = Buffer.from(bytes.whole?.(0, bytes.bytes) ?? (await readWhole(bytes)));
      const output = await this.#pool.run(project, "transformImage", { bytes: new Uint8Array(source), ...wish });
      if ("refusal" in output) throw storageError(REFUSALS[output.refusal]);
      const { contentType } = output;
      const { buffer, byteOffset, byteLength } = output.bytes;
      return { bytes: Buffer.from(buffer, byteOffset, byteLength), contentType };
    } catch (error) {
      if (error instanceof ThreadQueueFull) throw storageError("tooManyTransformations");
      if ((error as Error).name === "AbortError") throw storageError("imageTimeout");
      throw error;
    } finally {
      this.#heldBytes.give(project, bytes.bytes);
    }
  }
}

const REFUSALS = { invalid: "invalidImage", too_large: "imageTooLarge", too_slow: "imageTimeout" } as const;
const KEPT_HEADERS: ReadonlySet<string> = new Set(["last-modified", "x-robots-tag", "x-content-type-options"]);

function focusText({ focus }: Transformation): string {
  return focus ? `,${focus.x},${focus.y}` : "";
}
