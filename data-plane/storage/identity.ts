/** Who a request of storage is from. Refusals carry the texts of the library that the original verifies tokens with. */
import { createHmac } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { ServiceSnapshot } from "../../control-plane/client/config-snapshot.ts";
import { type JwtFault, readJwt } from "../../control-plane/client/jwt.ts";
import { isServiceRoleName } from "../rest/config.ts";
import { TokenVerifier } from "../rest/jwt/verify.ts";
import { StorageError, storageError } from "./errors.ts";

export interface Caller {
  /** A role of the database. */
  readonly role: string;
  /** JSON for `request.jwt.claims`. */
  readonly claims: string;
  /** The token as it came; empty for an anonymous caller. */
  readonly token: string;
  /** Claim `sub`: who owns what the caller uploads. */
  readonly subject: string | null;
}

export const ANONYMOUS: Caller = { role: "anon", claims: '{"role":"anon"}', token: "", subject: null };

/** What the service does on its own behalf. Its role bypasses row-level security. */
export const SERVICE: Caller = {
  role: "service_role",
  claims: '{"role":"service_role"}',
  token: "",
  subject: null,
};

type Claims = Readonly<Record<string, unknown>>;

interface Known {
  readonly caller: Caller;
  readonly claims: Claims;
}

const MAX_PROJECTS = 1_000;
const MAX_TOKENS = 10_000;
const MAX_TOKEN_CHARACTERS = 4_000_000;

interface ProjectVerifier {
  readonly version: number;
  readonly verifier: TokenVerifier;
}

/** Verifies tokens of all projects; those with a good signature are remembered under the project and its version. */
export class Callers {
  readonly #now: () => number;
  readonly #verifiers = new LRUCache<string, ProjectVerifier>({ max: MAX_PROJECTS });
  readonly #known = new LRUCache<string, Known>({
    max: MAX_TOKENS,
    maxSize: MAX_TOKEN_CHARACTERS,
    sizeCalculation: (_known, key) => key.length,
  });

  /** @param now Milliseconds since the epoch. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** @param authorization The header; `Bearer` may be missing. @throws {StorageError} AccessDenied */
  authenticate(project: ServiceSnapshot, authorization: string | undefined): Caller {
    const token = (authorization ?? "").replace(/^bearer(?:\s+|$)/i, "").trim();
    return this.ofToken(project, token);
  }

  /** @throws {StorageError} AccessDenied */
  ofToken(project: ServiceSnapshot, token: string): Caller {
    const key = `${project.projectRef} ${project.version} ${token}`;
    const known = this.#known.get(key) ?? this.#verify(project, token, key);
    this.#checkTimes(known.claims, (message) => storageError("accessDenied", message));
    return known.caller;
  }

  /**
   * Claims of a token that this service has made: of a signed URL.
   * @throws {StorageError} InvalidJWT
   */
  verifySigned(project: ServiceSnapshot, token: string): Claims {
    const refuse = (message: string) => storageError("invalidToken", message);
    const claims = this.#claimsOf(project, token, refuse).claims;
    this.#checkTimes(claims, refuse);
    return claims;
  }

  /** Signs with the project's secret (HS256), which its owner can change. */
  sign(project: ServiceSnapshot, claims: Claims): string {
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
    return `${signed}.${createHmac("sha256", project.jwt.secret).update(signed).digest("base64url")}`;
  }

  get nowSeconds(): number {
    return Math.floor(this.#now() / 1000);
  }

  #verify(project: ServiceSnapshot, token: string, key: string): Known {
    const refuse = (message: string) => storageError("accessDenied", message);
    const { claims, payload } = this.#claimsOf(project, token, refuse);
    if (claims.scope !== undefined && claims.url !== undefined && claims.role === undefined) {
      // A signed URL's token is good for its URL and is nobody's identity.
      throw refuse("signature verification failed");
    }
    const role = typeof claims.role === "string" && claims.role !== "" ? claims.role : "anon";
    if (isServiceRoleName(role)) throw refuse(`permission denied to set role "${role}"`);
    const subject = typeof claims.sub === "string" && claims.sub !== "" ? claims.sub : null;
    const known = { caller: { role, claims: payload, token, subject }, claims };
    this.#known.set(key, known);
    return known;
  }

  #claimsOf(
    project: ServiceSnapshot,
    token: string,
    refuse: (message: string) => StorageError,
  ): { claims: Claims; payload: string } {
    const reading = readJwt(token);
    if (reading.kind === "fault") throw refuse(FAULTS[reading.fault]);
    const { header, claims, payload } = reading.token;
    if (typeof header.alg !== "string" || !ALGORITHMS.has(header.alg)) {
      throw refuse('"alg" (Algorithm) Header Parameter value not allowed');
    }
    try {
      this.#verifierOf(project).verify(token);
    } catch (cause) {
      throw new StorageError(refuse("").kind, { message: "signature verification failed", cause });
    }
    return { claims, payload };
  }

  #checkTimes({ exp, nbf }: Claims, refuse: (message: string) => StorageError): void {
    if (exp !== undefined && typeof exp !== "number") throw refuse('"exp" claim must be a number');
    if (nbf !== undefined && typeof nbf !== "number") throw refuse('"nbf" claim must be a number');
    if (nbf !== undefined && nbf > this.nowSeconds) throw refuse('"nbf" claim timestamp check failed');
    if (exp !== undefined && exp <= this.nowSeconds) throw refuse('"exp" claim timestamp check failed');
  }

  #verifierOf(project: ServiceSnapshot): TokenVerifier {
    const known = this.#verifiers.get(project.projectRef);
    if (known?.version === project.version) return known.verifier;
    const { jwt } = project;
    const verifier = new TokenVerifier({
      secrets: [{ key: Buffer.from(jwt.secret, "utf8"), kid: undefined }],
      jwks: [...(jwt.signingKey ? [jwt.signingKey] : []), ...jwt.verificationKeys],
      strictKid: false,
      revoked: new Set(jwt.revokedTokens),
    });
    this.#verifiers.set(project.projectRef, { version: project.version, verifier });
    return verifier;
  }
}

const ALGORITHMS: ReadonlySet<string> = new Set([
  ...["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  ...["ES256", "ES384", "ES512", "EdDSA"],
]);

/** In the words of the library that the original verifies tokens with. */
const FAULTS: Readonly<Record<JwtFault, string>> = {
  too_long: "Invalid Compact JWS",
  parts: "Invalid Compact JWS",
  encoding: "signature verification failed",
  header: "JWS Protected Header is invalid",
  critical: '"crit" (Critical) Header Parameter is not supported',
  claims: "JWT Claims Set must be a top-level JSON object",
};

const UUID_OF_OWNER = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-5][0-9a-f]{3}-[089ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/** The deprecated column `owner` holds a subject only when it is a UUID of a version the original knew. */
export function ownerUuid(subject: string | null): string | null {
  return subject !== null && UUID_OF_OWNER.test(subject) ? subject : null;
}
