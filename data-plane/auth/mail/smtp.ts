/** Hands one mail to a project's mail server. */
import { createTransport } from "nodemailer";
import type { ServiceSnapshot } from "../../../control-plane/client/config-snapshot.ts";
import { type AddressGuard, ForbiddenTarget } from "../../outgoing/address-guard.ts";

export interface OutgoingMail {
  readonly recipient: string;
  readonly subject: string;
  readonly html: string;
}

export type Delivery =
  /** The server has taken it. */
  | { readonly kind: "accepted"; readonly answer: string }
  /** It was not taken now; the same mail may be taken later. */
  | { readonly kind: "deferred"; readonly answer: string }
  /** It will not be taken, or nobody knows whether it was: it must not be sent again. */
  | { readonly kind: "refused"; readonly answer: string };

const CONNECT_MS = 10_000;
const SOCKET_MS = 20_000;
/** Of a whole delivery, below the lease of a mail: a server that says a little now and then must not keep a sending place. */
const DELIVERY_MS = 60_000;
const MAX_ANSWER_LENGTH = 500;
/** The port of SMTP over TLS from the first byte. */
const TLS_PORT = 465;

/** What of nodemailer's errors is looked at. */
interface SmtpError extends Error {
  readonly code?: string;
  readonly command?: string;
  readonly response?: string;
  readonly responseCode?: number;
}

/** Never throws. @param project With a mail server. */
export async function sendBySmtp(guard: AddressGuard, project: ServiceSnapshot, mail: OutgoingMail): Promise<Delivery> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Delivery>((resolve) => {
    const answer = "the mail server took too long; whether the mail has arrived is not known";
    timer = setTimeout(() => resolve({ kind: "refused", answer }), DELIVERY_MS);
  });
  return Promise.race([deliver(guard, project, mail), late]).finally(() => clearTimeout(timer));
}

async function deliver(guard: AddressGuard, project: ServiceSnapshot, mail: OutgoingMail): Promise<Delivery> {
  const { auth } = project;
  const host = auth.smtpHost ?? "";
  const port = auth.smtpPort ?? 587;
  let address: string;
  try {
    address = await guard.resolve(host);
  } catch (error) {
    if (error instanceof ForbiddenTarget) return { kind: "deferred", answer: error.message };
    throw error;
  }
  const hasLogin = Boolean(auth.smtpUser);
  const transport = createTransport({
    host: address,
    port,
    secure: port === TLS_PORT,
    // A password must not be sent in the clear; a server without TLS can be used without one.
    requireTLS: hasLogin,
    tls: { servername: host },
    name: new URL(project.publicUrl).hostname,
    ...(hasLogin && { auth: { user: auth.smtpUser as string, pass: project.smtpPassword ?? "" } }),
    connectionTimeout: CONNECT_MS,
    greetingTimeout: CONNECT_MS,
    socketTimeout: SOCKET_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  try {
    const { response } = await transport.sendMail({
      from: { name: auth.smtpSenderName ?? "", address: auth.smtpAdminEmail || `noreply@${host}` },
      to: { name: "", address: mail.recipient },
      subject: mail.subject,
      html: mail.html,
      headers: { "auto-submitted": "auto-generated" },
    });
    return { kind: "accepted", answer: short(response) };
  } catch (error) {
    return judge(error as SmtpError);
  } finally {
    transport.close();
  }
}

/** Pure: what a failure means for the mail. */
export function judge({ code, command, response, responseCode, message }: SmtpError): Delivery {
  const answer = short(response ?? message);
  if (responseCode !== undefined) {
    // A wrong password is mended in the settings; the mail is not to blame.
    const isPermanent = responseCode >= 500 && code !== "EAUTH";
    return { kind: isPermanent ? "refused" : "deferred", answer };
  }
  // The connection broke behind the mail's last byte: it may have arrived, and its link must not come twice.
  if (command === "DATA" && code !== "ECONNREFUSED")
    return { kind: "refused", answer: `${answer}; whether it has arrived is not known` };
  return { kind: "deferred", answer };
}

function short(text: string): string {
  return text.replace(/\s+/g, " ").slice(0, MAX_ANSWER_LENGTH);
}
