/** A soft deletion: the row stays for what refers to it, and nothing in it tells who it was. */
import { createHash } from "node:crypto";
import { type Sql, sql } from "../database/sql.ts";
import { deleteSessions } from "../sessions/logout.ts";
import { deleteOneTimeTokens } from "../tokens/one-time-token-queries.ts";
import { NO_PENDING_TOKENS } from "../users/password-change.ts";
import type { IdentityRow, UserRecord } from "../users/user.ts";
import { updateUser } from "../users/user-queries.ts";

const PHONE_LENGTH = 15;

export function eraseUser({ user, identities }: UserRecord, now: Date): Sql<never>[] {
  const { id } = user;
  return [
    updateUser(
      id,
      {
        email: obscureIfSet(id, user.email),
        phone: obscureIfSet(id, user.phone)?.slice(0, PHONE_LENGTH) ?? null,
        email_change: obscureIfSet(id, user.email_change) ?? "",
        phone_change: obscureIfSet(id, user.phone_change)?.slice(0, PHONE_LENGTH) ?? "",
        encrypted_password: "",
        ...NO_PENDING_TOKENS,
        raw_user_meta_data: {},
        raw_app_meta_data: {},
        deleted_at: now,
      },
      now,
    ),
    ...identities.map((identity) => eraseIdentity(identity, now)),
    deleteOneTimeTokens(id),
    sql(`/* eraseFactors */ delete from auth.mfa_factors where user_id = $1`, [id]),
    sql(`/* erasePasskeys */ delete from auth.webauthn_credentials where user_id = $1`, [id]),
    deleteSessions(id),
  ];
}

const obscure = (id: string, value: string): string =>
  createHash("sha256")
    .update(id + value)
    .digest("base64url");

const obscureIfSet = (id: string, value: string | null): string | null => (value ? obscure(id, value) : null);

const eraseIdentity = ({ id, user_id, provider, provider_id }: IdentityRow, now: Date): Sql<never> =>
  sql(
    `/* eraseIdentity */ update auth.identities set provider_id = $2, identity_data = '{}', updated_at = $3 where id = $1`,
    [id, obscure(user_id, `${provider}:${provider_id}`), now],
  );
