/** A new address for a user: both mailboxes are asked, unless the project asks the new one alone. */
import { type AuthContext, redirectTarget } from "../context.ts";
import type { Sql } from "../database/sql.ts";
import { limitMails, limitResend } from "../limits/limits.ts";
import type { Mail } from "../mail/mailer.ts";
import { composeMail, queueMails, verificationLink } from "../mail/one-time-mail.ts";
import { insertFlowState, type PkceChallenge } from "../sessions/pkce.ts";
import { createOneTimeToken, type OneTimeToken } from "../tokens/one-time-token.ts";
import { deleteOneTimeToken, storeOneTimeToken } from "../tokens/one-time-token-queries.ts";
import { mergeInto } from "./metadata.ts";
import type { UserRecord, UserRow } from "./user.ts";
import { providerMetadata, updateUser, upsertIdentity } from "./user-queries.ts";

export interface PreparedEmailChange {
  /** They put the mails into the outbox too. */
  readonly statements: readonly Sql<never>[];
  readonly mails: readonly Mail[];
}

/** Begins the change. @param newEmail parsed, and nobody's. @throws {AuthError} when a mail limit is reached. */
export function requestEmailChange(
  context: AuthContext,
  user: UserRow,
  newEmail: string,
  pkce: PkceChallenge | null,
  { isCounted = false }: { readonly isCounted?: boolean } = {},
): PreparedEmailChange {
  limitResend(context, user.email_change_sent_at);
  if (!isCounted) limitMails(context);
  return prepareEmailChange(context, user, newEmail, { pkce, redirectTo: redirectTarget(context) });
}

function prepareEmailChange(
  context: AuthContext,
  user: UserRow,
  newEmail: string,
  { pkce, redirectTo }: { pkce: PkceChallenge | null; redirectTo: string },
): PreparedEmailChange {
  const { settings, now } = context;
  const digits = settings.mailerOtpLength;
  const currentEmail = user.email ?? "";
  const asksCurrent = settings.mailerSecureEmailChangeEnabled && currentEmail !== "";
  const newToken = createOneTimeToken(newEmail, digits, pkce !== null);
  const currentToken = asksCurrent ? createOneTimeToken(currentEmail, digits, pkce !== null) : null;

  const mailTo = (address: string, token: OneTimeToken): Mail =>
    composeMail(context, "email_change", address, {
      ConfirmationURL: verificationLink(context, token.hash, "email_change", redirectTo),
      Email: currentEmail,
      NewEmail: newEmail,
      Token: token.code,
      TokenHash: token.hash,
      RedirectTo: redirectTo,
      Data: user.raw_user_meta_data ?? {},
    });
  const changes = {
    email_change: newEmail,
    email_change_token_new: newToken.hash,
    email_change_token_current: currentToken?.hash ?? "",
    email_change_sent_at: now,
    email_change_confirm_status: 0,
  };
  const mails = [mailTo(newEmail, newToken), ...(currentToken ? [mailTo(currentEmail, currentToken)] : [])];
  return {
    statements: [
      updateUser(user.id, changes, now),
      storeOneTimeToken(user.id, "email_change_token_new", newToken.hash, newEmail, now),
      currentToken
        ? storeOneTimeToken(user.id, "email_change_token_current", currentToken.hash, currentEmail, now)
        : deleteOneTimeToken(user.id, "email_change_token_current"),
      ...(pkce ? [insertFlowState(user.id, "email_change", pkce, context)] : []),
      ...queueMails(context, ...mails),
    ],
    mails,
  };
}

/**
 * For an administrator who takes a link instead of a mail: the token of one mailbox. That of the other stays valid as long
 * as both are for the same new address, so that links taken one after another can both be followed.
 */
export function prepareEmailChangeLink(
  { settings, now }: AuthContext,
  user: UserRow,
  newEmail: string,
  mailbox: "current" | "new",
): { readonly token: OneTimeToken; readonly statements: readonly Sql<never>[] } {
  const kind = mailbox === "current" ? "email_change_token_current" : "email_change_token_new";
  const other = mailbox === "current" ? "email_change_token_new" : "email_change_token_current";
  const address = mailbox === "current" ? (user.email ?? "") : newEmail;
  const token = createOneTimeToken(address, settings.mailerOtpLength, false);
  const isSameChange = user.email_change?.toLowerCase() === newEmail.toLowerCase();
  const changes = {
    email_change: newEmail,
    [kind]: token.hash,
    email_change_sent_at: now,
    ...(isSameChange ? {} : { [other]: "", email_change_confirm_status: 0 }),
  };
  return {
    token,
    statements: [
      updateUser(user.id, changes, now),
      storeOneTimeToken(user.id, kind, token.hash, address, now),
      ...(isSameChange ? [] : [deleteOneTimeToken(user.id, other)]),
    ],
  };
}

/**
 * Gives the user the confirmed address: identity, confirmation, and an anonymous user becomes permanent. Pending tokens
 * are the caller's to delete.
 */
export function applyEmail({ user, identities }: UserRecord, email: string, now: Date): Sql<never>[] {
  const data = { sub: user.id, email, email_verified: true, phone_verified: false };
  const hasEmailIdentity = identities.some(({ provider }) => provider === "email");
  const providers = hasEmailIdentity ? {} : providerMetadata([...identities, { provider: "email" }]);
  return [
    upsertIdentity({ userId: user.id, provider: "email", data }, now),
    updateUser(
      user.id,
      {
        email,
        email_change: "",
        email_change_token_new: "",
        email_change_token_current: "",
        email_change_confirm_status: 0,
        email_confirmed_at: user.email_confirmed_at ?? now,
        is_anonymous: false,
        raw_app_meta_data: mergeInto(user.raw_app_meta_data, providers),
        raw_user_meta_data: mergeInto(user.raw_user_meta_data, {
          email_verified: true,
          ...(user.raw_user_meta_data && "email" in user.raw_user_meta_data ? { email } : {}),
        }),
      },
      now,
    ),
  ];
}

/** As {@link applyEmail} for a phone number. */
export function applyPhone({ user, identities }: UserRecord, phone: string, now: Date): Sql<never>[] {
  const hasPhoneIdentity = identities.some(({ provider }) => provider === "phone");
  const providers = hasPhoneIdentity ? {} : providerMetadata([...identities, { provider: "phone" }]);
  return [
    upsertIdentity({ userId: user.id, provider: "phone", data: { sub: user.id, phone, phone_verified: true } }, now),
    updateUser(
      user.id,
      {
        phone,
        phone_change: "",
        phone_change_token: "",
        phone_confirmed_at: user.phone_confirmed_at ?? now,
        is_anonymous: false,
        raw_app_meta_data: mergeInto(user.raw_app_meta_data, providers),
      },
      now,
    ),
  ];
}
