/** Rows of `auth.one_time_tokens`: one a user and kind, replaced with each mail. */
import { type Sql, sql } from "../database/sql.ts";
import { USER_RECORD, type UserRecord } from "../users/user.ts";

export type OneTimeTokenKind =
  | "confirmation_token"
  | "reauthentication_token"
  | "recovery_token"
  | "email_change_token_new"
  | "email_change_token_current"
  | "phone_change_token";

export const storeOneTimeToken = (
  userId: string,
  kind: OneTimeTokenKind,
  hash: string,
  relatesTo: string,
  now: Date,
): Sql<never> =>
  sql(
    `/* storeOneTimeToken */ insert into auth.one_time_tokens
       (id, user_id, token_type, token_hash, relates_to, created_at, updated_at)
     values (gen_random_uuid(), $1, $2, $3, $4, $5, $5)
     on conflict (user_id, token_type) do update
       set token_hash = excluded.token_hash, relates_to = excluded.relates_to, updated_at = excluded.updated_at`,
    [userId, kind, hash, relatesTo.toLowerCase(), now],
  );

export const deleteOneTimeTokens = (userId: string): Sql<never> =>
  sql(`/* deleteOneTimeTokens */ delete from auth.one_time_tokens where user_id = $1`, [userId]);

export const deleteOneTimeToken = (userId: string, kind: OneTimeTokenKind): Sql<never> =>
  sql(`/* deleteOneTimeToken */ delete from auth.one_time_tokens where user_id = $1 and token_type = $2`, [
    userId,
    kind,
  ]);

/**
 * Uses a token up. Of any number who present it at once, the row goes to one: only who is answered a row has it.
 * The user's row is locked first, as everywhere, so that two who confirm never wait for each other.
 */
export const consumeOneTimeToken = (userId: string, kind: OneTimeTokenKind, hash: string): Sql<true> =>
  sql(
    `/* consumeOneTimeToken */ delete from auth.one_time_tokens
     where user_id = $1 and token_type = $2 and token_hash = $3 returning to_json(true) as row`,
    [userId, kind, hash],
  );

export interface TokenHolder {
  readonly kind: OneTimeTokenKind;
  readonly record: UserRecord;
}

/**
 * Who a link's token belongs to; holds the user's row until the transaction ends. Whoever waited for that may be told of
 * a token that is gone by then: {@link consumeOneTimeToken} decides.
 * @param kinds In order of preference.
 */
export const lockUserByToken = (hash: string, kinds: readonly OneTimeTokenKind[]): Sql<TokenHolder> =>
  sql(
    `/* lockUserByToken */ select json_build_object('kind', t.token_type, 'record', ${USER_RECORD}) as row
     from auth.one_time_tokens t join auth.users u on u.id = t.user_id
     where t.token_hash = $1 and t.token_type::text = any (string_to_array($2, ','))
     order by array_position(string_to_array($2, ','), t.token_type::text) limit 1
     for update of u`,
    [hash, kinds.join(",")],
  );
