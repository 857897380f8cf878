/** The object in the body of an upload: the body itself, or the one file of a form. Never whole in memory. */
import { once } from "node:events";
import type { Readable } from "node:stream";
import { Busboy, type BusboyInstance } from "@fastify/busboy";
import type { ServiceRequest } from "../../service.ts";
import { StorageError, storageError } from "../errors.ts";
import { checkRobotsTag, isMediaType } from "../names.ts";
import { parseUserMetadata, userMetadataOfHeader } from "./user-metadata.ts";

/** What is said of an object beside its bytes. */
export interface ObjectDescription {
  readonly contentType: string;
  readonly cacheControl: string;
  /** JSON text of an object. */
  readonly userMetadata: string;
  readonly robotsTag: string | null;
}

export interface UploadSource {
  readonly description: ObjectDescription;
  /** The length that the request has announced: for a form, of the whole form. */
  readonly announcedBytes: number | undefined;
  /** The object's own length, where it is known beforehand. */
  readonly declaredBytes: number | undefined;
  /** Each piece is only lent until the next one is asked for. */
  readonly body: AsyncIterable<Buffer>;
  /** After the body: what the form has said behind its file, or the same description. */
  finalDescription(): Promise<ObjectDescription>;
  /** The upload is refused: nothing more is read. */
  abandon(): void;
}

const MAX_FIELDS = 10;
const MAX_FIELD_BYTES = 1024 * 1024;
const DEFAULT_TYPE = "application/octet-stream";
const NO_CACHE = "no-cache";

/** @throws {StorageError} */
export async function openUpload(request: ServiceRequest): Promise<UploadSource> {
  const type = request.headers["content-type"];
  if (type !== undefined && /^multipart\/form-data\b/i.test(type)) return openForm(request, type);
  if (type !== undefined && !isMediaType(type)) throw storageError("invalidMimeType", "Invalid Content-Type header");
  const description = {
    contentType: type ?? DEFAULT_TYPE,
    cacheControl: request.headers["cache-control"] ?? NO_CACHE,
    userMetadata: userMetadataOfHeader(request.headers["x-metadata"]),
    robotsTag: robotsTagOf(request),
  };
  const { body } = request;
  return {
    description,
    announcedBytes: body === null ? 0 : body.declaredBytes,
    declaredBytes: body === null ? 0 : body.declaredBytes,
    body: body === null ? nothing() : body.stream({ lends: true }),
    finalDescription: async () => description,
    abandon: () => {},
  };
}

async function* nothing(): AsyncGenerator<Buffer> {}

function robotsTagOf({ headers }: ServiceRequest): string | null {
  const value = headers["x-robots-tag"];
  return value === undefined ? null : checkRobotsTag(value);
}

interface FormFile {
  readonly stream: Readable & { truncated?: boolean };
  readonly type: string;
}

async function openForm(request: ServiceRequest, contentType: string): Promise<UploadSource> {
  const { body } = request;
  if (body === null) throw storageError("noContent");
  const form = new Form(contentType, body.stream(), robotsTagOf(request));
  const file = await form.file();
  return {
    description: form.describe(file),
    announcedBytes: body.declaredBytes,
    declaredBytes: undefined,
    body: file.stream as AsyncIterable<Buffer>,
    finalDescription: async () => {
      await form.end();
      return form.describe(file);
    },
    abandon: () => form.abandon(),
  };
}

/** A form that is read while its file is taken away at the other end. */
class Form {
  readonly #busboy: BusboyInstance;
  readonly #fields = new Map<string, string>();
  readonly #robotsTag: string | null;
  readonly #file = Promise.withResolvers<FormFile>();
  readonly #ended = Promise.withResolvers<void>();
  #problem: StorageError | null = null;
  #isAbandoned = false;

  constructor(contentType: string, body: AsyncIterable<Buffer>, robotsTag: string | null) {
    this.#robotsTag = robotsTag;
    try {
      this.#busboy = new Busboy({
        headers: { "content-type": contentType },
        limits: { files: 1, fields: MAX_FIELDS, fieldSize: MAX_FIELD_BYTES, parts: MAX_FIELDS + 10, headerPairs: 100 },
      });
    } catch (cause) {
      throw new StorageError("invalidRequest", { message: (cause as Error).message, cause });
    }
    this.#file.promise.catch(() => {});
    this.#ended.promise.catch(() => {});
    this.#busboy.on("field", (name, value, _nameCut, isCut) => {
      if (isCut) this.#problem ??= storageError("metadataTooLarge");
      else if (!this.#fields.has(name)) this.#fields.set(name, value);
    });
    this.#busboy.on("file", (_name, stream, _filename, _encoding, type) => {
      stream.on("error", () => {}); // who reads it is told
      this.#file.resolve({ stream, type });
    });
    this.#busboy.on("fieldsLimit", () => this.#fail(storageError("noContent", CUT_OFF)));
    this.#busboy.on("error", (cause) => this.#fail(new StorageError("noContent", { message: CUT_OFF, cause })));
    this.#busboy.on("finish", () => {
      this.#file.reject(storageError("noContent"));
      this.#ended.resolve();
    });
    void this.#feed(body);
  }

  /** @throws {StorageError} when the form holds no file. */
  file(): Promise<FormFile> {
    return this.#file.promise;
  }

  end(): Promise<void> {
    return this.#ended.promise;
  }

  describe({ type }: FormFile): ObjectDescription {
    if (this.#problem) throw this.#problem;
    const field = (name: string) => this.#fields.get(name);
    const contentType = field("contentType") ?? (type === "" ? DEFAULT_TYPE : type);
    if (!isMediaType(contentType)) throw storageError("invalidMimeType", "Invalid Content-Type header");
    const seconds = field("cacheControl");
    return {
      contentType,
      cacheControl: seconds === undefined ? NO_CACHE : `max-age=${seconds}`,
      userMetadata: parseUserMetadata(field("metadata") ?? field("userMetadata")),
      robotsTag: this.#robotsTag,
    };
  }

  abandon(): void {
    this.#isAbandoned = true;
    this.#file.promise.then(({ stream }) => stream.resume()).catch(() => {});
  }

  async #feed(body: AsyncIterable<Buffer>): Promise<void> {
    try {
      for await (const chunk of body) {
        if (this.#isAbandoned) continue; // taken in, so that the client reads the answer
        if (!this.#busboy.write(chunk)) await once(this.#busboy, "drain");
      }
      this.#busboy.end();
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #fail(error: Error): void {
    this.#file.reject(error);
    this.#ended.reject(error);
    this.#file.promise.then(({ stream }) => stream.destroy(error)).catch(() => {});
    this.#busboy.removeAllListeners("drain");
  }
}

const CUT_OFF = "Request stream closed before upload could begin";
