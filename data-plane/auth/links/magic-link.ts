/** POST /magiclink and POST /otp: a sign-in by mail, which may be a sign-up. */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { ServiceResponse } from "../../service.ts";
import type { AuthContext } from "../context.ts";
import { AuthError } from "../errors.ts";
import { metadata, pkceFields, readBody, text } from "../http/body.ts";
import { json } from "../http/responses.ts";
import { limitByAddress, limitMailRequests, withoutTelling } from "../limits/limits.ts";
import { unknownPasswordHash } from "../passwords/unknown-password.ts";
import { type PkceChallenge, parseChallenge } from "../sessions/pkce.ts";
import { confirmEmail, insertAccount } from "../signup/new-account.ts";
import { checkChannel, smsFailed } from "../signup/signup.ts";
import { parseEmail, parsePhone } from "../users/identifiers.ts";
import { checkMetadataSize } from "../users/metadata.ts";
import type { Metadata, UserRecord } from "../users/user.ts";
import { findUserByEmail, findUserByPhone } from "../users/user-queries.ts";
import { newReceiver, receiverOf, requestLink } from "./request-link.ts";

const MagicLinkBody = z.object({ email: text, data: metadata, ...pkceFields });

export async function sendMagicLink(context: AuthContext): Promise<ServiceResponse> {
  limitByAddress(context, "magiclink");
  const body = await readBody(context.request, MagicLinkBody);
  return signInByMail(context, body, true);
}

const OtpBody = z.object({
  ...MagicLinkBody.shape,
  phone: text,
  channel: text,
  create_user: z
    .boolean()
    .nullish()
    .transform((value) => value ?? true),
});

export async function sendOtp(context: AuthContext): Promise<ServiceResponse> {
  limitByAddress(context, "otp");
  const body = await readBody(context.request, OtpBody);
  if (body.email && body.phone) {
    throw new AuthError("validation_failed", "Only an email address or phone number should be provided");
  }
  if (body.email) {
    if (body.channel) {
      throw new AuthError("validation_failed", "Channel should only be specified with Phone OTP");
    }
    return signInByMail(context, body, body.create_user);
  }
  if (body.phone) return sendOtpByText(context, body);
  throw new AuthError("validation_failed", "One of email or phone must be set");
}

/** No text message can be sent, but a client that asks for known users only is told about unknown ones first. */
async function sendOtpByText(context: AuthContext, body: z.output<typeof OtpBody>): Promise<never> {
  if (!context.settings.phoneEnabled) {
    throw new AuthError("phone_provider_disabled", "Unsupported phone provider");
  }
  checkChannel(body.channel);
  const [record] = await context.database.run(findUserByPhone(parsePhone(body.phone)));
  if (!record && !body.create_user) throw otpDisabled();
  throw smsFailed();
}

const otpDisabled = (): AuthError => new AuthError("otp_disabled", "Signups not allowed for otp");

async function signInByMail(
  context: AuthContext,
  body: z.output<typeof MagicLinkBody>,
  mayCreate: boolean,
): Promise<ServiceResponse> {
  const { settings, database } = context;
  if (!settings.emailEnabled) {
    throw new AuthError("email_provider_disabled", "Email logins are disabled", { status: 422 });
  }
  const email = parseEmail(body.email);
  const pkce = parseChallenge(body);
  checkMetadataSize(body.data);
  limitMailRequests(context, email, "magiclink");
  const [record] = await database.run(findUserByEmail(email));
  if (!record && !mayCreate) throw otpDisabled(); // by the protocol: who asks so wants to be told
  if (record) await mailKnownUser(context, record, email, pkce);
  else await mailNewUser(context, email, body.data ?? {}, pkce);
  return json({});
}

/** An address that nobody has confirmed is asked for that first, unless the project asks it of nobody. */
async function mailKnownUser(
  context: AuthContext,
  record: UserRecord,
  email: string,
  pkce: PkceChallenge | null,
): Promise<void> {
  const mustConfirm = record.user.email_confirmed_at === null && !context.settings.mailerAutoconfirm;
  const type = mustConfirm ? "signup" : "magiclink";
  await withoutTelling(
    requestLink(context, type, receiverOf(record, email), { pkce, actor: record.user, isCounted: true }),
  );
}

async function mailNewUser(
  context: AuthContext,
  email: string,
  data: Metadata,
  pkce: PkceChallenge | null,
): Promise<void> {
  const { settings, now } = context;
  if (settings.disableSignup) throw new AuthError("signup_disabled", "Signups not allowed for this instance");
  const id = randomUUID();
  const passwordHash = unknownPasswordHash();
  const contact = { channel: "email", email } as const;
  const inserts = insertAccount({ id, contact, passwordHash, data, repeatsContact: true }, now);
  const confirmation = settings.mailerAutoconfirm
    ? confirmEmail({ id, email: null, raw_user_meta_data: { ...data, sub: id, email, phone_verified: false } }, now)
    : [];
  await requestLink(context, settings.mailerAutoconfirm ? "magiclink" : "signup", newReceiver(id, email, data), {
    pkce,
    actor: { id, email, phone: null, raw_user_meta_data: data, is_sso_user: false },
    before: [...inserts, ...confirmation],
    isCounted: true,
  });
}
