/** Bodies of S3 uploads: plain, hashed, or in chunks of AWS's own with signatures and a trailer. Checked as they come. */
import { createHash, type Hash } from "node:crypto";
import { crc32 } from "node:zlib";
import type { ServiceRequest } from "../../service.ts";
import { type StorageError, storageError } from "../errors.ts";
import { type ChunkKey, hmac, isSame, sha256, type VerifiedRequest } from "./signature.ts";

const MAX_CHUNK_BYTES = 8 * 1024 * 1024;
const MAX_LINE_BYTES = 4 * 1024;
const MAX_TRAILER_BYTES = 16 * 1024;
const EMPTY_SHA256 = sha256("");

export interface S3Body {
  /** The object's length, where it is known beforehand. */
  readonly bytes: number | undefined;
  readonly stream: AsyncIterable<Buffer>;
}

/** What it yields is only to be kept when the iteration has come to its end: checks may fail with the last byte. */
export function openBody(request: ServiceRequest, verified: VerifiedRequest): S3Body {
  const { body } = request;
  const { payload } = verified;
  const isChunked = payload.startsWith("STREAMING-");
  const source = body === null ? nothing() : body.stream({ lends: !isChunked });
  const checks = checksumsOf(request, verified);
  if (!isChunked) {
    const expected = payload === "UNSIGNED-PAYLOAD" ? null : payload.toLowerCase();
    if (expected !== null) checks.push(new Check("sha256", "hex", expected));
    return { bytes: body === null ? 0 : body.declaredBytes, stream: checked(source, checks) };
  }
  const isSigned = payload.startsWith("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
  const hasTrailer = payload.endsWith("-TRAILER");
  if (!isSigned && !hasTrailer) throw storageError("invalidRequest", `${payload} is not supported`);
  const announced = verified.signedHeaders.has("x-amz-decoded-content-length")
    ? Number(request.headers["x-amz-decoded-content-length"] ?? Number.NaN)
    : Number.NaN;
  const chunks = new ChunkReader(source, isSigned ? verified.chunkKey : null, hasTrailer);
  const trailer = verified.signedHeaders.has("x-amz-trailer") ? (request.headers["x-amz-trailer"] ?? "").trim() : "";
  const bytes = Number.isSafeInteger(announced) && announced >= 0 ? announced : undefined;
  return { bytes, stream: fromChunks(chunks, checks, trailer.toLowerCase(), bytes) };
}

async function* nothing(): AsyncGenerator<Buffer> {}

async function* checked(source: AsyncIterable<Buffer>, checks: readonly Check[]): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    for (const check of checks) check.update(chunk);
    yield chunk;
  }
  for (const check of checks) check.verify();
}

async function* fromChunks(
  chunks: ChunkReader,
  checks: readonly Check[],
  trailer: string,
  announced: number | undefined,
): AsyncGenerator<Buffer> {
  const inTrailer = checksumOf(trailer);
  let bytes = 0;
  for await (const chunk of chunks.read()) {
    bytes += chunk.length;
    inTrailer?.update(chunk);
    for (const check of checks) check.update(chunk);
    yield chunk;
  }
  if (announced !== undefined && bytes !== announced) throw incomplete();
  for (const check of checks) check.verify();
  if (inTrailer) {
    const sent = chunks.trailers.get(trailer);
    if (sent === undefined) throw malformedTrailer();
    inTrailer.verify(sent);
  }
}

type Algorithm = "md5" | "sha1" | "sha256" | "crc32";

class Check {
  readonly #algorithm: Algorithm;
  readonly #encoding: "hex" | "base64";
  readonly #expected: string | null;
  readonly #hash: Hash | null;
  #crc = 0;

  constructor(algorithm: Algorithm, encoding: "hex" | "base64", expected: string | null) {
    this.#algorithm = algorithm;
    this.#encoding = encoding;
    this.#expected = expected;
    this.#hash = algorithm === "crc32" ? null : createHash(algorithm);
  }

