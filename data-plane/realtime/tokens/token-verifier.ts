/** Tokens of one project: whether their signature is good, and what the service says when they are not. */
import { createHmac, createPublicKey, type KeyObject, timingSafeEqual, verify } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { JwtKeys } from "../../../control-plane/client/config-snapshot.ts";
import { type ParsedJwt, readJwt } from "../../../control-plane/client/jwt.ts";

export interface VerifiedToken {
  readonly role: string;
  /** Seconds since the epoch. */
  readonly expiresAt: number;
  /** JSON text, as it was signed. */
  readonly claims: string;
  readonly subject: string;
  /** Equal for equal tokens. */
  readonly id: string;
}

export interface TokenFault {
  readonly code: "InvalidJWTToken" | "MalformedJWT" | "JwtSignatureError" | "JwtSignerError";
  /** Of an expired token without how long ago. */
  readonly text: string;
  /** Set for an expired token: seconds since then. */
  readonly expiredFor?: number;
}

export function isFault(value: VerifiedToken | TokenFault): value is TokenFault {
  return "code" in value;
}

/** As realtime-js shows it: `<Code>: <text>`. */
export function faultReason(fault: TokenFault): string {
  return `${fault.code}: ${faultText(fault)}`;
}

export function faultText({ text, expiredFor }: TokenFault): string {
  return expiredFor === undefined ? text : `${text} ${expiredFor} seconds ago`;
}

interface Algorithm {
  readonly keyType: "oct" | "RSA" | "EC" | "OKP";
  readonly hash: string | null;
}

const ALGORITHMS: Readonly<Record<string, Algorithm>> = {
  HS256: { keyType: "oct", hash: "sha256" },
  HS384: { keyType: "oct", hash: "sha384" },
  HS512: { keyType: "oct", hash: "sha512" },
  RS256: { keyType: "RSA", hash: "sha256" },
  RS384: { keyType: "RSA", hash: "sha384" },
  RS512: { keyType: "RSA", hash: "sha512" },
  ES256: { keyType: "EC", hash: "sha256" },
  ES384: { keyType: "EC", hash: "sha384" },
  ES512: { keyType: "EC", hash: "sha512" },
  EdDSA: { keyType: "OKP", hash: null },
  Ed25519: { keyType: "OKP", hash: null },
  Ed448: { keyType: "OKP", hash: null },
};

const MALFORMED: TokenFault = { code: "MalformedJWT", text: "The token provided is not a valid JWT" };
const UNSIGNED: TokenFault = { code: "JwtSignatureError", text: "Failed to validate JWT signature" };
const INCOMPLETE: TokenFault = { code: "InvalidJWTToken", text: "Fields `role` and `exp` are required in JWT" };

/** Of all tokens remembered for one project, in characters. */
const MAX_REMEMBERED_CHARACTERS = 500_000;

type PublicJwk = JsonWebKey & { readonly kid?: string };

export class TokenVerifier {
  readonly #secret: Buffer;
  readonly #jwks: readonly PublicJwk[];
  readonly #publicKeys = new Map<PublicJwk, KeyObject>();
  readonly #known = new LRUCache<string, VerifiedToken>({
    maxSize: MAX_REMEMBERED_CHARACTERS,
    sizeCalculation: (_token, text) => text.length,
  });

  constructor(keys: JwtKeys) {
    this.#secret = Buffer.from(keys.secret, "utf8");
    this.#jwks = [...(keys.signingKey ? [keys.signingKey] : []), ...keys.verificationKeys];
  }

  /** @param nowMs Milliseconds since the epoch. */
  verify(text: string, nowMs: number): VerifiedToken | TokenFault {
    const token = decodePercent(text).replace(/\s+/g, "");
    const known = this.#known.get(token);
    const verified = known ?? this.#check(token);
    if (isFault(verified)) return verified;
    const now = Math.floor(nowMs / 1000);
    if (verified.expiresAt <= now) {
      return { code: "InvalidJWTToken", text: "Token has expired", expiredFor: now - verified.expiresAt };
    }
    if (!known) this.#known.set(token, verified);
    return verified;
  }

  #check(text: string): VerifiedToken | TokenFault {
    const reading = readJwt(text);
    if (reading.kind === "fault") return MALFORMED;
    const { token } = reading;
    const fault = this.#checkSignature(token);
    if (fault) return fault;
    const { role, exp, iat, sub } = token.claims;
    if (role === undefined || exp === undefined) return INCOMPLETE;
    if (typeof role !== "string" || typeof exp !== "number") return MALFORMED;
    if (iat !== undefined && typeof iat !== "number") return MALFORMED;
    return {
      role,
      expiresAt: Math.round(exp),
      claims: token.payload,
      subject: typeof sub === "string" ? sub : "",
      id: token.signature.toString("base64url", 0, 48),
    };
  }

  #checkSignature({ header, signed, signature }: ParsedJwt): TokenFault | null {
    const { alg, kid } = header;
    const algorithm = typeof alg === "string" && Object.hasOwn(ALGORITHMS, alg) ? ALGORITHMS[alg] : undefined;
    if (!algorithm) return signerFault(kid);
    const jwk = this.#jwks.find((key) => key.kid !== undefined && key.kid === kid && key.kty === algorithm.keyType);
    if (algorithm.keyType === "oct") {
      const secret = jwk?.k === undefined ? this.#secret : Buffer.from(jwk.k, "base64url");
      const expected = createHmac(algorithm.hash ?? "sha256", secret)
        .update(signed)
        .digest();
      return expected.length === signature.length && timingSafeEqual(expected, signature) ? null : UNSIGNED;
    }
    const publicKey = jwk && this.#publicKeyOf(jwk);
    if (!publicKey) return signerFault(kid);
    try {
      const key = algorithm.keyType === "EC" ? { key: publicKey, dsaEncoding: "ieee-p1363" as const } : publicKey;
      return verify(algorithm.hash, Buffer.from(signed, "latin1"), key, signature) ? null : UNSIGNED;
    } catch {
      return UNSIGNED; // the key does not fit the algorithm after all, such as another curve
    }
  }

  #publicKeyOf(jwk: PublicJwk): KeyObject | undefined {
    const known = this.#publicKeys.get(jwk);
    if (known) return known;
    if (jwk.use === "enc") return undefined; // RFC 7517, 4.2: not for signatures
    try {
      const key = createPublicKey({ key: jwk as Record<string, string>, format: "jwk" });
      this.#publicKeys.set(jwk, key);
      return key;
    } catch {
      return undefined;
    }
  }
}

function signerFault(kid: unknown): TokenFault {
  const named = typeof kid === "string" ? ` for key ID (kid) ${JSON.stringify(kid.slice(0, 200))}` : "";
  const text = `Failed to generate JWT signer${named}, check your JWT secret or JWKS configuration`;
  return { code: "JwtSignerError", text };
}

function decodePercent(text: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
