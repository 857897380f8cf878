/**
 * Signatures of AWS, version 4: in the Authorization header or in the query of a presigned URL.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { ServiceSnapshot } from "../../../control-plane/client/config-snapshot.ts";
import type { ServiceRequest } from "../../service.ts";
import { storageError } from "../errors.ts";
import { type Caller, type Callers, SERVICE } from "../identity.ts";

export interface VerifiedRequest {
  readonly caller: Caller;
  /** What the client said of its body: a hash in hex, `UNSIGNED-PAYLOAD` or one of the `STREAMING-…`. */
  readonly payload: string;
  /** Headers that the signature covers. Others of S3's own count for nothing: anybody could have added them. */
  readonly signedHeaders: ReadonlySet<string>;
  /** For the signatures of chunks. */
  readonly chunkKey: ChunkKey;
}

export interface ChunkKey {
  readonly key: Buffer;
  readonly scope: string;
  /** `YYYYMMDDTHHMMSSZ` */
  readonly date: string;
  readonly signature: string;
}

interface Credential {
  readonly accessKeyId: string;
  readonly day: string;
  readonly region: string;
}

interface Sent {
  readonly credential: Credential;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly date: string;
  readonly payload: string;
  readonly sessionToken: string | null;
  /** Seconds for which a presigned URL is good. */
  readonly expires: number | null;
}

const ALGORITHM = "AWS4-HMAC-SHA256";
const MAX_SKEW_MS = 15 * 60_000;
const MAX_EXPIRES_SECONDS = 7 * 24 * 3600;
/** A project has one place; clients name it as they like best. */
const REGIONS: ReadonlySet<string> = new Set(["us-east-1", "auto", "local", ""]);

/** @throws {StorageError} */
export function verifySignature(
  request: ServiceRequest,
  project: ServiceSnapshot,
  callers: Callers,
  nowMs: number,
): VerifiedRequest {
  const sent = readPresigned(request) ?? readHeader(request);
  if (sent === null) throw storageError("accessDenied", "Missing signature");
  checkTime(sent, nowMs);
  if (!REGIONS.has(sent.credential.region)) throw storageError("signatureMismatch");
  if (!sent.signedHeaders.includes("host")) throw storageError("signatureMismatch");

  const { day, region } = sent.credential;
  const scope = `${day}/${region}/s3/aws4_request`;
  const canonical = canonicalRequest(request, sent);
  const toSign = `${ALGORITHM}\n${sent.date}\n${scope}\n${sha256(canonical)}`;
  const candidates = secretsOf(project, sent);
  if (candidates.length === 0) throw storageError("unknownAccessKey");
  for (const secret of candidates) {
    const key = signingKey(secret, day, region);
    if (!isSame(hmac(key, toSign).toString("hex"), sent.signature)) continue;
    return {
      caller: sent.sessionToken === null ? SERVICE : callers.ofToken(project, sent.sessionToken),
      payload: sent.payload,
      signedHeaders: new Set(sent.signedHeaders),
      chunkKey: { key, scope, date: sent.date, signature: sent.signature },
    };
  }
  throw storageError("signatureMismatch");
}

/** With a session token the access key is the project's ref and the secret one of its public keys. */
function secretsOf(project: ServiceSnapshot, { credential, sessionToken }: Sent): readonly string[] {
  if (sessionToken !== null) return credential.accessKeyId === project.projectRef ? project.s3SessionSecrets : [];
  return project.s3AccessKeys
    .filter(({ accessKeyId }) => accessKeyId === credential.accessKeyId)
    .map(({ secretAccessKey }) => secretAccessKey);
}

function readHeader({ headers }: ServiceRequest): Sent | null {
  const match = /^AWS4-HMAC-SHA256\s+(.*)$/.exec(headers.authorization ?? "");
  if (!match) return null;
  const parts: Record<string, string> = {};
  for (const part of (match[1] as string).split(",")) {
    const equals = part.indexOf("=");
    if (equals > 0) parts[part.slice(0, equals).trim()] = part.slice(equals + 1).trim();
  }
  const { Credential: credential, SignedHeaders: signedHeaders, Signature: signature } = parts;
  const date = headers["x-amz-date"] ?? basicDate(headers.date);
  if (!credential || !signedHeaders || !signature || !date) throw storageError("accessDenied", "Missing signature");
  return {
    credential: parseCredential(credential),
    signedHeaders: signedHeaders.toLowerCase().split(";"),
    ...{ signature, date },
    payload: headers["x-amz-content-sha256"] ?? "UNSIGNED-PAYLOAD",
    sessionToken: headers["x-amz-security-token"] ?? null,
    expires: null,
  };
}

