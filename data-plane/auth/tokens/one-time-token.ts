/** The codes and hashes that are mailed or texted: one secret in two forms, a short code and a hash for links. */
import { createHash, randomInt, timingSafeEqual } from "node:crypto";

/** Marks a stored hash whose link ends in a PKCE code instead of tokens. */
const PKCE_PREFIX = "pkce_";

export interface OneTimeToken {
  /** Digits, zero-padded: what a person types. */
  readonly code: string;
  /** What a link carries and the database stores; with `pkce_` in front when the flow is PKCE. */
  readonly hash: string;
}

/** @param address the lower-case e-mail address or the phone number without `+` that the code is sent to. */
export function createOneTimeToken(address: string, digits: number, pkce: boolean): OneTimeToken {
  const length = digits >= 6 && digits <= 10 ? digits : 6;
  const code = String(randomInt(10 ** length)).padStart(length, "0");
  return { code, hash: (pkce ? PKCE_PREFIX : "") + hashCode(address, code) };
}

/** Hex SHA-224 of address and code. */
export function hashCode(address: string, code: string): string {
  return createHash("sha224")
    .update(address + code)
    .digest("hex");
}

/** Compares a typed code's hash with a stored one, PKCE or not, in constant time. */
export function matchesStoredHash(hash: string, stored: string | null): boolean {
  if (!stored) return false;
  const bare = stored.startsWith(PKCE_PREFIX) ? stored.slice(PKCE_PREFIX.length) : stored;
  const [left, right] = [Buffer.from(hash), Buffer.from(bare)];
  return left.length === right.length && timingSafeEqual(left, right);
}

export const isPkceHash = (hash: string): boolean => hash.startsWith(PKCE_PREFIX);

/** True until `lifetimeSeconds` after the moment the token was sent; a token never sent is expired. */
export function isWithinLifetime(sentAt: string | null, lifetimeSeconds: number, now: Date): boolean {
  return sentAt !== null && now.getTime() < Date.parse(sentAt) + lifetimeSeconds * 1000;
}
