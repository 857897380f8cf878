/**
 * All that is known of one user of a project: ways to sign in, sessions, second factors, metadata. In a session of role
 * supabase_auth_admin, as user-table.ts. Users write metadata and user agents themselves: each is bounded.
 */
import type pg from "pg";

export interface UserIdentity {
  readonly id: string;
  readonly provider: string;
  readonly email: string | null;
  readonly createdAt: Date | null;
  readonly lastSignInAt: Date | null;
}

export interface UserSession {
  readonly id: string;
  readonly createdAt: Date | null;
  readonly refreshedAt: Date | null;
  readonly ip: string | null;
  readonly userAgent: string | null;
  /** `aal1`, `aal2`. */
  readonly aal: string | null;
}

export interface UserFactor {
  readonly id: string;
  readonly name: string | null;
  /** `totp`, `phone`, `webauthn`. */
  readonly type: string;
  /** `verified`, `unverified`. */
  readonly status: string;
  readonly createdAt: Date | null;
}

export interface UserDetails {
  /** Null when it is larger than {@link MAX_METADATA_BYTES}. */
  readonly appMetadata: unknown;
  readonly userMetadata: unknown;
  /** Sizes of the two as text, in bytes. */
  readonly appMetadataBytes: number;
  readonly userMetadataBytes: number;
  readonly identities: readonly UserIdentity[];
  readonly sessions: readonly UserSession[];
  readonly factors: readonly UserFactor[];
}

export const MAX_METADATA_BYTES = 65_536;
/** Of identities, sessions and factors each: the newest. */
const MAX_LISTED = 100;

/** Null when there is no such user. */
export async function findUserDetails(session: pg.ClientBase, id: string): Promise<UserDetails | null> {
  const { rows } = await session.query<Omit<UserDetails, "identities" | "sessions" | "factors">>(
    `/* findUserDetails */ select
       case when octet_length(raw_app_meta_data::text) <= ${MAX_METADATA_BYTES} then raw_app_meta_data end as "appMetadata",
       case when octet_length(raw_user_meta_data::text) <= ${MAX_METADATA_BYTES} then raw_user_meta_data end as "userMetadata",
       coalesce(octet_length(raw_app_meta_data::text), 0) as "appMetadataBytes",
       coalesce(octet_length(raw_user_meta_data::text), 0) as "userMetadataBytes"
     from auth.users where id = $1 and deleted_at is null`,
    [id],
  );
  const [row] = rows;
  if (!row) return null;
  const identities = await session.query<UserIdentity>(
    `/* findUserDetails: identities */ select id, left(provider, 100) as provider, left(email, 320) as email,
       created_at as "createdAt", last_sign_in_at as "lastSignInAt"
     from auth.identities where user_id = $1 order by created_at desc, id limit ${MAX_LISTED}`,
    [id],
  );
  const sessions = await session.query<UserSession>(
    `/* findUserDetails: sessions */ select id, created_at as "createdAt", refreshed_at at time zone 'UTC' as "refreshedAt",
       host(ip) as ip, left(user_agent, 300) as "userAgent", aal::text as aal
     from auth.sessions where user_id = $1 and (not_after is null or not_after > now())
     order by coalesce(refreshed_at at time zone 'UTC', created_at) desc, id limit ${MAX_LISTED}`,
    [id],
  );
  const factors = await session.query<UserFactor>(
    `/* findUserDetails: factors */ select id, left(friendly_name, 200) as name, factor_type::text as type,
       status::text as status, created_at as "createdAt"
     from auth.mfa_factors where user_id = $1 order by created_at desc, id limit ${MAX_LISTED}`,
    [id],
  );
  return { ...row, identities: identities.rows, sessions: sessions.rows, factors: factors.rows };
}

/** Ends all sessions of a user; answers how many there were. An access token that is out lives to its end. */
export async function deleteUserSessions(session: pg.ClientBase, id: string): Promise<number> {
  const { rowCount } = await session.query("/* deleteUserSessions */ delete from auth.sessions where user_id = $1", [
    id,
  ]);
  return rowCount ?? 0;
}

