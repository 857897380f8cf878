/**
 * What is mailed or texted: a link's token and a code for people to type. The token is 256 random bits and is what the
 * database stores; the code is made of it. So the token gives the code, and no number of guessed codes gives the token.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

/** Marks a stored token whose link ends in a PKCE code instead of tokens. */
const PKCE_PREFIX = "pkce_";
const TOKEN_BYTES = 32;

export interface OneTimeToken {
  /** Digits, zero-padded: what a person types. */
  readonly code: string;
  /** What a link carries and the database stores, lower-case hex; with `pkce_` in front when the flow is PKCE. */
  readonly hash: string;
}

/** @param address the lower-case e-mail address or the phone number without `+` that the code is sent to. */
export function createOneTimeToken(address: string, digits: number, pkce: boolean): OneTimeToken {
  const hash = (pkce ? PKCE_PREFIX : "") + randomBytes(TOKEN_BYTES).toString("hex");
  return { code: codeOf(hash, address, digits), hash };
}

/** The code of a stored token, for the address that it was sent to. */
function codeOf(stored: string, address: string, digits: number): string {
  const length = digits >= 6 && digits <= 10 ? digits : 6;
  const number = createHmac("sha256", stored).update(address).digest().readUIntBE(0, 6); // 2^48: 10^10 fits evenly enough
  return String(number % 10 ** length).padStart(length, "0");
}

/**
 * Whether a typed code belongs to the stored token, in constant time.
 * @param digits The project's setting; when it has changed since, the code is not good any more.
 */
export function matchesStoredToken(code: string, address: string, stored: string | null, digits: number): boolean {
  if (!stored) return false;
  const [left, right] = [Buffer.from(code), Buffer.from(codeOf(stored, address, digits))];
  return left.length === right.length && timingSafeEqual(left, right);
}

export const isPkceHash = (hash: string): boolean => hash.startsWith(PKCE_PREFIX);

/** True until `lifetimeSeconds` after the moment the token was sent; a token never sent is expired. */
export function isWithinLifetime(sentAt: string | null, lifetimeSeconds: number, now: Date): boolean {
  return sentAt !== null && now.getTime() < Date.parse(sentAt) + lifetimeSeconds * 1000;
}
