/** What a presented token changes about its user. */
import { audit } from "../audit/audit.ts";
import type { AuthContext } from "../context.ts";
import type { Sql } from "../database/sql.ts";
import { unknownPasswordHash } from "../passwords/unknown-password.ts";
import { confirmEmail, confirmPhone } from "../signup/new-account.ts";
import { deleteOneTimeToken, deleteOneTimeTokens } from "../tokens/one-time-token-queries.ts";
import { applyEmail, applyPhone } from "../users/email-change.ts";
import { mergeInto } from "../users/metadata.ts";
import { providerMetadata, updateUser } from "../users/user-queries.ts";
import type { PresentedToken } from "./check-token.ts";

export type Confirmation =
  /** The user is who the token was sent to: a session may begin. */
  | { readonly kind: "complete"; readonly statements: readonly Sql<never>[] }
  /** One of two mailboxes has agreed to a change of address. */
  | { readonly kind: "half"; readonly statements: readonly Sql<never>[] };

export function confirm(context: AuthContext, token: PresentedToken): Confirmation {
  switch (token.type) {
    case "signup":
    case "invite":
      return { kind: "complete", statements: confirmSignup(context, token) };
    case "recovery":
    case "magiclink":
      return { kind: "complete", statements: confirmRecovery(context, token) };
    case "email_change":
      return confirmEmailChange(context, token);
    case "sms":
      return { kind: "complete", statements: confirmPhone(token.record.user.id, context.now) };
    case "phone_change": {
      const { record } = token;
      const phone = record.user.phone_change ?? "";
      const statements = [...applyPhone(record, phone, context.now), deleteOneTimeTokens(record.user.id)];
      return { kind: "complete", statements };
    }
  }
}

function confirmSignup(context: AuthContext, { record, type }: PresentedToken): Sql<never>[] {
  const { user, identities } = record;
  const { now } = context;
  const appMetadata = mergeInto(user.raw_app_meta_data, providerMetadata(identities));
  const password = user.encrypted_password ? {} : { encrypted_password: unknownPasswordHash() };
  return [
    ...confirmEmail(user, now),
    updateUser(user.id, { raw_app_meta_data: appMetadata, ...password }, now),
    ...audit(context, user, type === "invite" ? "invite_accepted" : "user_signedup", { provider: "email" }),
  ];
}

/** Who follows a mailed link has shown that the address is theirs. */
function confirmRecovery(context: AuthContext, { record }: PresentedToken): Sql<never>[] {
  const { user, identities } = record;
  const { now } = context;
  const appMetadata = mergeInto(user.raw_app_meta_data, providerMetadata(identities));
  return [
    ...(user.email_confirmed_at === null ? confirmEmail(user, now) : [deleteOneTimeTokens(user.id)]),
    updateUser(user.id, { recovery_token: "", raw_app_meta_data: appMetadata }, now),
    ...audit(context, user, "login", { provider: "email" }),
  ];
}

function confirmEmailChange(context: AuthContext, { record, kind }: PresentedToken): Confirmation {
  const { user } = record;
  const { settings, now } = context;
  const needsBoth = settings.mailerSecureEmailChangeEnabled && !settings.mailerAutoconfirm;
  if (needsBoth && user.email_change_confirm_status === 0 && user.email) {
    const used = kind === "email_change_token_new" ? "email_change_token_new" : "email_change_token_current";
    const changes = { [used]: "", email_change_confirm_status: 1 };
    return { kind: "half", statements: [updateUser(user.id, changes, now), deleteOneTimeToken(user.id, used)] };
  }
  return {
    kind: "complete",
    statements: [
      ...applyEmail(record, user.email_change ?? "", now),
      deleteOneTimeTokens(user.id),
      ...audit(context, user, "user_modified"),
    ],
  };
}
