/** Browser sessions: a random token in an httpOnly cookie, its hash in the database. */
import type { Queryable } from "../database.ts";
import { generateToken, hashToken } from "./tokens.ts";

const SESSION_DAYS = 30;

/**
 * Over https the prefix binds the cookie to the host that has set it: no page of a sibling or parent domain, nor one
 * reached without TLS, can plant another's session in its place.
 */
function cookieName(secure: boolean): string {
  return secure ? "__Host-supalove_session" : "supalove_session";
}

export interface NewSession {
  readonly token: string;
  readonly expiresAt: Date;
}

/** Also sweeps the account's expired sessions. */
export async function createSession(tx: Queryable, accountId: string, now: number): Promise<NewSession> {
  const token = generateToken("session");
  const expiresAt = new Date(now + SESSION_DAYS * 86_400_000);
  await tx.query("/* createSession: sweep */ delete from sessions where account_id = $1 and expires_at <= $2", [
    accountId,
    new Date(now),
  ]);
  await tx.query("/* createSession */ insert into sessions (token_hash, account_id, expires_at) values ($1, $2, $3)", [
    hashToken(token),
    accountId,
    expiresAt,
  ]);
  return { token, expiresAt };
}

export async function deleteSession(tx: Queryable, tokenHash: Buffer): Promise<void> {
  await tx.query("/* deleteSession */ delete from sessions where token_hash = $1", [tokenHash]);
}

/** All of an account but one: after a password change. */
export async function deleteOtherSessions(tx: Queryable, accountId: string, keptHash: Buffer | null): Promise<void> {
  await tx.query(
    "/* deleteOtherSessions */ delete from sessions where account_id = $1 and token_hash is distinct from $2",
    [accountId, keptHash],
  );
}

/** A Set-Cookie value. The browser sends it to every port of the host, so the gateway strips it from what it proxies. */
export function sessionCookie(session: NewSession, secure: boolean): string {
  return cookie(session.token, `Expires=${session.expiresAt.toUTCString()}`, secure);
}

export function clearedSessionCookie(secure: boolean): string {
  return cookie("", "Max-Age=0", secure);
}

function cookie(value: string, lifetime: string, secure: boolean): string {
  return `${cookieName(secure)}=${value}; Path=/; HttpOnly; SameSite=Lax; ${lifetime}${secure ? "; Secure" : ""}`;
}

/** The session token of a Cookie header, or null. With `secure` only the name that nobody else can set counts. */
export function readSessionCookie(header: string | null, secure: boolean): string | null {
  for (const pair of header?.split(";") ?? []) {
    const [name, value] = pair.trim().split("=", 2);
    if (name === cookieName(secure) && value) return value;
  }
  return null;
}
