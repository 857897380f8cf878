/**
 * Access tokens of all projects. A key is bound to one algorithm and one project; which key verifies a token is decided by
 * its `kid`, never by what its header claims to be able to do.
 */
import { errors, importJWK, type JWK, jwtVerify, SignJWT } from "jose";
import { LRUCache } from "lru-cache";
import type { JwtKeys, ServiceSnapshot } from "../../../control-plane/client/config-snapshot.ts";
import { hashJwt, type ParsedJwt, readJwt } from "../../../control-plane/client/jwt.ts";

import { DEFAULT_MAXIMA } from "../../../control-plane/client/maxima.ts";

/** Claims this service reads or writes. Those of API keys have little more than `role`. */
export interface AccessTokenClaims {
  readonly sub?: string;
  readonly role?: string;
  readonly aud?: string | string[];
  readonly session_id?: string;
  readonly exp?: number;
  readonly [claim: string]: unknown;
}

/** Malformed, expired, or signed with no key of the project. `message` may be sent to the caller. */
export class InvalidAccessToken extends Error {}

export interface AccessTokens {
  sign(project: ServiceSnapshot, claims: AccessTokenClaims): Promise<string>;
  /** Checks signature, `exp` and `nbf`; neither issuer nor audience. @throws {InvalidAccessToken} */
  verify(project: ServiceSnapshot, token: string, now: Date): Promise<AccessTokenClaims>;
}

const ALGORITHMS = new Set(["RS256", "RS512", "ES256", "ES512", "EdDSA"]);
const MAX_CACHED_TOKENS = 10_000;
/** What a remembered token takes with its claims, for each of its characters. */
const BYTES_A_CHARACTER = 3;
/** A token of a signed-in user has about a thousand; a larger one is verified each time. */
const MAX_CACHED_TOKEN_CHARACTERS = 8_192;
const MAX_CACHED_PROJECTS = 1000;

type Key = Awaited<ReturnType<typeof importJWK>>;

interface VerificationKey {
  readonly algorithm: string;
  readonly key: Key;
}

interface ProjectKeys {
  readonly version: number;
  readonly secret: Uint8Array;
  readonly signing: { readonly algorithm: string; readonly kid: string | undefined; readonly key: Key };
  readonly byKid: ReadonlyMap<string, VerificationKey>;
}

/** @param maxCacheBytes Of the verified tokens that are remembered, all projects together. */
export function createAccessTokens(maxCacheBytes: number = DEFAULT_MAXIMA.tokenCacheBytes): AccessTokens {
  const keys = new LRUCache<string, Promise<ProjectKeys>>({ max: MAX_CACHED_PROJECTS });
  /** Verified tokens; the key holds project and snapshot version, so a rotated key is out of use at once. */
  const verified = new LRUCache<string, AccessTokenClaims>({
    max: MAX_CACHED_TOKENS,
    maxSize: maxCacheBytes,
    maxEntrySize: MAX_CACHED_TOKEN_CHARACTERS * BYTES_A_CHARACTER,
    sizeCalculation: (_claims, key) => key.length * BYTES_A_CHARACTER,
  });

  async function keysOf(project: ServiceSnapshot): Promise<ProjectKeys> {
    const cached = keys.get(project.projectRef);
    if (cached && (await cached).version === project.version) return cached;
    const loading = importKeys(project.jwt, project.version);
    keys.set(project.projectRef, loading);
    loading.catch(() => keys.delete(project.projectRef));
    return loading;
  }

  return {
    async sign(project, claims) {
      const { signing } = await keysOf(project);
      const { algorithm: alg, kid, key } = signing;
      return new SignJWT(claims)
        .setProtectedHeader({ alg, typ: "JWT", ...(kid === undefined ? {} : { kid }) })
        .sign(key);
    },

    async verify(project, token, now) {
      const cacheKey = `${project.projectRef} ${project.version} ${token}`;
      const cached = verified.get(cacheKey);
      if (cached && (cached.exp === undefined || cached.exp * 1000 > now.getTime())) return cached;
      const reading = readJwt(token);
      if (reading.kind === "fault") {
        const isShort = reading.fault === "parts";
        const what = isShort ? "token contains an invalid number of segments" : "token is not well-formed";
        throw new InvalidAccessToken(`token is malformed: ${what}`);
      }
      if (project.jwt.revokedTokens.includes(hashJwt(token))) {
        throw new InvalidAccessToken("token is unverifiable: it was revoked");
      }
      const { key, algorithm } = chooseKey(await keysOf(project), reading.token.header);
      try {
        const { payload } = await jwtVerify(token, key, { algorithms: [algorithm], currentDate: now });
        const claims = parseClaims(payload);
        verified.set(cacheKey, claims);
        return claims;
      } catch (error) {
        if (error instanceof InvalidAccessToken) throw error;
        throw new InvalidAccessToken(describe(error), { cause: error });
      }
    },
  };
}

