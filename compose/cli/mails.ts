/** `supalove mails`: what a project's auth service has mailed, or kept because there is no mail server. */
import { MailsDocument, type MailsQuery, SendTestMailDocument } from "./generated/operations.ts";
import type { GraphqlClient } from "./graphql-client.ts";
import { CommandError, printJson, visible } from "./output.ts";

export interface MailsOptions {
  /** How many, newest first. */
  readonly last: string;
  /** Only mails to this address. */
  readonly to?: string;
  readonly json?: boolean;
}

type Mail = MailsQuery["project"]["sentMails"][number];

export async function showMails(api: GraphqlClient, ref: string, { last, to, json }: MailsOptions): Promise<void> {
  const first = Number.parseInt(last, 10);
  if (!(first >= 1 && first <= 100)) throw new CommandError("--last is 1 to 100");
  const { project } = await api.request(MailsDocument, { ref, first, ...(to !== undefined && { recipient: to }) });
  const mails = project.sentMails;
  if (json) printJson(mails);
  else console.log(mails.length === 0 ? "No mail was sent." : [...mails].reverse().map(describe).join("\n\n"));
}

/** The newest stands last, where the eye is. */
function describe({ createdAt, recipient, subject, kind, state, links, answer }: Mail): string {
  const lines = [
    `${createdAt.replace("T", " ").slice(0, 19)}  ${recipient}  ${subject}`,
    `  ${kind}, ${state.toLowerCase()}`,
  ];
  if (answer) lines.push(`  the mail server: ${answer}`);
  return [...lines, ...links.map((link) => `  ${link}`)].map((line) => visible(line)).join("\n");
}

/** @throws {CommandError} when the server did not take it. */
export async function testMail(api: GraphqlClient, ref: string, to: string): Promise<void> {
  const { sendTestMail } = await api.request(SendTestMailDocument, { ref, to });
  if (!sendTestMail.isAccepted) throw new CommandError(`the mail was not taken: ${visible(sendTestMail.answer)}`);
  console.log(`The mail server has taken it: ${visible(sendTestMail.answer)}`);
}
