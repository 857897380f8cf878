/** Writes a new user of a project with its e-mail identity, as auth's admin API would. */
import type pg from "pg";

export interface NewProjectUser {
  readonly id: string;
  /** Lower case. */
  readonly email: string;
  /** bcrypt. */
  readonly passwordHash: string;
  /** Claim `app_metadata.role` of the user's tokens: what the project's policies make of it; null for none. */
  readonly appRole: string | null;
}

/**
 * Inserts the user, confirmed, or answers false when the e-mail is taken. Two statements in one transaction: triggers of
 * Supabase projects wait for an INSERT without and an UPDATE with the confirmation.
 * @param session as supabase_auth_admin, in no transaction. @throws pg.DatabaseError what the tenant's triggers raise.
 */
export async function insertProjectUser(session: pg.ClientBase, user: NewProjectUser): Promise<boolean> {
  const appMetadata = { provider: "email", providers: ["email"], ...(user.appRole ? { role: user.appRole } : {}) };
  await session.query("begin");
  try {
    const { rowCount } = await session.query(
      `/* insertProjectUser */
       with inserted as (
         insert into auth.users (
           instance_id, id, aud, role, email, encrypted_password, raw_app_meta_data, raw_user_meta_data,
           created_at, updated_at, confirmation_token, recovery_token, email_change, email_change_token_new,
           email_change_token_current, phone_change, phone_change_token, reauthentication_token
         )
         select '00000000-0000-0000-0000-000000000000', $1::uuid, 'authenticated', '', $2::text, $3, $4::jsonb, '{}',
           now(), now(), '', '', '', '', '', '', '', ''
         where not exists (
           select from auth.users where instance_id = '00000000-0000-0000-0000-000000000000'
             and lower(email) = $2::text and not is_sso_user
         )
         on conflict do nothing
         returning id, email
       )
       insert into auth.identities (provider_id, user_id, identity_data, provider, created_at, updated_at)
       select id::text, id, jsonb_build_object('sub', id::text, 'email', email, 'email_verified', false, 'phone_verified', false),
         'email', now(), now()
       from inserted`,
      [user.id, user.email, user.passwordHash, JSON.stringify(appMetadata)],
    );
    if (rowCount === 1) {
      await session.query(
        `/* insertProjectUser: confirm */ update auth.users
         set role = 'authenticated', email_confirmed_at = now(), updated_at = now(),
             raw_user_meta_data = raw_user_meta_data || '{"email_verified": true}'
         where id = $1`,
        [user.id],
      );
    }
    await session.query("commit");
    return rowCount === 1;
  } catch (error) {
    await session.query("rollback").catch(() => {});
    throw error;
  }
}
