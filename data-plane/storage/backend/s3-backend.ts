/**
 * Objects in an S3 store, under the keys that the original uses: `<project>/<bucket>/<name>/<version>`. Large ones go in parts
 * of 16 MiB, two at a time; a failed upload leaves none behind.
 */
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import type { ProjectRef } from "../../../control-plane/client/config-snapshot.ts";
import { StorageError } from "../errors.ts";
import {
  BytesMissing,
  isVersion,
  type ObjectAddress,
  type ObjectBackend,
  ObjectTooLarge,
  type OpenObject,
  type StoredVersion,
  type WriteOptions,
  type WrittenObject,
} from "./backend.ts";
import type { DiskStore } from "./disk-store.ts";
import type { S3StoreOptions } from "./storage-options.ts";

const PART_BYTES = 16 * 1024 * 1024;
const PARTS_AT_A_TIME = 2;
/** Up to here an object is one request, and in memory once. */
const SMALL_BYTES = 1024 * 1024;

export class S3Backend implements ObjectBackend {
  readonly kind = "s3";
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #staging: DiskStore;

  constructor(options: S3StoreOptions, staging: DiskStore) {
    this.#bucket = options.bucket;
    this.#staging = staging;
    this.#client = new S3Client({
      region: options.region,
      ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint, forcePathStyle: true }),
      credentials: { accessKeyId: options.accessKeyId, secretAccessKey: options.secretAccessKey },
      // Stores other than Amazon's do not know the newer checksums.
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
    });
  }

  async write(address: ObjectAddress, body: AsyncIterable<Buffer>, options: WriteOptions): Promise<WrittenObject> {
    const { maxBytes, declaredBytes } = options;
    const hash = createHash("md5");
    let bytes = 0;
    async function* counted(): AsyncGenerator<Buffer> {
      for await (const chunk of body) {
        bytes += chunk.length;
        if (bytes > maxBytes) throw new ObjectTooLarge(`more than ${maxBytes} bytes`);
        hash.update(chunk);
        yield Buffer.from(chunk); // the client gathers its parts from several, and a piece is only lent
      }
    }
    if (declaredBytes !== undefined && declaredBytes <= SMALL_BYTES) {
      const chunks: Buffer[] = [];
      for await (const chunk of counted()) chunks.push(chunk);
      await this.#put(address, Buffer.concat(chunks));
    } else {
      await this.#putStream(address, counted());
    }
    return { bytes, md5: hash.digest("hex") };
  }

  async open(address: ObjectAddress): Promise<OpenObject | null> {
    if (!isVersion(address.version)) return null;
    const target = { Bucket: this.#bucket, Key: keyOf(address) };
    try {
      const { ContentLength } = await this.#client.send(new HeadObjectCommand(target));
      return new StoreObject(this.#client, target, ContentLength ?? 0);
    } catch (error) {
      if (isMissing(error)) return null;
      throw failed(error);
    }
  }

  async copy(from: ObjectAddress, to: ObjectAddress): Promise<void> {
    if (!isVersion(from.version)) throw new BytesMissing(from.version);
    const source = keyOf(from).split("/").map(encodeURIComponent).join("/");
    try {
      await this.#client.send(
        new CopyObjectCommand({ Bucket: this.#bucket, Key: keyOf(to), CopySource: `${this.#bucket}/${source}` }),
      );
    } catch (error) {
      if (isMissing(error)) throw new BytesMissing(from.version);
      throw failed(error);
    }
  }

  async publish(address: ObjectAddress, staged: readonly string[]): Promise<void> {
    await this.#putStream(address, this.#staging.readAll(address.project, staged));
  }

  async remove(address: ObjectAddress): Promise<void> {
    await this.#send(new DeleteObjectCommand({ Bucket: this.#bucket, Key: keyOf(address) }));
  }

  async eraseProject(project: ProjectRef): Promise<void> {
    for await (const page of this.#pages(project)) {
      const keys = page.map(({ key }) => ({ Key: key }));
      if (keys.length === 0) continue;
      await this.#send(new DeleteObjectsCommand({ Bucket: this.#bucket, Delete: { Objects: keys, Quiet: true } }));
    }
    await this.#staging.eraseProject(project);
  }

  async *list(project: ProjectRef): AsyncGenerator<StoredVersion> {
    for await (const page of this.#pages(project)) {
      for (const { key, bytes, modifiedMs } of page) {
        const version = key.slice(key.lastIndexOf("/") + 1);
        const remove = async () => {
          await this.#send(new DeleteObjectCommand({ Bucket: this.#bucket, Key: key }));
        };
        if (isVersion(version)) yield { version, bytes, modifiedMs, remove };
      }
    }
  }

  async *#pages(project: ProjectRef) {
    let token: string | undefined;
    do {
      const page = await this.#client
        .send(
          new ListObjectsV2Command({
            Bucket: this.#bucket,
            Prefix: `${project}/`,
            ...(token === undefined ? {} : { ContinuationToken: token }),
          }),
        )
        .catch((error) => {
          throw failed(error);
        });
      yield (page.Contents ?? []).map(({ Key = "", Size = 0, LastModified }) => ({
        key: Key,
        bytes: Size,
        modifiedMs: LastModified?.getTime() ?? 0,
      }));
      token = page.NextContinuationToken;
    } while (token !== undefined);
  }

  async #put(address: ObjectAddress, bytes: Buffer): Promise<void> {
    await this.#send(
      new PutObjectCommand({ Bucket: this.#bucket, Key: keyOf(address), Body: bytes, ContentLength: bytes.length }),
    );
  }

  /** Parts as they fill; on failure the store is told to forget them. */
  async #putStream(address: ObjectAddress, body: AsyncIterable<Buffer>): Promise<void> {
    const upload = new Upload({
      client: this.#client,
      params: { Bucket: this.#bucket, Key: keyOf(address), Body: Readable.from(copied(body), { highWaterMark: 1 }) },
      partSize: PART_BYTES,
      queueSize: PARTS_AT_A_TIME,
      leavePartsOnError: false,
    });
    try {
      await upload.done();
    } catch (error) {
      if (error instanceof ObjectTooLarge || error instanceof BytesMissing) throw error;
      throw failed(error);
    }
  }

  async #send(command: DeleteObjectCommand | DeleteObjectsCommand | PutObjectCommand): Promise<void> {
    await this.#client.send(command as DeleteObjectCommand).catch((error: unknown) => {
      throw failed(error);
    });
  }
}

