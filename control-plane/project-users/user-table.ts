/**
 * Users of a project: rows of its auth.users, as people who run the project see them. Every function works in a session
 * of role supabase_auth_admin (clusters/authenticator-session.ts).
 *
 * Only bounded columns are read: metadata is written by the project's own users, as large as they like.
 */
import type pg from "pg";
import { keysetSql, type Page } from "../connections.ts";
import { containsPattern } from "../database.ts";
import { isUuid } from "../uuid.ts";

export interface ProjectUser {
  readonly id: string;
  /** Null for users who sign in by phone or anonymously. */
  readonly email: string | null;
  readonly phone: string | null;
  /** Claim `app_metadata.role` of the user's tokens, which policies may ask for; null for none. */
  readonly appRole: string | null;
  readonly isAnonymous: boolean;
  readonly createdAt: Date | null;
  readonly lastSignInAt: Date | null;
  readonly emailConfirmedAt: Date | null;
  readonly phoneConfirmedAt: Date | null;
  /** Ways to sign in: `email`, `phone`, `github`. */
  readonly providers: readonly string[];
  /** A time in the past is no ban any more. */
  readonly bannedUntil: Date | null;
}

export const USER_STATUSES = ["active", "unconfirmed", "banned", "anonymous"] as const;
/** Banned above all, then anonymous; unconfirmed has neither a confirmed e-mail nor a confirmed phone number. */
export type UserStatus = (typeof USER_STATUSES)[number];

export const USER_SORTS = ["created", "last-sign-in", "email"] as const;
/** Newest first, latest first, from a to z. */
export type UserSort = (typeof USER_SORTS)[number];

export interface UserFilter {
  /** Part of an e-mail or a phone number in any case, or a whole id. */
  readonly search: string | null;
  readonly statuses: readonly UserStatus[] | null;
  /** One that the user signs in by: `email`, `github`. */
  readonly provider: string | null;
  readonly appRole: string | null;
}

const COLUMNS = `u.id, left(u.email, 320) as email, left(u.phone, 40) as phone,
  left(u.raw_app_meta_data ->> 'role', 100) as "appRole", u.is_anonymous as "isAnonymous",
  u.created_at as "createdAt", u.last_sign_in_at as "lastSignInAt", u.email_confirmed_at as "emailConfirmedAt",
  u.phone_confirmed_at as "phoneConfirmedAt", array(
    select left(provider, 100) from jsonb_array_elements_text(
      case when jsonb_typeof(u.raw_app_meta_data -> 'providers') = 'array' then u.raw_app_meta_data -> 'providers' end
    ) as provider limit 20
  ) as providers,
  case when isfinite(u.banned_until) then u.banned_until end as "bannedUntil"`;

/** The keys of the sorts: columns may be null in rows that other tools have written, and a key must not be. */
const USERS = `(select *, coalesce(created_at, 'epoch') as made_at, coalesce(last_sign_in_at, 'epoch') as seen_at,
  coalesce(lower(email), '') as sort_email, case
    when banned_until > now() then 'banned'
    when is_anonymous then 'anonymous'
    when email_confirmed_at is null and phone_confirmed_at is null then 'unconfirmed'
    else 'active'
  end as status from auth.users where deleted_at is null)`;

const FILTER = `($1::text is null or u.email ilike $1 or u.phone ilike $1 or u.id = $2::uuid)
  and ($3::text[] is null or u.status = any ($3)) and ($4::text is null or u.raw_app_meta_data -> 'providers' ? $4)
  and ($5::text is null or u.raw_app_meta_data ->> 'role' = $5)`;
const FILTER_PARAMETERS = 5;

const SORTS: Readonly<Record<UserSort, { readonly key: string; readonly direction: "asc" | "desc" }>> = {
  created: { key: "made_at", direction: "desc" },
  "last-sign-in": { key: "seen_at", direction: "desc" },
  email: { key: "sort_email", direction: "asc" },
};

export async function listProjectUsers(
  session: pg.ClientBase,
  filter: UserFilter,
  sort: UserSort,
  page: Page,
): Promise<ProjectUser[]> {
  const { key, direction } = SORTS[sort];
  const keyset = keysetSql(page, {
    key: `(u.${key}, u.id)`,
    keyOf: (cursor) => `(select ${key}, id from ${USERS} c where id = ${cursor}::uuid)`,
    direction,
    firstParameter: FILTER_PARAMETERS + 2,
  });
  const { rows } = await session.query<ProjectUser>(
    `/* listProjectUsers */ select ${COLUMNS} from ${USERS} u
     where ${FILTER} and ${keyset.where} order by ${keyset.orderBy} limit $${FILTER_PARAMETERS + 1}`,
    [...filterValues(filter), page.limit, ...keyset.values],
  );
  return rows;
}

export async function countProjectUsers(session: pg.ClientBase, filter: UserFilter): Promise<number> {
  const { rows } = await session.query<{ count: string }>(
    `/* countProjectUsers */ select count(*) from ${USERS} u where ${FILTER}`,
    filterValues(filter),
  );
  return Number(rows[0]?.count);
}

const MAX_LISTED_ROLES = 50;

/** Roles that users have, for a filter and for whoever gives one; the most common of them. */
export async function listAppRoles(session: pg.ClientBase): Promise<string[]> {
  const { rows } = await session.query<{ role: string }>(
    `/* listAppRoles */ select left(raw_app_meta_data ->> 'role', 100) as role from auth.users
     where raw_app_meta_data ->> 'role' is not null and deleted_at is null
     group by 1 order by count(*) desc, 1 limit ${MAX_LISTED_ROLES}`,
  );
  return rows.map(({ role }) => role);
}

export async function findProjectUser(session: pg.ClientBase, id: string): Promise<ProjectUser | null> {
  const { rows } = await session.query<ProjectUser>(
    `/* findProjectUser */ select ${COLUMNS} from ${USERS} u where u.id = $1`,
    [id],
  );
  return rows[0] ?? null;
}

/** The user as he is then; null when there is none. Tokens that are out keep the old role until they are refreshed. */
export async function setAppRole(
  session: pg.ClientBase,
  id: string,
  appRole: string | null,
): Promise<ProjectUser | null> {
  await session.query(
    `/* setAppRole */ update auth.users
     set raw_app_meta_data = case when $2::text is null then coalesce(raw_app_meta_data, '{}') - 'role'
         else coalesce(raw_app_meta_data, '{}') || jsonb_build_object('role', $2::text) end,
       updated_at = now()
     where id = $1 and deleted_at is null`,
    [id, appRole],
  );
  return findProjectUser(session, id);
}

/** Null lifts a ban. A banned user can neither sign in nor refresh; an access token that is out lives to its end. */
export async function setBannedUntil(
  session: pg.ClientBase,
  id: string,
  until: Date | null,
): Promise<ProjectUser | null> {
  await session.query(
    "/* setBannedUntil */ update auth.users set banned_until = $2, updated_at = now() where id = $1 and deleted_at is null",
    [id, until],
  );
  return findProjectUser(session, id);
}

/** With identities, sessions and factors. False when there was no such user. */
export async function deleteProjectUser(session: pg.ClientBase, id: string): Promise<boolean> {
  const { rowCount } = await session.query("/* deleteProjectUser */ delete from auth.users where id = $1", [id]);
  return rowCount === 1;
}

function filterValues({ search, statuses, provider, appRole }: UserFilter): unknown[] {
  return [
    search === null ? null : containsPattern(search),
    search !== null && isUuid(search) ? search : null,
    statuses,
    provider,
    appRole,
  ];
}
