/** Statements of a refresh, for both versions of refresh tokens. */
import { type AuthContext, addressOf, NIL_UUID } from "../context.ts";
import { type Sql, sql } from "../database/sql.ts";
import { USER_RECORD, type UserRecord } from "../users/user.ts";
import { type AmrRow, SESSION_AMR, type SessionRow } from "./session.ts";

export interface SessionOwner {
  readonly session: SessionRow;
  readonly record: UserRecord;
  readonly amr: readonly AmrRow[];
}

/** A row of `auth.refresh_tokens`: a version 1 token. */
export interface RefreshTokenRow {
  readonly id: number;
  readonly token: string;
  readonly revoked: boolean | null;
  readonly parent: string | null;
  readonly created_at: string;
  readonly updated_at: string;
  readonly session_id: string | null;
}

export const findSession = (id: string): Sql<SessionOwner> =>
  sql(
    `/* findSession */ select json_build_object('session', s, 'record', ${USER_RECORD}, 'amr', ${SESSION_AMR}) as row
     from auth.sessions s join auth.users u on u.id = s.user_id where s.id = $1`,
    [id],
  );

/** Null fields when the token is of a time before sessions. */
export const findRefreshToken = (token: string): Sql<{ token: RefreshTokenRow; owner: SessionOwner | null }> =>
  sql(
    `/* findRefreshToken */ select json_build_object('token', r, 'owner', case when s.id is null then null else
       json_build_object('session', s, 'record', ${USER_RECORD}, 'amr', ${SESSION_AMR}) end) as row
     from auth.refresh_tokens r
     left join auth.sessions s on s.id = r.session_id
     left join auth.users u on u.id = s.user_id
     where r.token = $1`,
    [token],
  );

/**
 * Moves the counter on, if it is still where the token had it: of two refreshes with one token only one succeeds.
 * Answers a row when it did.
 */
export function advanceSession(context: AuthContext, id: string, counter: number): Sql<true> {
  const { now, request } = context;
  return sql(
    `/* advanceSession */ update auth.sessions
     set refresh_token_counter = refresh_token_counter + 1, refreshed_at = $3::timestamptz at time zone 'utc', user_agent = $4, ip = $5, updated_at = $3
     where id = $1 and refresh_token_counter = $2 returning to_json(true) as row`,
    [id, counter, now, request.headers["user-agent"] ?? null, addressOf(context)],
  );
}

export function touchSession(context: AuthContext, id: string): Sql<never> {
  const { now, request } = context;
  return sql(
    `/* touchSession */ update auth.sessions set refreshed_at = $2::timestamptz at time zone 'utc', user_agent = $3, ip = $4, updated_at = $2 where id = $1`,
    [id, now, request.headers["user-agent"] ?? null, addressOf(context)],
  );
}

export const deleteSession = (id: string): Sql<never> =>
  sql(`/* deleteSession */ delete from auth.sessions where id = $1`, [id]);

/** Answers nothing while another transaction holds either row: the caller waits without a connection and asks again. */
export const lockRefreshToken = (token: string): Sql<RefreshTokenRow> =>
  sql(
    `/* lockRefreshToken */ select to_json(r) as row from auth.refresh_tokens r join auth.sessions s on s.id = r.session_id
     where r.token = $1 for update of r, s skip locked`,
    [token],
  );

/** The session's token that is not revoked, if any. */
export const findActiveToken = (sessionId: string): Sql<RefreshTokenRow> =>
  sql(
    `/* findActiveToken */ select to_json(r) as row from auth.refresh_tokens r
     where r.session_id = $1 and r.revoked is false order by r.id desc limit 1`,
    [sessionId],
  );

export const revokeToken = (id: number, now: Date): Sql<never> =>
  sql(
    `/* revokeToken */ update auth.refresh_tokens set revoked = true, updated_at = $2
     where id = $1 and revoked is not true`,
    [id, now],
  );

export const revokeTokensOfSession = (sessionId: string, now: Date): Sql<never> =>
  sql(
    `/* revokeTokensOfSession */ update auth.refresh_tokens set revoked = true, updated_at = $2
     where session_id = $1 and revoked is false`,
    [sessionId, now],
  );

export const deleteRefreshToken = (id: number): Sql<never> =>
  sql(`/* deleteRefreshToken */ delete from auth.refresh_tokens where id = $1`, [id]);

export const insertRefreshToken = (
  token: string,
  { parent, sessionId, userId }: { parent: string | null; sessionId: string; userId: string },
  now: Date,
): Sql<never> =>
  sql(
    `/* insertRefreshToken */ insert into auth.refresh_tokens
       (instance_id, token, user_id, revoked, created_at, updated_at, parent, session_id)
     values ('${NIL_UUID}', $1, $2, false, $3, $3, $4, $5)`,
    [token, userId, now, parent, sessionId],
  );

/** A session of the user with the same tag that was refreshed after this one. */
export const findNewerSession = (session: SessionRow): Sql<true> =>
  sql(
    `/* findNewerSession */ select to_json(true) as row from auth.sessions s
     where s.user_id = $1 and s.id <> $2 and s.tag is not distinct from $3
       and coalesce(s.refreshed_at, s.created_at at time zone 'utc')
         > (select coalesce(o.refreshed_at, o.created_at at time zone 'utc') from auth.sessions o where o.id = $2)
     limit 1`,
    [session.user_id, session.id, session.tag],
  );
