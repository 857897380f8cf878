/**
 * Refresh tokens. Version 1 is 12 random characters stored in `auth.refresh_tokens`; version 2 names its session and a
 * counter and is signed with the session's own key, so that a rotation is one update of one row:
 *
 *     base64url( 0x00 | session uuid, 16 bytes | counter, varint | HMAC-SHA256, first 16 bytes | SHA-256, first 4 bytes )
 *
 * The checksum is over all before it and lets a mistyped token be refused without a database.
 */
import { createHash, createHmac, randomBytes, randomInt, timingSafeEqual } from "node:crypto";

const VERSION_BYTE = 0;
const SIGNATURE_BYTES = 16;
const CHECKSUM_BYTES = 4;
const V1_LENGTH = 12;
const V1_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

export type RefreshToken =
  | { readonly version: 1; readonly token: string }
  | {
      readonly version: 2;
      readonly sessionId: string;
      readonly counter: number;
      /** The bytes that are signed, and their signature as the token claims it. */
      readonly signed: Buffer;
      readonly signature: Buffer;
    };

/** Null when the text has the shape of neither version. Says nothing about whether the token was ever issued. */
export function parseRefreshToken(text: string): RefreshToken | null {
  if (text.length === V1_LENGTH) return /^[a-z0-9]{12}$/.test(text) ? { version: 1, token: text } : null;
  if (text.length < V1_LENGTH || text.length > 100 || !/^[A-Za-z0-9_-]+$/.test(text)) return null;
  const bytes = Buffer.from(text, "base64url");
  const counterEnd = bytes.length - SIGNATURE_BYTES - CHECKSUM_BYTES;
  if (counterEnd < 18 || bytes[0] !== VERSION_BYTE) return null;
  const checksum = createHash("sha256").update(bytes.subarray(0, -CHECKSUM_BYTES)).digest();
  if (!timingSafeEqual(checksum.subarray(0, CHECKSUM_BYTES), bytes.subarray(-CHECKSUM_BYTES))) return null;
  const counter = readVarint(bytes.subarray(17, counterEnd));
  if (counter === null) return null;
  return {
    version: 2,
    sessionId: formatUuid(bytes.subarray(1, 17)),
    counter,
    signed: bytes.subarray(0, counterEnd),
    signature: bytes.subarray(counterEnd, counterEnd + SIGNATURE_BYTES),
  };
}

/** @param key the session's 32 bytes. */
export function encodeRefreshToken(sessionId: string, counter: number, key: Buffer): string {
  const uuid = Buffer.from(sessionId.replaceAll("-", ""), "hex");
  const signed = Buffer.concat([Buffer.of(VERSION_BYTE), uuid, varint(counter)]);
  const body = Buffer.concat([signed, sign(signed, key)]);
  return Buffer.concat([body, createHash("sha256").update(body).digest().subarray(0, CHECKSUM_BYTES)]).toString(
    "base64url",
  );
}

/** True when the token was signed with the session's key. Takes the same time either way. */
export function isSignedWith(token: RefreshToken & { version: 2 }, key: Buffer): boolean {
  return timingSafeEqual(token.signature, sign(token.signed, key));
}

/** 32 random bytes; stored base64url in `auth.sessions.refresh_token_hmac_key`. */
export const createRefreshTokenKey = (): Buffer => randomBytes(32);

export function createV1RefreshToken(): string {
  return Array.from({ length: V1_LENGTH }, () => V1_ALPHABET[randomInt(V1_ALPHABET.length)]).join("");
}

const sign = (bytes: Buffer, key: Buffer): Buffer =>
  createHmac("sha256", key).update(bytes).digest().subarray(0, SIGNATURE_BYTES);

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** Null unless the bytes are exactly one varint below 2^53. */
function readVarint(bytes: Buffer): number | null {
  let value = 0;
  let scale = 1;
  for (const [index, byte] of bytes.entries()) {
    value += (byte & 0x7f) * scale;
    scale *= 0x80;
    const isLast = byte < 0x80;
    if (isLast !== (index === bytes.length - 1) || !Number.isSafeInteger(value)) return null;
  }
  return bytes.length > 0 ? value : null;
}

function formatUuid(bytes: Buffer): string {
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
