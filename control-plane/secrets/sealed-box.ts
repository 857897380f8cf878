/**
 * Authenticated encryption of small values: AES-256-GCM with a random nonce.
 * Layout of a box: format (1 byte, 1) | nonce (12) | tag (16) | ciphertext.
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

const FORMAT = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = 1 + NONCE_BYTES + TAG_BYTES;

export const KEY_BYTES = 32;

/** The box was made with another key, for another place, or was altered. Says nothing of its content. */
export class UnsealError extends Error {}

/**
 * What the box belongs to: a purpose and the names of its row. It is authenticated and not stored, so a box copied to
 * another row or project does not open. No part may hold NUL, which separates them.
 */
export type Place = readonly [purpose: string, ...names: string[]];

/** @param key 32 bytes. */
export function seal(key: Buffer, plaintext: Buffer, place: Place): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(encodePlace(place));
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  return Buffer.concat([Buffer.of(FORMAT), nonce, cipher.getAuthTag(), ciphertext]);
}

/** @throws {UnsealError} when key, place or box do not belong together. */
export function unseal(key: Buffer, box: Buffer, place: Place): Buffer {
  if (box.length < HEADER_BYTES || box[0] !== FORMAT) throw new UnsealError("not a sealed box of a known format");
  const nonce = box.subarray(1, 1 + NONCE_BYTES);
  const tag = box.subarray(1 + NONCE_BYTES, HEADER_BYTES);
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(encodePlace(place));
  decipher.setAuthTag(tag);
  try {
    return Buffer.concat([decipher.update(box.subarray(HEADER_BYTES)), decipher.final()]);
  } catch (cause) {
    throw new UnsealError(`a sealed box does not open as ${place.join(" / ")}`, { cause });
  }
}

function encodePlace(place: Place): Buffer {
  if (place.some((part) => part.includes("\0"))) throw new TypeError("a place's parts hold no NUL");
  return Buffer.from(place.join("\0"), "utf8");
}
