/** Statements on users and their identities. */
import { AUDIENCE, NIL_UUID } from "../context.ts";
import { type Sql, type SqlValue, sql } from "../database/sql.ts";
import { type IdentityRow, type Metadata, USER_RECORD, type UserRecord, type UserRow } from "./user.ts";

/** Rows written by hand may have no instance; both branches use the index on (instance_id, lower(email)). */
const OURS = `(u.instance_id = '${NIL_UUID}' or u.instance_id is null) and u.aud = '${AUDIENCE}'`;

export const findUserById = (id: string): Sql<UserRecord> =>
  sql(`/* findUserById */ select ${USER_RECORD} as row from auth.users u where u.id = $1`, [id]);

/** Holds the row until the transaction ends. */
export const lockUser = (id: string): Sql<UserRecord> =>
  sql(`/* lockUser */ select ${USER_RECORD} as row from auth.users u where u.id = $1 for update of u`, [id]);

/** @param email in lower case. */
export const findUserByEmail = (email: string): Sql<UserRecord> =>
  sql(
    `/* findUserByEmail */ select ${USER_RECORD} as row from auth.users u
     where ${OURS} and lower(u.email) = $1 and not u.is_sso_user limit 1`,
    [email],
  );

/** @param phone without `+`. */
export const findUserByPhone = (phone: string): Sql<UserRecord> =>
  sql(`/* findUserByPhone */ select ${USER_RECORD} as row from auth.users u where ${OURS} and u.phone = $1 limit 1`, [
    phone,
  ]);

/** Who already has the address, as their own or through an identity that is not of a single-sign-on provider. */
export const findUserWithAddress = (email: string): Sql<UserRecord> =>
  sql(
    `/* findUserWithAddress */ select ${USER_RECORD} as row from auth.users u
     where u.id in (
       select i.user_id from auth.identities i where i.email = $1 and i.provider not like 'sso:%'
       union all
       select u.id from auth.users u where ${OURS} and lower(u.email) = $1 and not u.is_sso_user
     ) and u.aud = '${AUDIENCE}'
     order by (lower(u.email) = $1) desc nulls last, u.created_at limit 1`,
    [email],
  );

export interface NewUser {
  readonly id: string;
  readonly email: string | null;
  readonly phone: string | null;
  readonly passwordHash: string | null;
  readonly appMetadata: Metadata;
  readonly userMetadata: Metadata;
  readonly isAnonymous: boolean;
}

/**
 * Triggers of the project see the row as GoTrue inserts it: no role, no confirmation, metadata just as they were sent.
 * The other columns follow by {@link updateUser} in the same transaction.
 */
export const insertUser = (user: NewUser, now: Date): Sql<never> =>
  sql(
    `/* insertUser */ insert into auth.users
       (instance_id, id, aud, role, email, phone, encrypted_password, raw_app_meta_data, raw_user_meta_data, is_anonymous,
        confirmation_token, recovery_token, email_change, email_change_token_new, email_change_token_current, phone_change,
        phone_change_token, reauthentication_token, email_change_confirm_status, is_sso_user, created_at, updated_at)
     values ('${NIL_UUID}', $1, '${AUDIENCE}', '', $2, $3, $4, $5, $6, $7,
        '', '', '', '', '', '', '', '', 0, false, $8, $8)`,
    [
      user.id,
      user.email,
      user.phone,
      user.passwordHash ?? "",
      user.appMetadata,
      user.userMetadata,
      user.isAnonymous,
      now,
    ],
  );

type WritableColumn = Exclude<keyof UserRow, "id" | "instance_id" | "confirmed_at" | "created_at" | "updated_at">;
export type UserChanges = Partial<Record<WritableColumn, SqlValue | Merged>>;

/** A change of metadata that is merged into what the row holds by then, so that what triggers have written is kept. */
export class Merged {
  readonly changes: Metadata;
  /** @param changes Keys to set; null deletes a key. */
  constructor(changes: Metadata) {
    this.changes = changes;
  }
}

/** Sets the given columns and bumps `updated_at`. Column names are ours, never a caller's. */
export function updateUser(id: string, changes: UserChanges, now: Date): Sql<never> {
  const assignments = ["updated_at = $2"];
  const values: SqlValue[] = [id, now];
  for (const [column, value] of Object.entries(changes)) {
    const isMerged = value instanceof Merged;
    const parameter = `$${values.push(isMerged ? value.changes : value)}`;
    assignments.push(`${column} = ${isMerged ? mergedColumn(column, `${parameter}::jsonb`) : parameter}`);
  }
  return sql(`/* updateUser */ update auth.users set ${assignments.join(", ")} where id = $1`, values);
}

function mergedColumn(column: string, changes: string): string {
  const deleted = `array(select c.key from jsonb_each(${changes}) c where jsonb_typeof(c.value) = 'null')`;
  return `(coalesce(${column}, '{}') || ${changes}) - ${deleted}`;
}

export const deleteUser = (id: string): Sql<never> =>
  sql(`/* deleteUser */ delete from auth.users where id = $1`, [id]);

export interface NewIdentity {
  readonly userId: string;
  readonly provider: "email" | "phone";
  readonly data: Metadata;
}

/** For addresses and phones the subject is the user itself. An identity that exists gets the new data. */
export const upsertIdentity = ({ userId, provider, data }: NewIdentity, now: Date): Sql<never> =>
  sql(
    `/* upsertIdentity */ insert into auth.identities
       (id, provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at)
     values (gen_random_uuid(), $1::text, $1::uuid, $2, $3, $4, $4, $4)
     on conflict (provider_id, provider) do update
       set identity_data = auth.identities.identity_data || excluded.identity_data, updated_at = excluded.updated_at`,
    [userId, data, provider, now],
  );

export const deleteIdentity = (id: string): Sql<never> =>
  sql(`/* deleteIdentity */ delete from auth.identities where id = $1`, [id]);

/** Marks the identity with the user's own address as verified. */
export const verifyEmailIdentity = (userId: string, email: string, now: Date): Sql<never> =>
  sql(
    `/* verifyEmailIdentity */ update auth.identities
     set identity_data = identity_data || '{"email_verified": true}', updated_at = $3
     where user_id = $1 and email = $2`,
    [userId, email, now],
  );

/** `provider` is the oldest identity's, `providers` all of them by age. */
export function providerMetadata(identities: readonly Pick<IdentityRow, "provider">[]): Metadata {
  const providers = [...new Set(identities.map(({ provider }) => provider))];
  return providers.length > 0 ? { provider: providers[0], providers } : {};
}
