/** What the service mails, and the seam at which a transport is plugged in. */
import type { Logger } from "pino";
import type { ProjectRef } from "../../../control-plane/client/config-snapshot.ts";

export type MailKind = "confirmation" | "invite" | "recovery" | "magic_link" | "email_change" | "reauthentication";

export interface Mail {
  readonly projectRef: ProjectRef;
  readonly kind: MailKind;
  readonly to: string;
  readonly subject: string;
  readonly html: string;
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
  /** Resolves when the mail is accepted for delivery; called after the tokens in it are committed. */
  send(mail: Mail): Promise<void>;
}

/** For projects without a mail server: the request succeeds and the mail is dropped. Logs neither address nor content. */
export function createDroppingMailer(logger: Logger): Mailer {
  return {
    async send({ projectRef, kind }) {
      logger.debug({ projectRef, kind }, "mail dropped: no mail server is configured");
    },
  };
}
