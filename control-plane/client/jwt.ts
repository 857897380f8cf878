/**
 * The one reader of JSON Web Tokens (RFC 7515, compact form) for all processes. A token has exactly one spelling: what
 * does not encode back to the same text is none. So a list of revoked tokens is a list of texts, and no service can
 * accept what another refuses.
 */
import { hash } from "node:crypto";

export interface ParsedJwt {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
  /** The claims as they were signed. */
  readonly payload: string;
  /** What the signature is over. */
  readonly signed: string;
  /** Empty for an unsecured token, which no verifier accepts. */
  readonly signature: Buffer;
}

/** Why a text is no token that we read. */
export type JwtFault = "too_long" | "parts" | "encoding" | "header" | "critical" | "claims";

export type JwtReading =
  | { readonly kind: "token"; readonly token: ParsedJwt }
  | { readonly kind: "fault"; readonly fault: JwtFault };

/** A user's token has about a thousand characters, one with many claims a few thousand. */
export const MAX_JWT_CHARACTERS = 32_768;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Says nothing about the signature. Of a name that comes twice in one object the last counts, as everywhere (RFC 7515, 4). */
export function readJwt(text: string): JwtReading {
  if (text.length > MAX_JWT_CHARACTERS) return fault("too_long");
  const parts = text.split(".");
  if (parts.length !== 3) return fault("parts");
  const [headerPart, payloadPart, signaturePart] = parts as [string, string, string];
  const headerBytes = decodeCanonical(headerPart);
  const payloadBytes = decodeCanonical(payloadPart);
  const signature = decodeCanonical(signaturePart);
  if (headerBytes === null || payloadBytes === null || signature === null) return fault("encoding");
  const header = parseObject(decodeText(headerBytes));
  if (header === null) return fault("header");
  // Extensions that must be understood (RFC 7515, 4.1.11); none is, not even one that changes what is signed (RFC 7797).
  if (header.crit !== undefined || header.b64 !== undefined) return fault("critical");
  const payload = decodeText(payloadBytes);
  const claims = parseObject(payload);
  if (payload === null || claims === null) return fault("claims");
  return { kind: "token", token: { header, claims, payload, signed: `${headerPart}.${payloadPart}`, signature } };
}

/** By which a revoked token is listed: lower-case hex. */
export function hashJwt(text: string): string {
  return hash("sha256", text, "hex");
}

/**
 * Whatever of a header's value could be read as a token: runs of a token's characters with two dots in them. Readers
 * differ in the blanks, schemes and commas that they take off around it, but not in this.
 */
export function tokensIn(value: string): readonly string[] {
  if (!value.includes(".")) return [];
  return value.split(/[^\w.-]+/).filter((run) => run.split(".", 4).length === 3);
}

const fault = (name: JwtFault): JwtReading => ({ kind: "fault", fault: name });

/** Null for anything but base64url without padding whose unused bits are zero (RFC 4648, 3.5 and 5). */
function decodeCanonical(part: string): Buffer | null {
  const bytes = Buffer.from(part, "base64url");
  return bytes.toString("base64url") === part ? bytes : null;
}

function decodeText(bytes: Buffer): string | null {
  try {
    return utf8.decode(bytes);
  } catch {
    return null;
  }
}

function parseObject(text: string | null): Record<string, unknown> | null {
  if (text === null) return null;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}
