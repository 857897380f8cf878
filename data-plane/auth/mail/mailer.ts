/** What the service mails, and the seam at which a way of sending is plugged in. */
import type { ProjectRef, ServiceSnapshot } from "../../../control-plane/client/config-snapshot.ts";
import type { Sql } from "../database/sql.ts";

export type MailKind = "confirmation" | "invite" | "recovery" | "magic_link" | "email_change" | "reauthentication";

export interface Mail {
  readonly projectRef: ProjectRef;
  readonly kind: MailKind;
  readonly to: string;
  readonly subject: string;
  readonly html: string;
  /** When the link or code in it stops working. */
  readonly expiresAt: Date;
  /** What the texts were made of; secrets, not for logs. Names as templates know them. */
  readonly variables: MailVariables;
}

export interface MailVariables {
  readonly SiteURL: string;
  /** Empty for a nonce, which has no link. */
  readonly ConfirmationURL: string;
  readonly Email: string;
  readonly NewEmail?: string;
  readonly Token: string;
  readonly TokenHash: string;
  readonly RedirectTo: string;
  readonly Data: Readonly<Record<string, unknown>>;
}

export interface Mailer {
  /** To run in the transaction that stores the tokens of the mails. */
  queue(project: ServiceSnapshot, mails: readonly Mail[]): readonly Sql<never>[];
  /** Called when that transaction is committed. Never throws: the request has succeeded by then. */
  committed(project: ServiceSnapshot, mails: readonly Mail[]): void;
}