function readPresigned({ query }: ServiceRequest): Sent | null {
  if (!query.includes("X-Amz-Signature=")) return null;
  const values = new Map(parseQuery(query));
  const credential = values.get("X-Amz-Credential");
  const date = values.get("X-Amz-Date");
  const signedHeaders = values.get("X-Amz-SignedHeaders");
  const signature = values.get("X-Amz-Signature");
  const expires = Number(values.get("X-Amz-Expires") ?? Number.NaN);
  if (values.get("X-Amz-Algorithm") !== ALGORITHM || !credential || !date || !signedHeaders || !signature) {
    throw storageError("accessDenied", "Missing signature");
  }
  if (!(expires >= 1 && expires <= MAX_EXPIRES_SECONDS)) {
    throw storageError("invalidParameter", "Invalid Parameter X-Amz-Expires");
  }
  return {
    credential: parseCredential(credential),
    signedHeaders: signedHeaders.toLowerCase().split(";"),
    ...{ signature, date, expires },
    payload: values.get("X-Amz-Content-Sha256") ?? "UNSIGNED-PAYLOAD",
    sessionToken: values.get("X-Amz-Security-Token") ?? null,
  };
}

function parseCredential(text: string): Credential {
  const parts = text.split("/");
  const [day, region, service, end] = parts.slice(-4);
  const accessKeyId = parts.slice(0, -4).join("/");
  if (service !== "s3" || end !== "aws4_request" || !/^\d{8}$/.test(day ?? "") || accessKeyId === "") {
    throw storageError("signatureMismatch");
  }
  return { accessKeyId, day: day as string, region: region as string };
}

function checkTime({ date, credential, expires }: Sent, nowMs: number): void {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date);
  if (!match || !date.startsWith(credential.day)) throw storageError("signatureMismatch");
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number);
  const at = Date.UTC(year, month - 1, day, hour, minute, second);
  if (expires !== null) {
    if (at - nowMs > MAX_SKEW_MS) throw storageError("signatureMismatch");
    if (nowMs > at + expires * 1000) throw storageError("expiredToken");
  } else if (Math.abs(nowMs - at) > MAX_SKEW_MS) {
    throw storageError("timeSkewed");
  }
}

function canonicalRequest(request: ServiceRequest, { signedHeaders, payload }: Sent): string {
  const path = `${request.publicPath}${request.path}`;
  const query = parseQuery(request.query)
    .filter(([name]) => name !== "X-Amz-Signature")
    .map(([name, value]) => [encodeRfc3986(name), encodeRfc3986(value)] as const)
    .sort(([a, x], [b, y]) => compare(a, b) || compare(x, y))
    .map(([name, value]) => `${name}=${value}`)
    .join("&");
  const headers = signedHeaders.map((name) => `${name}:${(request.headers[name] ?? "").trim().replace(/\s+/g, " ")}\n`);
  const uri = decodeURIComponent(path).split("/").map(encodeRfc3986).join("/");
  return `${request.method}\n${uri}\n${query}\n${headers.join("")}\n${signedHeaders.join(";")}\n${payload}`;
}

/** Names and values, decoded; a name without `=` has an empty value. */
export function parseQuery(query: string): [string, string][] {
  if (query === "") return [];
  return query
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => {
      const equals = pair.indexOf("=");
      const name = equals === -1 ? pair : pair.slice(0, equals);
      return [decode(name), equals === -1 ? "" : decode(pair.slice(equals + 1))];
    });
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    throw storageError("invalidRequest", "The query string is not valid");
  }
}

export function encodeRfc3986(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function signingKey(secret: string, day: string, region: string): Buffer {
  return hmac(hmac(hmac(hmac(`AWS4${secret}`, day), region), "s3"), "aws4_request");
}

export function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

export function sha256(text: string | Buffer): string {
  return createHash("sha256").update(text).digest("hex");
}

export function isSame(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

function basicDate(date: string | undefined): string | undefined {
  const at = Date.parse(date ?? "");
  return Number.isNaN(at) ? undefined : new Date(at).toISOString().replace(/[-:]|\.\d{3}/g, "");
}
