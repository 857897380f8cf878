/**
 * The texts of API keys. Opaque keys read `sb_publishable_<22>_<8>` and `sb_secret_<22>_<8>`: 22 random base-62 digits
 * (131 bits) and a checksum: the first 8 bytes of the SHA-256 of all before its `_`, as a big-endian number,
 * written as its 8 lowest base-62 digits, lowest first.
 * The checksum lets secret scanners tell a real key from a look-alike without asking anybody; the gateway compares
 * hashes of whole keys and needs no checksum.
 */
import { createHash, randomBytes } from "node:crypto";

export type OpaqueKeyKind = "publishable" | "secret";

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_DIGITS = 22;
const CHECKSUM_DIGITS = 8;
const OPAQUE_KEY = new RegExp(
  `^(sb_(?:publishable|secret)_[0-9A-Za-z]{${RANDOM_DIGITS}})_([0-9A-Za-z]{${CHECKSUM_DIGITS}})$`,
);
/** Digits shown of a key's random part in lists: enough to tell keys apart, 95 bits stay unknown. */
const SHOWN_DIGITS = 6;

export function generateOpaqueKey(kind: OpaqueKeyKind): string {
  const body = `sb_${kind}_${randomDigits(RANDOM_DIGITS)}`;
  return `${body}_${checksum(body)}`;
}

/** True when the text has the form of an opaque key and its checksum is right; it may still be nobody's key. */
export function isWellFormedOpaqueKey(text: string): boolean {
  const [, body, sum] = OPAQUE_KEY.exec(text) ?? [];
  return body !== undefined && checksum(body) === sum;
}

/** What lists show of a key: its kind and first digits, for a JWT the beginning that all have in common. */
export function keyPrefix(key: string): string {
  const [shown] = new RegExp(`^sb_(?:publishable|secret)_.{${SHOWN_DIGITS}}`).exec(key) ?? [key.slice(0, 16)];
  return shown;
}

/** As gateways look keys up: SHA-256 of the whole text. */
export function hashKey(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}

function checksum(body: string): string {
  let number = createHash("sha256").update(body).digest().readBigUInt64BE();
  let digits = "";
  for (let index = 0; index < CHECKSUM_DIGITS; index++) {
    digits += DIGITS[Number(number % 62n)];
    number /= 62n;
  }
  return digits;
}

/** Bytes of 248 and above are thrown away: 256 is no multiple of 62, and every digit must be as likely. */
function randomDigits(count: number): string {
  let digits = "";
  while (digits.length < count) {
    for (const byte of randomBytes(count)) if (byte < 248 && digits.length < count) digits += DIGITS[byte % 62];
  }
  return digits;
}
