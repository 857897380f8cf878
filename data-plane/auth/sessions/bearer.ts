/** Who is asking: the user of an access token with its session, or an administrator. */
import { type AuthContext, NIL_UUID } from "../context.ts";
import { sql } from "../database/sql.ts";
import { AuthError } from "../errors.ts";
import { type AccessTokenClaims, InvalidAccessToken } from "../tokens/access-token.ts";
import { isUuid } from "../users/identifiers.ts";
import { isOver } from "../users/times.ts";
import { isBanned, USER_RECORD, type UserRecord } from "../users/user.ts";
import { type AmrRow, SESSION_AMR, type SessionRow } from "./session.ts";

export interface AuthenticatedUser extends UserRecord {
  readonly claims: AccessTokenClaims;
  /** Null when the token names none. */
  readonly session: SessionRow | null;
  /** Empty without a session. */
  readonly amr: readonly AmrRow[];
}

const ADMIN_ROLES = new Set(["service_role", "supabase_admin"]);

/** @throws {AuthError} for everything that is not a token of a user who exists, in a session that exists. */
export async function requireUser(context: AuthContext): Promise<AuthenticatedUser> {
  const claims = await readClaims(context);
  if (!claims.sub) throw new AuthError("bad_jwt", "invalid claim: missing sub claim");
  if (!isUuid(claims.sub)) {
    throw new AuthError("bad_jwt", "invalid claim: sub claim must be a UUID", { status: 400 });
  }
  return findBearer(context, claims, claims.sub);
}

/** As {@link requireUser}, for what anonymous users may not do. */
export async function requirePermanentUser(context: AuthContext): Promise<AuthenticatedUser> {
  const bearer = await requireUser(context);
  if (bearer.user.is_anonymous) {
    throw new AuthError("no_authorization", "Anonymous user not allowed to perform these actions", { status: 403 });
  }
  return bearer;
}

/** The administrator's role. A user's token with such a role counts only while its session lives. */
export async function requireAdmin(context: AuthContext): Promise<{ readonly role: string }> {
  const claims = await readClaims(context);
  if (claims.session_id && isUuid(claims.session_id)) {
    if (!claims.sub || !isUuid(claims.sub)) throw new AuthError("bad_jwt", "invalid claim: missing sub claim");
    const { session } = await findBearer(context, claims, claims.sub);
    if (session && hasExpired(session, context)) {
      throw new AuthError("session_expired", "Session is no longer valid", { status: 403 });
    }
  }
  if (!claims.role || !ADMIN_ROLES.has(claims.role)) throw new AuthError("not_admin", "User not allowed");
  return { role: claims.role };
}

async function readClaims({ request, project, parts, now }: AuthContext): Promise<AccessTokenClaims> {
  const token = /^bearer (\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
  if (!token) throw new AuthError("no_authorization", "This endpoint requires a valid Bearer token");
  try {
    return await parts.tokens.verify(project, token, now);
  } catch (error) {
    if (!(error instanceof InvalidAccessToken)) throw error;
    const text = `invalid JWT: unable to parse or verify signature, ${error.message}`;
    throw new AuthError("bad_jwt", text, { cause: error });
  }
}

async function findBearer(context: AuthContext, claims: AccessTokenClaims, userId: string): Promise<AuthenticatedUser> {
  const sessionId = claims.session_id === NIL_UUID ? null : claims.session_id || null; // nil means none
  if (sessionId !== null && !isUuid(sessionId)) {
    throw new AuthError("bad_jwt", "invalid claim: session_id claim must be a UUID");
  }
  const [found] = await context.database.run(findUserAndSession(userId, sessionId));
  if (!found) throw new AuthError("user_not_found", "User from sub claim in JWT does not exist", { status: 403 });
  if (sessionId !== null && !found.session) {
    throw new AuthError("session_not_found", "Session from session_id claim in JWT does not exist");
  }
  if (isBanned(found.record.user, context.now)) throw new AuthError("user_banned", "User is banned");
  return { ...found.record, claims, session: found.session, amr: found.amr };
}

interface FoundBearer {
  readonly record: UserRecord;
  readonly session: SessionRow | null;
  readonly amr: readonly AmrRow[];
}

const findUserAndSession = (userId: string, sessionId: string | null) =>
  sql<FoundBearer>(
    `/* findUserAndSession */ select json_build_object(
       'record', ${USER_RECORD}, 'session', case when s.id is null then null else to_json(s) end, 'amr', ${SESSION_AMR}) as row
     from auth.users u left join auth.sessions s on s.user_id = u.id and s.id = $2
     where u.id = $1`,
    [userId, sessionId],
  );

/** True when the session's own end, its time box or its inactivity limit has passed. */
function hasExpired(session: SessionRow, context: AuthContext): boolean {
  return findExpiry(session, context) !== null;
}

/** Why a session is over: `lifetime` for a set end or the time box, `inactivity` since its last refresh. */
export function findExpiry(session: SessionRow, { settings, now }: AuthContext): "lifetime" | "inactivity" | null {
  const { sessionsTimeboxSeconds: timebox, sessionsInactivityTimeoutSeconds: inactivity } = settings;
  if (session.not_after !== null && isOver(session.not_after, 0, now)) return "lifetime";
  if (timebox !== null && isOver(session.created_at, timebox * 1000, now)) return "lifetime";
  if (inactivity !== null && isOver(lastRefresh(session), inactivity * 1000, now)) return "inactivity";
  return null;
}

/** Time of the session's last refresh, or of its beginning. */
export function lastRefresh(session: SessionRow): string {
  return session.refreshed_at === null ? session.created_at : `${session.refreshed_at}Z`;
}
