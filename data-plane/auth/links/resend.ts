/** POST /resend. */
import { z } from "zod";
import type { ServiceResponse } from "../../service.ts";
import type { AuthContext } from "../context.ts";
import { AuthError } from "../errors.ts";
import { pkceFields, readBody, text } from "../http/body.ts";
import { json } from "../http/responses.ts";
import { limitByAddress, limitMailRequests, withoutTelling } from "../limits/limits.ts";
import { sendMails } from "../mail/one-time-mail.ts";
import { type PkceChallenge, parseChallenge } from "../sessions/pkce.ts";
import { smsFailed } from "../signup/signup.ts";
import { requestEmailChange } from "../users/email-change.ts";
import { parseEmail, parsePhone } from "../users/identifiers.ts";
import { saveUser } from "../users/save-user.ts";
import type { UserRecord } from "../users/user.ts";
import { findUserByEmail, findUserByPhone } from "../users/user-queries.ts";
import { receiverOf, requestLink } from "./request-link.ts";

const Body = z.object({ type: text, email: text, phone: text, ...pkceFields });

/** Answers `{}` also for unknown users and where nothing is pending. */
export async function resend(context: AuthContext): Promise<ServiceResponse> {
  limitByAddress(context, "resend");
  const body = await readBody(context.request, Body);
  switch (body.type) {
    case "signup":
    case "email_change":
      return resendMail(context, body.type, body.email, parseChallenge(body));
    case "sms":
    case "phone_change":
      return resendText(context, body.type, body.phone);
    default:
      throw new AuthError("validation_failed", "Missing one of these types: signup, email_change, sms, phone_change");
  }
}

async function resendMail(
  context: AuthContext,
  type: "signup" | "email_change",
  emailText: string,
  pkce: PkceChallenge | null,
): Promise<ServiceResponse> {
  if (!emailText) throw new AuthError("validation_failed", `Type provided requires an email address`);
  if (!context.settings.emailEnabled) {
    throw new AuthError("email_provider_disabled", "Email logins are disabled");
  }
  const email = parseEmail(emailText);
  limitMailRequests(context, email, type === "signup" ? "confirmation" : "email_change");
  const [record] = await context.database.run(findUserByEmail(email));
  if (!record) return json({});
  if (type === "email_change") return resendEmailChange(context, record, pkce);
  if (record.user.email_confirmed_at === null) {
    await withoutTelling(
      requestLink(context, "signup", receiverOf(record, email), { pkce, actor: record.user, isCounted: true }),
    );
  }
  return json({});
}

async function resendEmailChange(
  context: AuthContext,
  { user }: UserRecord,
  pkce: PkceChallenge | null,
): Promise<ServiceResponse> {
  const { email_change: newEmail } = user;
  if (!newEmail) return json({});
  const renew = async () => {
    const change = requestEmailChange(context, user, newEmail, pkce, { isCounted: true });
    await saveUser(context, "Error sending email change email", user.id, change.statements);
    sendMails(context, ...change.mails);
  };
  await withoutTelling(renew());
  return json({});
}

async function resendText(
  { database, settings }: AuthContext,
  type: "sms" | "phone_change",
  phoneText: string,
): Promise<ServiceResponse> {
  if (!phoneText) throw new AuthError("validation_failed", "Type provided requires a phone number");
  if (!settings.phoneEnabled) {
    throw new AuthError("phone_provider_disabled", "Phone logins are disabled");
  }
  const [record] = await database.run(findUserByPhone(parsePhone(phoneText)));
  const isPending = type === "sms" ? record?.user.phone_confirmed_at === null : Boolean(record?.user.phone_change);
  if (!isPending) return json({});
  throw smsFailed();
}
