/** Mails of a project: rows of its outbox, read in a session of role supabase_auth_admin. */
import type pg from "pg";

export const MAIL_STATES = ["waiting", "sending", "sent", "caught", "failed"] as const;
export type MailState = (typeof MAIL_STATES)[number];

export interface SentMail {
  readonly id: string;
  /** `confirmation`, `invite`, `recovery`, `magic_link`, `email_change`, `reauthentication`. */
  readonly kind: string;
  readonly recipient: string;
  readonly subject: string;
  /** Null once the mail was sent or given up. */
  readonly html: string | null;
  readonly state: MailState;
  readonly attempts: number;
  readonly createdAt: Date;
  readonly finishedAt: Date | null;
  /** What the mail server said last. */
  readonly answer: string | null;
}

/** Newest first. */
export async function listMails(
  session: pg.Client,
  limit: number,
  recipient: string | null,
): Promise<readonly SentMail[]> {
  const { rows } = await session.query<SentMail>(
    `/* listMails */ select id, kind, left(recipient, 320) as recipient, left(subject, 500) as subject,
       left(html, 100000) as html, state, attempts, created_at as "createdAt", finished_at as "finishedAt",
       left(answer, 1000) as answer
     from supalove.mails where $2::pg_catalog.text is null or recipient = $2 order by created_at desc, id limit $1`,
    [limit, recipient],
  );
  return rows;
}

/** Pure: addresses that links of the mail lead to, in their order. */
export function linksOf(html: string): string[] {
  return [...html.matchAll(/\shref="([^"]*)"/gi)].map(([, link = ""]) =>
    link
      .replaceAll("&quot;", '"')
      .replaceAll("&#39;", "'")
      .replaceAll("&lt;", "<")
      .replaceAll("&gt;", ">")
      .replaceAll("&amp;", "&"),
  );
}
