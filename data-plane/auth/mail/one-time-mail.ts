/** Mails that carry a code and a link: the token is stored in the caller's transaction, the mail leaves after it. */
import { type AuthContext, externalUrl } from "../context.ts";
import type { Sql } from "../database/sql.ts";
import { insertFlowState, type PkceChallenge } from "../sessions/pkce.ts";
import type { SignInMethod } from "../sessions/session.ts";
import { createOneTimeToken, type OneTimeToken } from "../tokens/one-time-token.ts";
import { type OneTimeTokenKind, storeOneTimeToken } from "../tokens/one-time-token-queries.ts";
import type { Metadata } from "../users/user.ts";
import { type UserChanges, updateUser } from "../users/user-queries.ts";
import type { Mail, MailKind, MailVariables } from "./mailer.ts";
import { renderMail } from "./templates.ts";

/** `type` of a link, as clients name it. */
export type LinkType = "signup" | "invite" | "recovery" | "magiclink";

interface LinkRule {
  readonly tokenKind: OneTimeTokenKind;
  readonly mailKind: MailKind;
  readonly method: SignInMethod;
  readonly columns: (hash: string, now: Date) => UserChanges;
}

const confirmation = (hash: string, now: Date): UserChanges => ({
  confirmation_token: hash,
  confirmation_sent_at: now,
});
const recovery = (hash: string, now: Date): UserChanges => ({ recovery_token: hash, recovery_sent_at: now });

const LINKS: Readonly<Record<LinkType, LinkRule>> = {
  signup: {
    tokenKind: "confirmation_token",
    mailKind: "confirmation",
    method: "email/signup",
    columns: confirmation,
  },
  invite: {
    tokenKind: "confirmation_token",
    mailKind: "invite",
    method: "invite",
    columns: (hash, now) => ({ ...confirmation(hash, now), invited_at: now }),
  },
  recovery: { tokenKind: "recovery_token", mailKind: "recovery", method: "recovery", columns: recovery },
  magiclink: { tokenKind: "recovery_token", mailKind: "magic_link", method: "magiclink", columns: recovery },
};

export interface PreparedLink {
  readonly token: OneTimeToken;
  readonly link: string;
  /** Store the token; run them before the mail is sent. */
  readonly statements: readonly Sql<never>[];
  readonly mail: Mail;
}

export interface LinkReceiver {
  readonly userId: string;
  readonly email: string;
  readonly userMetadata: Metadata;
}

/** @param redirectTo already validated. */
export function prepareLink(
  context: AuthContext,
  type: LinkType,
  { userId, email, userMetadata }: LinkReceiver,
  { pkce, redirectTo }: { pkce: PkceChallenge | null; redirectTo: string },
): PreparedLink {
  const { tokenKind, mailKind, method, columns } = LINKS[type];
  const { settings, now } = context;
  const token = createOneTimeToken(email, settings.mailerOtpLength, pkce !== null);
  const link = verificationLink(context, token.hash, type, redirectTo);
  return {
    token,
    link,
    statements: [
      updateUser(userId, columns(token.hash, now), now),
      storeOneTimeToken(userId, tokenKind, token.hash, email, now),
      ...(pkce ? [insertFlowState(userId, method, pkce, context)] : []),
    ],
    mail: composeMail(context, mailKind, email, {
      ConfirmationURL: link,
      Email: email,
      Token: token.code,
      TokenHash: token.hash,
      RedirectTo: redirectTo,
      Data: userMetadata,
    }),
  };
}

export function composeMail(
  { project, settings, now }: AuthContext,
  kind: MailKind,
  to: string,
  values: Omit<MailVariables, "SiteURL">,
): Mail {
  const variables = { SiteURL: settings.siteUrl, ...values };
  const expiresAt = new Date(now.getTime() + settings.mailerOtpExpSeconds * 1_000);
  return { projectRef: project.projectRef, kind, to, expiresAt, variables, ...renderMail(kind, variables, settings) };
}

/** The address that a mailed link opens. A redirect is escaped only where it would not survive as it is. */
export function verificationLink(context: AuthContext, hash: string, type: string, redirectTo: string): string {
  const target = /[&=#]/.test(redirectTo) ? encodeURIComponent(redirectTo) : redirectTo;
  return `${externalUrl(context)}/verify?token=${hash}&type=${type}&redirect_to=${target}`;
}

/** Statements that belong into the transaction which stores the mails' tokens. */
export function queueMails({ parts, project }: AuthContext, ...mails: readonly Mail[]): readonly Sql<never>[] {
  return parts.mailer.queue(project, mails);
}

/** When that transaction is committed. */
export function sendMails({ parts, project }: AuthContext, ...mails: readonly Mail[]): void {
  parts.mailer.committed(project, mails);
}