/** A chunk may be reused by whoever made it; the client keeps what it is given. */
async function* copied(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const chunk of body) yield Buffer.from(chunk);
}

function keyOf({ project, bucket, name, version }: ObjectAddress): string {
  return `${project}/${bucket}/${name}/${version}`;
}

class StoreObject implements OpenObject {
  readonly bytes: number;
  readonly #client: S3Client;
  readonly #target: { readonly Bucket: string; readonly Key: string };
  readonly #abort = new AbortController();

  constructor(client: S3Client, target: { readonly Bucket: string; readonly Key: string }, bytes: number) {
    this.#client = client;
    this.#target = target;
    this.bytes = bytes;
  }

  async *read(start: number, length: number): AsyncGenerator<Buffer> {
    const range = start === 0 && length === this.bytes ? {} : { Range: `bytes=${start}-${start + length - 1}` };
    try {
      const command = new GetObjectCommand({ ...this.#target, ...range });
      const { Body } = await this.#client.send(command, { abortSignal: this.#abort.signal });
      yield* Body as AsyncIterable<Buffer>;
    } catch (error) {
      throw failed(error);
    } finally {
      this.#abort.abort();
    }
  }

  async close(): Promise<void> {
    this.#abort.abort();
  }
}

function isMissing(error: unknown): boolean {
  const { name, $metadata } = error as { name?: string; $metadata?: { httpStatusCode?: number } };
  return name === "NoSuchKey" || name === "NotFound" || $metadata?.httpStatusCode === 404;
}

function failed(error: unknown): unknown {
  if (error instanceof StorageError) return error;
  return new StorageError("storeFailed", { cause: error });
}
