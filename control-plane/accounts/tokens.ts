/** The tokens of the control plane. Each is shown once; only its SHA-256 is kept, which suffices for random texts. */
import { createHash, randomBytes } from "node:crypto";

/** Personal access tokens have the form that the Supabase CLI insists on: `sbp_` + 40 hex digits. */
export const TOKEN_PREFIXES = {
  accessToken: "sbp_",
  session: "sbses_",
  service: "sbsvc_",
  invitation: "sbinv_",
} as const;

export type TokenKind = keyof typeof TOKEN_PREFIXES;

/** 160 random bits behind the prefix. */
export function generateToken(kind: TokenKind): string {
  return TOKEN_PREFIXES[kind] + randomBytes(20).toString("hex");
}

/** Null for a text that is no token of ours: it need not be looked up. */
export function tokenKind(token: string): TokenKind | null {
  const match = /^(sb[a-z]+_)[0-9a-f]{40}$/.exec(token);
  const entry = Object.entries(TOKEN_PREFIXES).find(([, prefix]) => prefix === match?.[1]);
  return entry ? (entry[0] as TokenKind) : null;
}

export function hashToken(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
