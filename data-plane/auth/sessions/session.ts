/** Sessions: how one begins, what its access token says, and the token response that clients know. */
import { randomUUID } from "node:crypto";
import { AUDIENCE, type AuthContext, addressOf } from "../context.ts";
import { type Sql, sql } from "../database/sql.ts";
import { createRefreshTokenKey, encodeRefreshToken } from "../tokens/refresh-token.ts";
import { type UserRecord, userJson, wireTime } from "../users/user.ts";

export type AssuranceLevel = "aal1" | "aal2" | "aal3";

export interface SessionRow {
  readonly id: string;
  readonly user_id: string;
  readonly created_at: string;
  readonly updated_at: string;
  readonly factor_id: string | null;
  readonly aal: AssuranceLevel | null;
  readonly not_after: string | null;
  /** Without a zone; UTC. */
  readonly refreshed_at: string | null;
  readonly tag: string | null;
  readonly oauth_client_id: string | null;
  readonly refresh_token_hmac_key: string | null;
  readonly refresh_token_counter: number | null;
}

/** How the user has proved who they are; `mfa_amr_claims`. */
export interface AmrRow {
  readonly authentication_method: string;
  readonly updated_at: string;
}

export type SignInMethod =
  | "password"
  | "otp"
  | "recovery"
  | "invite"
  | "magiclink"
  | "email/signup"
  | "email_change"
  | "anonymous";

/** SQL: the {@link AmrRow}s of the session `s`, newest first. */
export const SESSION_AMR = `(select coalesce(json_agg(a order by a.updated_at desc), '[]')
  from auth.mfa_amr_claims a where a.session_id = s.id)`;

const SECOND_FACTORS = new Set(["totp", "mfa/phone", "mfa/webauthn"]);

const assuranceLevel = (amr: readonly AmrRow[]): "aal1" | "aal2" =>
  amr.some(({ authentication_method }) => SECOND_FACTORS.has(authentication_method)) ? "aal2" : "aal1";

export interface IssuedSession {
  readonly id: string;
  readonly refreshToken: string;
  readonly amr: readonly AmrRow[];
}

export interface BegunSession extends IssuedSession {
  /** Insert the session, its first proof and the user's last sign-in; to run in the transaction that proves the user. */
  readonly statements: readonly Sql<never>[];
}

/** A new session with a version 2 refresh token: no row of its own, one key and counter in the session. */
export function beginSession(context: AuthContext, userId: string, method: SignInMethod): BegunSession {
  const { now, request } = context;
  const id = randomUUID();
  const key = createRefreshTokenKey();
  const userAgent = request.headers["user-agent"] ?? null;
  return {
    id,
    refreshToken: encodeRefreshToken(id, 0, key),
    amr: [{ authentication_method: method, updated_at: now.toISOString() }],
    statements: [
      sql(
        `/* insertSession */ insert into auth.sessions
           (id, user_id, created_at, updated_at, aal, user_agent, ip, refresh_token_hmac_key, refresh_token_counter)
         values ($1, $2, $3, $3, 'aal1', $4, $5, $6, 0)`,
        [id, userId, now, userAgent, addressOf(context), key.toString("base64url")],
      ),
      addProof(id, method, now),
      sql(`/* touchLastSignIn */ update auth.users set last_sign_in_at = $2, updated_at = $2 where id = $1`, [
        userId,
        now,
      ]),
    ],
  };
}

/** Records how the session was proved; proving it the same way again renews the time. */
export const addProof = (sessionId: string, method: string, now: Date): Sql<never> =>
  sql(
    `/* addProof */ insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
     values (gen_random_uuid(), $1, $2, $2, $3)
     on conflict (session_id, authentication_method) do update set updated_at = excluded.updated_at`,
    [sessionId, now, method],
  );

/** What a sign-in, a refresh and a verification answer with. */
export async function tokenResponse(
  context: AuthContext,
  record: UserRecord,
  session: IssuedSession,
): Promise<Record<string, unknown>> {
  const { now, settings } = context;
  const issuedAt = Math.floor(now.getTime() / 1000);
  const expiresAt = issuedAt + settings.jwtExpSeconds;
  return {
    access_token: await signAccessToken(context, record, session, issuedAt, expiresAt),
    token_type: "bearer",
    expires_in: settings.jwtExpSeconds,
    expires_at: expiresAt,
    refresh_token: session.refreshToken,
    user: userJson(record),
  };
}

function signAccessToken(
  { project, parts }: AuthContext,
  { user }: UserRecord,
  session: IssuedSession,
  issuedAt: number,
  expiresAt: number,
): Promise<string> {
  return parts.tokens.sign(project, {
    ...(project.jwt.issuer ? { iss: project.jwt.issuer } : {}),
    sub: user.id,
    aud: user.aud ?? AUDIENCE,
    exp: expiresAt,
    iat: issuedAt,
    email: user.email ?? "",
    phone: user.phone ?? "",
    app_metadata: user.raw_app_meta_data ?? {},
    user_metadata: user.raw_user_meta_data ?? {},
    role: user.role ?? "",
    aal: assuranceLevel(session.amr),
    amr: session.amr.map(({ authentication_method, updated_at }) => ({
      method: authentication_method,
      timestamp: Math.floor(Date.parse(wireTime(updated_at)) / 1000),
    })),
    session_id: session.id,
    is_anonymous: user.is_anonymous,
  });
}
