/** A user as the database has it and as clients see it. Rows are JSON of `auth.users`, times ISO texts in UTC. */
import { isStillAhead } from "./times.ts";

export interface UserRow {
  readonly id: string;
  readonly instance_id: string | null;
  readonly aud: string | null;
  readonly role: string | null;
  readonly email: string | null;
  readonly encrypted_password: string | null;
  readonly email_confirmed_at: string | null;
  readonly invited_at: string | null;
  readonly confirmation_token: string | null;
  readonly confirmation_sent_at: string | null;
  readonly recovery_token: string | null;
  readonly recovery_sent_at: string | null;
  readonly email_change_token_new: string | null;
  readonly email_change: string | null;
  readonly email_change_sent_at: string | null;
  readonly last_sign_in_at: string | null;
  readonly raw_app_meta_data: Metadata | null;
  readonly raw_user_meta_data: Metadata | null;
  readonly created_at: string | null;
  readonly updated_at: string | null;
  readonly phone: string | null;
  readonly phone_confirmed_at: string | null;
  readonly phone_change: string | null;
  readonly phone_change_token: string | null;
  readonly phone_change_sent_at: string | null;
  readonly confirmed_at: string | null;
  readonly email_change_token_current: string | null;
  readonly email_change_confirm_status: number | null;
  readonly banned_until: string | null;
  readonly reauthentication_token: string | null;
  readonly reauthentication_sent_at: string | null;
  readonly is_sso_user: boolean;
  readonly deleted_at: string | null;
  readonly is_anonymous: boolean;
}

export type Metadata = Readonly<Record<string, unknown>>;

export interface IdentityRow {
  /** The row's id, which clients see as `identity_id`. */
  readonly id: string;
  /** The provider's subject, which clients see as `id`. */
  readonly provider_id: string;
  readonly user_id: string;
  readonly identity_data: Metadata;
  readonly provider: string;
  readonly last_sign_in_at: string | null;
  readonly created_at: string | null;
  readonly updated_at: string | null;
  readonly email: string | null;
}

export interface FactorRow {
  readonly id: string;
  readonly user_id: string;
  readonly friendly_name: string | null;
  readonly factor_type: "totp" | "phone" | "webauthn";
  readonly status: "unverified" | "verified";
  readonly created_at: string;
  readonly updated_at: string;
  readonly secret: string | null;
  readonly phone: string | null;
  readonly last_challenged_at: string | null;
}

/** A user with what belongs to it; one row of {@link USER_RECORD}. */
export interface UserRecord {
  readonly user: UserRow;
  readonly identities: readonly IdentityRow[];
  readonly factors: readonly FactorRow[];
}

/** SQL: a {@link UserRecord} of the row `u` of `auth.users`. */
export const USER_RECORD = `json_build_object(
  'user', u,
  'identities', (select coalesce(json_agg(i order by i.created_at, i.id), '[]') from auth.identities i where i.user_id = u.id),
  'factors', (select coalesce(json_agg(f order by f.created_at, f.id), '[]') from auth.mfa_factors f where f.user_id = u.id)
)`;

export const isBanned = (user: UserRow, now: Date): boolean =>
  user.banned_until !== null && isStillAhead(user.banned_until, now);

export const hasVerifiedFactor = (record: UserRecord): boolean =>
  record.factors.some((factor) => factor.status === "verified");

/** RFC 3339 in UTC with a Z, as clients get times. */
export const wireTime = (time: string): string => time.replace(/\+00:00$/, "Z");

/** What clients see of a user: never hashes or tokens. */
export function userJson(record: UserRecord): Record<string, unknown> {
  const { identities, factors } = record;
  return {
    ...plainUserJson(record.user),
    identities: identities.map(identityJson),
    factors: factors.length > 0 ? factors.map(factorJson) : undefined,
  };
}

/** As {@link userJson} without the related rows, as the admin list has it. */
export function plainUserJson(user: UserRow): Record<string, unknown> {
  return {
    id: user.id,
    aud: user.aud ?? "",
    role: user.role ?? "",
    email: user.email ?? "",
    email_confirmed_at: timeOf(user.email_confirmed_at),
    invited_at: timeOf(user.invited_at),
    phone: user.phone ?? "",
    phone_confirmed_at: timeOf(user.phone_confirmed_at),
    confirmation_sent_at: timeOf(user.confirmation_sent_at),
    confirmed_at: timeOf(user.confirmed_at),
    recovery_sent_at: timeOf(user.recovery_sent_at),
    new_email: user.email_change || undefined,
    email_change_sent_at: timeOf(user.email_change_sent_at),
    new_phone: user.phone_change || undefined,
    phone_change_sent_at: timeOf(user.phone_change_sent_at),
    reauthentication_sent_at: timeOf(user.reauthentication_sent_at),
    last_sign_in_at: timeOf(user.last_sign_in_at),
    app_metadata: user.raw_app_meta_data ?? {},
    user_metadata: user.raw_user_meta_data ?? {},
    identities: null,
    created_at: timeOf(user.created_at),
    updated_at: timeOf(user.updated_at),
    banned_until: banOf(user.banned_until),
    deleted_at: timeOf(user.deleted_at),
    is_anonymous: user.is_anonymous,
  };
}

function identityJson(identity: IdentityRow): Record<string, unknown> {
  return {
    identity_id: identity.id,
    id: identity.provider_id,
    user_id: identity.user_id,
    identity_data: identity.identity_data,
    provider: identity.provider,
    last_sign_in_at: timeOf(identity.last_sign_in_at),
    created_at: timeOf(identity.created_at),
    updated_at: timeOf(identity.updated_at),
    email: identity.email || undefined,
  };
}

export function factorJson(factor: FactorRow): Record<string, unknown> {
  return {
    id: factor.id,
    created_at: timeOf(factor.created_at),
    updated_at: timeOf(factor.updated_at),
    status: factor.status,
    friendly_name: factor.friendly_name || undefined,
    factor_type: factor.factor_type,
    phone: factor.phone ?? "",
    last_challenged_at: timeOf(factor.last_challenged_at) ?? null,
  };
}

/** Clients read times; what none of them could read is left out. */
const timeOf = (time: string | null): string | undefined =>
  time === null || Number.isNaN(Date.parse(time)) ? undefined : wireTime(time);

/** A ban without a readable end lasts as long as can be said. */
const banOf = (time: string | null): string | undefined =>
  time === null ? undefined : (timeOf(time) ?? "9999-12-31T23:59:59Z");