const TEXT_CLAIMS = ["sub", "role", "session_id"] as const;

/** A signature says who made a token, not what is in it. @throws {InvalidAccessToken} for a claim of another type. */
function parseClaims(payload: Readonly<Record<string, unknown>>): AccessTokenClaims {
  for (const name of TEXT_CLAIMS) {
    const value = payload[name];
    if (value !== undefined && value !== null && typeof value !== "string") {
      throw new InvalidAccessToken(`token has invalid claims: ${name} is no text`);
    }
  }
  return payload as AccessTokenClaims;
}

async function importKeys(jwt: JwtKeys, version: number): Promise<ProjectKeys> {
  const secret = new TextEncoder().encode(jwt.secret);
  const byKid = new Map<string, VerificationKey>();
  for (const jwk of publicKeys(jwt)) {
    if (jwk.kid && jwk.alg) byKid.set(jwk.kid, { algorithm: jwk.alg, key: await importJWK(jwk, jwk.alg) });
  }
  const signingJwk = jwt.signingKey as JWK | null;
  if (!signingJwk) return { version, secret, byKid, signing: { algorithm: "HS256", kid: undefined, key: secret } };
  const algorithm = signingJwk.alg;
  if (!algorithm || !ALGORITHMS.has(algorithm))
    throw new Error("the project's signing key names no supported algorithm");
  const key = await importJWK(signingJwk, algorithm);
  return { version, secret, byKid, signing: { algorithm, kid: signingJwk.kid, key } };
}

/** The key a token must have been signed with. @throws {InvalidAccessToken} when its header names none of ours. */
function chooseKey(keys: ProjectKeys, header: ParsedJwt["header"]): VerificationKey {
  const named = typeof header.kid === "string" ? keys.byKid.get(header.kid) : undefined;
  if (named) return named;
  if (header.alg === "HS256") return { algorithm: "HS256", key: keys.secret };
  throw new InvalidAccessToken(
    `token is unverifiable: error while executing keyfunc: unrecognized JWT kid for algorithm ${header.alg}`,
  );
}

function describe(error: unknown): string {
  if (error instanceof errors.JWTExpired) return "token has invalid claims: token is expired";
  if (error instanceof errors.JWTClaimValidationFailed) return "token has invalid claims: token is not valid yet";
  if (error instanceof errors.JWSSignatureVerificationFailed) return "token signature is invalid: signature is invalid";
  if (error instanceof errors.JOSEAlgNotAllowed) return "token signature is invalid: signing method is invalid";
  return "token is malformed";
}

const PRIVATE_MEMBERS = new Set(["d", "p", "q", "dp", "dq", "qi", "oth", "k"]);

/** What a project publishes at its JWKS endpoint: asymmetric keys only, without their private members. */
export function publicKeys(jwt: JwtKeys): JWK[] {
  const all = [jwt.signingKey, ...jwt.verificationKeys] as readonly (JWK | null)[];
  return all
    .filter((jwk): jwk is JWK => jwk !== null && jwk.kty !== "oct" && ALGORITHMS.has(jwk.alg ?? ""))
    .map((jwk) => {
      const members = Object.entries(jwk).filter(([name]) => !PRIVATE_MEMBERS.has(name));
      return { ...Object.fromEntries(members), use: "sig", key_ops: ["verify"] } as JWK;
    });
}
