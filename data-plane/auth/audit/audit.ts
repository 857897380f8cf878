/** The project's own record of who did what, in `auth.audit_log_entries`. */
import { type AuthContext, NIL_UUID } from "../context.ts";
import { type Sql, sql } from "../database/sql.ts";
import type { UserRow } from "../users/user.ts";

const LOG_TYPES = {
  login: "account",
  logout: "account",
  invite_accepted: "account",
  user_signedup: "team",
  user_invited: "team",
  user_deleted: "team",
  token_revoked: "token",
  token_refreshed: "token",
  user_modified: "user",
  user_recovery_requested: "user",
  user_reauthenticate_requested: "user",
  user_confirmation_requested: "user",
  user_repeated_signup: "user",
  user_updated_password: "user",
  identity_unlinked: "user",
  factor_in_progress: "factor",
  factor_unenrolled: "factor",
  challenge_created: "factor",
  verification_attempted: "factor",
  factor_deleted: "factor",
  factor_updated: "factor",
} as const;

export type AuditAction = keyof typeof LOG_TYPES;

/** A user, or for an administrator's doing the role of its token. */
export type Actor = Pick<UserRow, "id" | "email" | "phone" | "raw_user_meta_data" | "is_sso_user"> | { role: string };

/** The statement that records the action, or none when the project keeps no audit log. Spread it into a batch. */
export function audit(
  context: AuthContext,
  actor: Actor,
  action: AuditAction,
  traits?: Readonly<Record<string, unknown>>,
): readonly Sql<never>[] {
  if (!context.settings.auditLogEnabled) return [];
  const logType = LOG_TYPES[action];
  const withAddress = logType === "factor" || action === "identity_unlinked";
  const payload = { ...describeActor(actor), action, log_type: logType, ...(traits ? { traits } : {}) };
  return [
    sql(
      `/* audit */ insert into auth.audit_log_entries (instance_id, id, payload, created_at, ip_address)
       values ('${NIL_UUID}', gen_random_uuid(), $1, $2, $3)`,
      [payload, context.now, withAddress ? context.request.clientAddress.slice(0, 64) : ""],
    ),
  ];
}

function describeActor(actor: Actor): Record<string, unknown> {
  if (!("id" in actor)) return { actor_id: NIL_UUID, actor_via_sso: false, actor_username: actor.role };
  const fullName = actor.raw_user_meta_data?.full_name;
  return {
    actor_id: actor.id,
    actor_via_sso: actor.is_sso_user,
    actor_username: actor.phone || actor.email || "",
    ...(typeof fullName === "string" ? { actor_name: fullName } : {}),
  };
}
