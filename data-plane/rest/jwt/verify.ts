/** Signatures of JSON Web Tokens (RFC 7515), checked with the platform's cryptography. */

import { createHmac, createPublicKey, type KeyObject, timingSafeEqual, verify } from "node:crypto";
import { hashJwt, type JwtFault, readJwt } from "../../../control-plane/client/jwt.ts";
import type { Claims } from "../../../control-plane/client/role-claim/role-claim.ts";
import type { VerificationKeys } from "../config.ts";
import { type RestError, restError, tokenError } from "../error.ts";

export interface VerifiedToken {
  readonly claims: Claims;
  /** The payload as it was signed. */
  readonly payload: string;
}

interface Algorithm {
  readonly kind: "hmac" | "rsa" | "rsa-pss" | "ec" | "ed";
  readonly hash: string | null;
}

const ALGORITHMS: Readonly<Record<string, Algorithm>> = {
  HS256: { kind: "hmac", hash: "sha256" },
  HS384: { kind: "hmac", hash: "sha384" },
  HS512: { kind: "hmac", hash: "sha512" },
  RS256: { kind: "rsa", hash: "sha256" },
  RS384: { kind: "rsa", hash: "sha384" },
  RS512: { kind: "rsa", hash: "sha512" },
  PS256: { kind: "rsa-pss", hash: "sha256" },
  PS384: { kind: "rsa-pss", hash: "sha384" },
  PS512: { kind: "rsa-pss", hash: "sha512" },
  ES256: { kind: "ec", hash: "sha256" },
  ES384: { kind: "ec", hash: "sha384" },
  ES512: { kind: "ec", hash: "sha512" },
  EdDSA: { kind: "ed", hash: null },
};
const KEY_TYPES: Readonly<Record<Algorithm["kind"], string>> = {
  hmac: "oct",
  rsa: "RSA",
  "rsa-pss": "RSA",
  ec: "EC",
  ed: "OKP",
};

interface Key {
  readonly type: string;
  readonly kid: string | undefined;
  readonly algorithm: string | undefined;
  readonly secret: Buffer | null;
  readonly publicKey: KeyObject | null;
}

export class TokenVerifier {
  readonly #keys: readonly Key[] | null;
  readonly #strictKid: boolean;
  readonly #revoked: ReadonlySet<string>;

  /** Keys that cannot be read are left out: a token signed with one of them then finds no suitable key. */
  constructor(keys: VerificationKeys) {
    this.#strictKid = keys?.strictKid ?? true;
    this.#revoked = keys?.revoked ?? new Set();
    this.#keys =
      keys === null
        ? null
        : [
            ...keys.secrets.map(({ key, kid }) => ({
              type: "oct",
              kid,
              algorithm: undefined,
              secret: key,
              publicKey: null,
            })),
            ...keys.jwks.flatMap(importJwk),
          ];
  }

  /** @throws {RestError} PGRST300, PGRST301, PGRST303 */
  verify(token: string): VerifiedToken {
    if (this.#keys === null) throw restError("PGRST300");
    const reading = readJwt(token);
    if (reading.kind === "fault") throw refusalOf(reading.fault, token);
    const { header, claims, payload, signature } = reading.token;
    const algorithm = this.#algorithmOf(header);
    const signed = Buffer.from(reading.token.signed, "latin1");
    const name = header.alg as string;
    if (!this.#candidates(header, name, algorithm).some((key) => isSignedBy(key, algorithm, signed, signature))) {
      throw tokenError("PGRST301", "No suitable key or wrong key type", "None of the keys was able to decode the JWT");
    }
    if (this.#revoked.size > 0 && this.#revoked.has(hashJwt(token))) {
      throw tokenError("PGRST301", "The token was revoked");
    }
    return { claims, payload };
  }

  #algorithmOf(header: Claims): Algorithm {
    const { alg } = header;
    const algorithm = typeof alg === "string" && Object.hasOwn(ALGORITHMS, alg) ? ALGORITHMS[alg] : undefined;
    if (algorithm) return algorithm;
    const details = alg === "none" ? "JWT is unsecured but expected 'alg' was not 'none'" : null;
    throw tokenError("PGRST301", "Wrong or unsupported encoding algorithm", details);
  }

  #candidates(header: Claims, name: string, algorithm: Algorithm): readonly Key[] {
    const { kid } = header;
    return (this.#keys ?? []).filter((key) => {
      if (key.type !== KEY_TYPES[algorithm.kind]) return false;
      if (key.algorithm !== undefined && key.algorithm !== name) return false;
      return kid === undefined || key.kid === kid || (!this.#strictKid && key.kid === undefined);
    });
  }
}

function importJwk(jwk: JsonWebKey & { kid?: string }): readonly Key[] {
  if (jwk.use === "enc") return []; // RFC 7517 section 4.2: not for signatures
  const common = { type: jwk.kty ?? "", kid: jwk.kid, algorithm: jwk.alg };
  if (jwk.kty === "oct") return [{ ...common, secret: Buffer.from(jwk.k ?? "", "base64url"), publicKey: null }];
  try {
    return [
      { ...common, secret: null, publicKey: createPublicKey({ key: jwk as Record<string, string>, format: "jwk" }) },
    ];
  } catch {
    return [];
  }
}

function isSignedBy(key: Key, algorithm: Algorithm, signed: Buffer, signature: Buffer): boolean {
  if (algorithm.kind === "hmac") {
    if (key.secret === null || algorithm.hash === null) return false;
    const expected = createHmac(algorithm.hash, key.secret).update(signed).digest();
    return expected.length === signature.length && timingSafeEqual(expected, signature);
  }
  if (key.publicKey === null) return false;
  try {
    return verify(algorithm.hash, signed, verifyInput(key.publicKey, algorithm), signature);
  } catch {
    return false; // the key does not fit the algorithm after all, such as another curve
  }
}

/** Padding and salt of PSS as RFC 7518 has them; signatures of elliptic curves as bare numbers. */
function verifyInput(key: KeyObject, algorithm: Algorithm) {
  if (algorithm.kind === "rsa-pss") return { key, padding: 6, saltLength: -1 };
  if (algorithm.kind === "ec") return { key, dsaEncoding: "ieee-p1363" as const };
  return { key };
}

function refusalOf(fault: JwtFault, token: string): RestError {
  switch (fault) {
    case "parts":
      return tokenError("PGRST301", `Expected 3 parts in JWT; got ${token.split(".").length}`);
    case "claims":
      return tokenError("PGRST303", "Parsing claims failed");
    default:
      return tokenError("PGRST301", "JWT cryptographic operation failed");
  }
}
