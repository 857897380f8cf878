/** What a project's services know a role by: the legacy API keys, and what the gateway says in place of an opaque key. */
import { randomBytes } from "node:crypto";
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
 * What the gateway puts in the place of an opaque key towards our services. No JWT: nobody but they can make anything
 * of it, so a copy of it is worth nothing.
 */
export function generateRoleToken(): string {
  return randomBytes(32).toString("base64url");
}

function sign(secret: string, claims: Record<string, string>, now: number): Promise<string> {
  const issuedAt = Math.floor(now / 1000);
  return new SignJWT(claims)
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + TEN_YEARS_SECONDS)
    .sign(new TextEncoder().encode(secret));
}
