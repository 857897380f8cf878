/** The long-lived JWTs of a project: the legacy API keys, and the tokens by which the gateway speaks for a role. */
import { SignJWT } from "jose";
import type { ApiKeyRole } from "../client/config-snapshot.ts";

const TEN_YEARS_SECONDS = 10 * 365.25 * 24 * 3600;

/** 32 random bytes as 43 characters: longer than the 32 that PostgREST and GoTrue ask for, safe in any file. */
export const JWT_SECRET_BYTES = 32;

/**
 * The legacy `anon` or `service_role` key: claims `iss` "supabase", `ref`, `role`, `iat`, `exp` as hosted keys have
 * them, HS256 under the raw text of the project's JWT secret.
 * @param now Milliseconds since the epoch.
 */
export async function signLegacyKey(secret: string, ref: string, role: ApiKeyRole, now: number): Promise<string> {
  return sign(secret, { iss: "supabase", ref, role }, now);
}

/**
 * What the gateway puts in the Authorization header when a caller shows an opaque key. Differs from the legacy key, so
 * that gateways can refuse it from outside: functions of a project's database see request headers and could keep it.
 */
export async function signRoleToken(secret: string, ref: string, role: ApiKeyRole, now: number): Promise<string> {
  return sign(secret, { iss: "supalove-gateway", ref, role }, now);
}

function sign(secret: string, claims: Record<string, string>, now: number): Promise<string> {
  const issuedAt = Math.floor(now / 1000);
  return new SignJWT(claims)
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + TEN_YEARS_SECONDS)
    .sign(new TextEncoder().encode(secret));
}