  update(chunk: Buffer): void {
    if (this.#hash) this.#hash.update(chunk);
    else this.#crc = crc32(chunk, this.#crc);
  }

  verify(expected = this.#expected): void {
    if (expected !== null && this.#digest() !== expected) {
      throw storageError("invalidChecksum", `The ${this.#algorithm} of the body is not as announced`);
    }
  }

  #digest(): string {
    if (this.#hash) return this.#hash.digest(this.#encoding);
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(this.#crc >>> 0);
    return bytes.toString(this.#encoding);
  }
}

function checksumsOf({ headers }: ServiceRequest, { signedHeaders }: VerifiedRequest): Check[] {
  const checks: Check[] = [];
  if (headers["content-md5"]) checks.push(new Check("md5", "base64", headers["content-md5"]));
  for (const algorithm of ["crc32", "sha1", "sha256"] as const) {
    const name = `x-amz-checksum-${algorithm}`;
    const expected = headers[name];
    if (expected && signedHeaders.has(name)) checks.push(new Check(algorithm, "base64", expected));
  }
  return checks;
}

/** Null for algorithms that the platform does not have. */
function checksumOf(trailer: string): Check | null {
  const algorithm = (["crc32", "sha1", "sha256"] as const).find((name) => trailer === `x-amz-checksum-${name}`);
  return algorithm ? new Check(algorithm, "base64", null) : null;
}

/** `<hex length>[;chunk-signature=<hex>]`, the bytes, and so on until a chunk of none; then a trailer where there is one. */
class ChunkReader {
  readonly trailers = new Map<string, string>();
  readonly #source: AsyncIterator<Buffer>;
  readonly #key: ChunkKey | null;
  readonly #hasTrailer: boolean;
  #held: Buffer = Buffer.alloc(0);
  #previous: string;

  constructor(source: AsyncIterable<Buffer>, key: ChunkKey | null, hasTrailer: boolean) {
    this.#source = source[Symbol.asyncIterator]();
    this.#key = key;
    this.#hasTrailer = hasTrailer;
    this.#previous = key?.signature ?? "";
  }

  async *read(): AsyncGenerator<Buffer> {
    try {
      while (true) {
        const match = /^([0-9a-f]{1,8})(?:;chunk-signature=([0-9a-f]{64}))?$/i.exec(await this.#line());
        const length = match ? Number.parseInt(match[1] as string, 16) : Number.NaN;
        if (Number.isNaN(length) || length > MAX_CHUNK_BYTES) throw incomplete("A chunk of the body is not valid");
        const hash = this.#key && length > 0 ? createHash("sha256") : null;
        for (let left = length; left > 0; ) {
          const piece = await this.#take(left);
          left -= piece.length;
          hash?.update(piece);
          yield piece;
        }
        this.#checkChunk(match?.[2], hash ? hash.digest("hex") : EMPTY_SHA256);
        if (length === 0) break;
        if ((await this.#line()) !== "") throw incomplete("A chunk of the body is not valid");
      }
      if (this.#hasTrailer) await this.#readTrailer();
      for (let rest = await this.#source.next(); !rest.done; rest = await this.#source.next());
    } finally {
      await this.#source.return?.();
    }
  }

  #checkChunk(signature: string | undefined, hash: string): void {
    if (!this.#key) return;
    const { key, date, scope } = this.#key;
    const text = `AWS4-HMAC-SHA256-PAYLOAD\n${date}\n${scope}\n${this.#previous}\n${EMPTY_SHA256}\n${hash}`;
    const expected = hmac(key, text).toString("hex");
    if (signature === undefined || !isSame(signature, expected)) throw storageError("signatureMismatch");
    this.#previous = expected;
  }

  async #readTrailer(): Promise<void> {
    let signed = "";
    let signature: string | null = null;
    let bytes = 0;
    for (let line = await this.#line(); line !== ""; line = await this.#line()) {
      bytes += line.length;
      const colon = line.indexOf(":");
      if (colon < 1 || bytes > MAX_TRAILER_BYTES) throw malformedTrailer();
      const name = line.slice(0, colon).trim().toLowerCase();
      const value = line.slice(colon + 1).trim();
      if (name === "x-amz-trailer-signature") signature = value;
      else {
        this.trailers.set(name, value);
        signed += `${name}:${value}\n`;
      }
    }
    if (!this.#key) return;
    const { key, date, scope } = this.#key;
    const text = `AWS4-HMAC-SHA256-TRAILER\n${date}\n${scope}\n${this.#previous}\n${sha256(signed)}`;
    if (signature === null || !isSame(signature, hmac(key, text).toString("hex")))
      throw storageError("signatureMismatch");
  }

  /** Up to so many bytes, at least one. */
  async #take(bytes: number): Promise<Buffer> {
    while (this.#held.length === 0) this.#held = await this.#next();
    const piece = this.#held.subarray(0, bytes);
    this.#held = this.#held.subarray(piece.length);
    return piece;
  }

  /** Up to CRLF, without it. The end of the body counts as the last line's end. */
  async #line(): Promise<string> {
    while (true) {
      const end = this.#held.indexOf("\r\n");
      if (end !== -1) {
        const line = this.#held.toString("latin1", 0, end);
        this.#held = this.#held.subarray(end + 2);
        return line;
      }
      if (this.#held.length > MAX_LINE_BYTES) throw incomplete("A chunk of the body is not valid");
      const { value, done } = await this.#source.next();
      if (done) {
        if (this.#held.length > 0) throw incomplete();
        return "";
      }
      this.#held = this.#held.length === 0 ? value : Buffer.concat([this.#held, value]);
    }
  }

  async #next(): Promise<Buffer> {
    const { value, done } = await this.#source.next();
    if (done) throw incomplete();
    return value;
  }
}

function incomplete(message = "The body is shorter or longer than announced"): StorageError {
  return storageError("incompleteBody", message);
}

function malformedTrailer(): StorageError {
  return storageError("incompleteBody", "The trailer of the body is not valid");
}
