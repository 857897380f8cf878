/** Who a request is from: the role it runs as and the claims that SQL may read. */
import { LRUCache } from "lru-cache";
import {
  type Claims,
  InvalidRoleClaimKey,
  type RoleSelector,
  roleSelector,
} from "../../../control-plane/client/role-claim/role-claim.ts";
import type { RestConfig } from "../config.ts";
import { RestError, restError, tokenError } from "../error.ts";
import { TokenVerifier } from "./verify.ts";

export interface Identity {
  readonly role: string;
  /** JSON for `request.jwt.claims`; always has a role. */
  readonly claims: string;
  /** False for the anonymous role, with or without a token: who has no rights then may sign in (401, not 403). */
  readonly authenticated: boolean;
}

/** A token whose signature is good; its times are checked whenever it comes. */
interface KnownToken {
  readonly claims: Claims;
  readonly identity: Identity | RestError;
}

const CLOCK_SKEW_SECONDS = 30;
/** Of all tokens remembered for one database, in characters. */
const MAX_CACHED_CHARACTERS = 2_000_000;
/** A larger token is verified each time. */
const MAX_CACHED_TOKEN_CHARACTERS = 8_192;

export class Authenticator {
  readonly #config: RestConfig;
  readonly #now: () => number;
  readonly #verifier: TokenVerifier;
  readonly #selectRole: RoleSelector;
  readonly #anonymous: Identity | null;
  readonly #known: LRUCache<string, KnownToken> | null;

  /** @param now Milliseconds since the epoch. */
  constructor(config: RestConfig, now: () => number) {
    this.#config = config;
    this.#now = now;
    this.#verifier = new TokenVerifier(config.jwtKeys);
    this.#selectRole = selectorOf(config.jwtRoleClaimKey);
    const { anonRole } = config;
    this.#anonymous =
      anonRole === null ? null : { role: anonRole, claims: JSON.stringify({ role: anonRole }), authenticated: false };
    this.#known =
      config.jwtCacheMaxEntries === 0
        ? null
        : new LRUCache({
            max: config.jwtCacheMaxEntries,
            maxSize: MAX_CACHED_CHARACTERS,
            maxEntrySize: MAX_CACHED_TOKEN_CHARACTERS,
            sizeCalculation: (_token, key) => key.length,
          });
  }

  /**
   * @param authorization The Authorization header. Other schemes than Bearer are as none.
   * @throws {RestError} PGRST300 to PGRST303, or 42501 for a role that no token may have.
   */
  authenticate(authorization: string | undefined): Identity {
    const token = authorization === undefined ? null : bearerToken(authorization);
    if (token === null) return this.#anonymously();
    if (token === "") throw tokenError("PGRST301", "Empty JWT is sent in Authorization header");
    const known = this.#known?.get(token) ?? this.#verify(token);
    this.#checkClaims(known.claims);
    if (known.identity instanceof RestError) throw known.identity;
    return known.identity;
  }

  #anonymously(): Identity {
    if (this.#anonymous) return this.#anonymous;
    throw restError("PGRST302", { headers: [["WWW-Authenticate", "Bearer"]] });
  }

  #verify(token: string): KnownToken {
    const { claims, payload } = this.#verifier.verify(token);
    const known = { claims, identity: this.#identityOf(claims, payload) };
    this.#known?.set(token, known);
    return known;
  }

  #identityOf(claims: Claims, payload: string): Identity | RestError {
    const claimed = this.#selectRole(claims);
    const role = claimed ?? this.#config.anonRole;
    if (role === null) return restError("PGRST302", { headers: [["WWW-Authenticate", "Bearer"]] });
    if (claimed !== null && this.#config.refusesRole(claimed)) return refusedRole(claimed);
    const text = claims.role === undefined ? JSON.stringify({ ...claims, role }) : payload;
    return { role, claims: text, authenticated: role !== this.#config.anonRole };
  }

  #checkClaims(claims: Claims): void {
    const seconds = this.#now() / 1000;
    const expires = numberClaim(claims, "exp");
    if (expires !== null && seconds > expires + CLOCK_SKEW_SECONDS) throw tokenError("PGRST303", "JWT expired");
    const notBefore = numberClaim(claims, "nbf");
    if (notBefore !== null && seconds < notBefore - CLOCK_SKEW_SECONDS) {
      throw tokenError("PGRST303", "JWT not yet valid");
    }
    const issued = numberClaim(claims, "iat");
    if (issued !== null && seconds < issued - CLOCK_SKEW_SECONDS) throw tokenError("PGRST303", "JWT issued at future");
    this.#checkAudience(claims.aud ?? null);
  }

  #checkAudience(audience: unknown): void {
    if (audience === null) return;
    const audiences: readonly unknown[] = Array.isArray(audience) ? audience : [audience];
    if (!audiences.every((item) => typeof item === "string")) {
      throw tokenError("PGRST303", "The JWT 'aud' claim must be a string or an array of strings");
    }
    const { jwtAudience } = this.#config;
    if (jwtAudience === null || audiences.length === 0 || audiences.includes(jwtAudience)) return;
    throw tokenError("PGRST303", "JWT not in audience");
  }
}

function bearerToken(authorization: string): string | null {
  if (authorization.slice(0, 6).toLowerCase() !== "bearer") return null;
  const rest = authorization.slice(6);
  return rest === "" || rest.startsWith(" ") ? rest.trim() : null;
}

function numberClaim(claims: Claims, name: "exp" | "nbf" | "iat"): number | null {
  const value = claims[name] ?? null;
  if (value === null || typeof value === "number") return value;
  throw tokenError("PGRST303", `The JWT '${name}' claim must be a number`);
}

/** What SET ROLE would answer to a login that is not a member. */
function refusedRole(role: string): RestError {
  return new RestError({ status: 403, code: "42501", message: `permission denied to set role "${role}"` });
}

/** A project's setting is only looked over when it is made. Who sends a token is told that it is wrong; others are served. */
function selectorOf(key: string): RoleSelector {
  try {
    return roleSelector(key);
  } catch (failure) {
    if (!(failure instanceof InvalidRoleClaimKey)) throw failure;
    return () => {
      throw restError("PGRST300", { message: failure.message });
    };
  }
}
