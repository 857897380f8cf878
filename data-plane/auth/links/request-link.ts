/** Stores a fresh token, mails its link, and keeps to the limits. */
import { type Actor, type AuditAction, audit } from "../audit/audit.ts";
import { type AuthContext, redirectTarget } from "../context.ts";
import type { Sql } from "../database/sql.ts";
import { limitMails, limitResend } from "../limits/limits.ts";
import { type LinkType, prepareLink, queueMails, sendMails } from "../mail/one-time-mail.ts";
import type { PkceChallenge } from "../sessions/pkce.ts";
import { saveUser } from "../users/save-user.ts";
import type { UserRecord, UserRow } from "../users/user.ts";

const AUDITED: Readonly<Record<LinkType, AuditAction>> = {
  signup: "user_confirmation_requested",
  invite: "user_invited",
  recovery: "user_recovery_requested",
  magiclink: "user_recovery_requested",
};

const FAILED: Readonly<Record<LinkType, string>> = {
  signup: "Error sending confirmation email",
  invite: "Error sending invite email",
  recovery: "Error sending recovery email",
  magiclink: "Error sending magic link email",
};

export type Receiver = Pick<UserRow, "id" | "raw_user_meta_data" | "confirmation_sent_at" | "recovery_sent_at"> & {
  readonly email: string;
};

interface LinkOptions {
  readonly pkce: PkceChallenge | null;
  readonly actor: Actor;
  /** The mail was counted by {@link limitMailRequests} already. */
  readonly isCounted?: boolean;
  /** Run in the same transaction before the token is stored: the inserts of a new user. */
  readonly before?: readonly Sql<never>[];
}

/** Answers the user as it is then. @throws {AuthError} when a limit is reached; nothing is stored then. */
export async function requestLink(
  context: AuthContext,
  type: LinkType,
  receiver: Receiver,
  { pkce, actor, before = [], isCounted = false }: LinkOptions,
): Promise<UserRecord> {
  const isConfirmation = type === "signup" || type === "invite";
  if (type !== "invite")
    limitResend(context, isConfirmation ? receiver.confirmation_sent_at : receiver.recovery_sent_at);
  if (!isCounted) limitMails(context);
  const address = { userId: receiver.id, email: receiver.email, userMetadata: receiver.raw_user_meta_data ?? {} };
  const link = prepareLink(context, type, address, { pkce, redirectTo: redirectTarget(context) });
  const traits = type === "invite" ? { user_id: receiver.id, user_email: receiver.email } : undefined;
  const record = await saveUser(context, FAILED[type], receiver.id, [
    ...before,
    ...audit(context, actor, AUDITED[type], traits),
    ...link.statements,
    ...queueMails(context, link.mail),
  ]);
  sendMails(context, link.mail);
  return record;
}

/** A user who is about to be inserted by `before`. */
export const newReceiver = (id: string, email: string, userMetadata: Record<string, unknown>): Receiver => ({
  id,
  email,
  raw_user_meta_data: userMetadata,
  confirmation_sent_at: null,
  recovery_sent_at: null,
});

/** The user with the address it is known to have. */
export const receiverOf = ({ user }: UserRecord, email: string): Receiver => ({ ...user, email });