/** False when the user has no such factor. Sessions that were raised by it go with it, as when a user unenrolls. */
export async function deleteUserFactor(session: pg.ClientBase, userId: string, factorId: string): Promise<boolean> {
  const { rowCount } = await session.query(
    "/* deleteUserFactor */ delete from auth.mfa_factors where user_id = $1 and id = $2",
    [userId, factorId],
  );
  if (rowCount === 1) {
    await session.query(
      "/* deleteUserFactor: sessions */ delete from auth.sessions where user_id = $1 and factor_id = $2",
      [userId, factorId],
    );
  }
  return rowCount === 1;
}

export interface UserChange {
  /** Lower case; counts as confirmed. */
  readonly email?: string;
  /** Digits with the country's code, no plus sign; null takes it away; counts as confirmed. */
  readonly phone?: string | null;
  /** bcrypt; ends all sessions, as the auth service does. */
  readonly passwordHash?: string;
  readonly userMetadata?: unknown;
  readonly isEmailConfirmed?: true;
}

/** In one transaction. False when there is no such user. @throws pg's unique violation when the address is taken. */
export async function updateUser(session: pg.ClientBase, id: string, change: UserChange): Promise<boolean> {
  await session.query("begin");
  try {
    const { rowCount } = await session.query(
      `/* updateUser */ update auth.users set
         email = coalesce($2, email),
         phone = case when $3 then $4 else phone end,
         phone_confirmed_at = case when $3 then case when $4::text is null then null else now() end else phone_confirmed_at end,
         email_confirmed_at = case when $2::text is not null or $7 then coalesce(email_confirmed_at, now()) else email_confirmed_at end,
         confirmation_token = case when $2::text is not null or $7 then '' else confirmation_token end,
         encrypted_password = coalesce($5, encrypted_password),
         raw_user_meta_data = coalesce($6::jsonb, raw_user_meta_data),
         updated_at = now()
       where id = $1 and deleted_at is null`,
      [
        id,
        change.email ?? null,
        change.phone !== undefined,
        change.phone ?? null,
        change.passwordHash ?? null,
        change.userMetadata === undefined ? null : JSON.stringify(change.userMetadata),
        change.isEmailConfirmed ?? false,
      ],
    );
    if (rowCount === 1 && change.email !== undefined) await putIdentity(session, id, "email", change.email);
    if (rowCount === 1 && typeof change.phone === "string") await putIdentity(session, id, "phone", change.phone);
    if (rowCount === 1 && change.passwordHash !== undefined) await deleteUserSessions(session, id);
    await session.query("commit");
    return rowCount === 1;
  } catch (error) {
    await session.query("rollback").catch(() => {});
    throw error;
  }
}

/** The identity of a way to sign in that is the user's own, made or brought up to date. */
async function putIdentity(
  session: pg.ClientBase,
  id: string,
  provider: "email" | "phone",
  address: string,
): Promise<void> {
  await session.query(
    `/* putIdentity */ insert into auth.identities (provider_id, user_id, identity_data, provider, created_at, updated_at)
     values ($1::uuid::text, $1::uuid, jsonb_build_object('sub', $1::uuid::text, $2::text, $3::text, $2::text || '_verified', true),
       $2::text, now(), now())
     on conflict (provider_id, provider) do update
     set identity_data = identities.identity_data || excluded.identity_data, updated_at = now()`,
    [id, provider, address],
  );
  await session.query(
    `/* putIdentity: providers */ update auth.users set raw_app_meta_data = coalesce(raw_app_meta_data, '{}')
       || jsonb_build_object('providers', coalesce(raw_app_meta_data -> 'providers', '[]') || to_jsonb($2::text))
     where id = $1 and not coalesce(raw_app_meta_data -> 'providers', '[]') ? $2`,
    [id, provider],
  );
}
