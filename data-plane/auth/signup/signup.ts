/** POST /signup. */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { ServiceResponse } from "../../service.ts";
import { audit } from "../audit/audit.ts";
import { AUDIENCE, type AuthContext, hashPassword, redirectTarget, verifyPassword } from "../context.ts";
import { databaseStep, isUniqueViolation } from "../database/failures.ts";
import { AuthError } from "../errors.ts";
import { metadata, pkceFields, readBody, text } from "../http/body.ts";
import { json } from "../http/responses.ts";
import { limitByAddress, limitMails, limitResend, noteMail } from "../limits/limits.ts";
import { prepareLink, queueMails, sendMails } from "../mail/one-time-mail.ts";
import { checkPasswordStrength } from "../passwords/strength.ts";
import { type PkceChallenge, parseChallenge } from "../sessions/pkce.ts";
import { beginSession, tokenResponse } from "../sessions/session.ts";
import { parseEmail, parsePhone } from "../users/identifiers.ts";
import { checkMetadataSize } from "../users/metadata.ts";
import { saveUser } from "../users/save-user.ts";
import { type Metadata, type UserRecord, userJson, wireTime } from "../users/user.ts";
import { findUserByPhone, findUserWithAddress } from "../users/user-queries.ts";
import { signUpAnonymously } from "./anonymous.ts";
import { type Contact, confirmEmail, confirmPhone, insertAccount } from "./new-account.ts";

const Body = z.object({
  email: text,
  phone: text,
  password: text,
  data: metadata,
  channel: text,
  ...pkceFields,
});

interface Signup {
  readonly contact: Contact;
  readonly password: string;
  readonly data: Metadata;
  readonly pkce: PkceChallenge | null;
}

export async function signUp(context: AuthContext): Promise<ServiceResponse> {
  const body = await readBody(context.request, Body);
  checkMetadataSize(body.data);
  if (!body.email && !body.phone) return signUpAnonymously(context, body.data ?? {});
  limitByAddress(context, "signup");
  const signup = parseSignup(context, body);
  if (signup.contact.channel === "email" && !context.settings.mailerAutoconfirm) {
    noteMail(context, signup.contact.email, "confirmation");
  }
  for (let attempt = 1; ; attempt++) {
    const existing = await findExisting(context, signup.contact);
    if (existing) return signUpAgain(context, signup, existing);
    try {
      return await createAccount(context, signup);
    } catch (error) {
      // Somebody else has taken the address in between: look again, and answer as for any that is taken.
      if (attempt > 1 || !(error instanceof AuthError) || !isUniqueViolation(error.cause)) throw error;
    }
  }
}

function parseSignup({ settings }: AuthContext, body: z.output<typeof Body>): Signup {
  if (settings.disableSignup) throw new AuthError("signup_disabled", "Signups not allowed for this instance");
  if (!body.password) throw new AuthError("validation_failed", "Signup requires a valid password");
  checkPasswordStrength(body.password, settings);
  if (body.email && body.phone) {
    throw new AuthError("validation_failed", "Only an email address or phone number should be provided on signup.");
  }
  const pkce = parseChallenge(body);
  const shared = { password: body.password, data: body.data ?? {}, pkce };
  if (body.email) {
    if (!settings.emailEnabled) throw new AuthError("email_provider_disabled", "Email signups are disabled");
    return { ...shared, contact: { channel: "email", email: parseEmail(body.email) } };
  }
  if (pkce) throw new AuthError("validation_failed", "PKCE not supported for phone signups");
  checkChannel(body.channel);
  if (!settings.phoneEnabled) throw new AuthError("phone_provider_disabled", "Phone signups are disabled");
  return { ...shared, contact: { channel: "phone", phone: parsePhone(body.phone) } };
}

/** @throws {AuthError} `validation_failed` for a channel other than text messages. */
export function checkChannel(channel: string): void {
  if (channel !== "" && channel !== "sms") {
    throw new AuthError(
      "validation_failed",
      "Invalid channel, supported values are 'sms' or 'whatsapp'. 'whatsapp' is only supported if Twilio is used as the provider.",
    );
  }
}

/** No text message can be sent: no SMS provider is built in. */
export const smsFailed = (): AuthError =>
  new AuthError("sms_send_failed", "Error sending confirmation OTP to provider: no SMS provider is configured");

async function findExisting({ database }: AuthContext, contact: Contact): Promise<UserRecord | undefined> {
  const statement = contact.channel === "email" ? findUserWithAddress(contact.email) : findUserByPhone(contact.phone);
  const [found] = await databaseStep("Database error finding user", database.run(statement));
  return found;
}

function autoconfirms({ settings }: AuthContext, { channel }: Contact): boolean {
  return channel === "email" ? settings.mailerAutoconfirm : settings.smsAutoconfirm;
}

async function createAccount(context: AuthContext, signup: Signup): Promise<ServiceResponse> {
  const { contact, data, pkce } = signup;
  const isConfirmed = autoconfirms(context, contact);
  if (!isConfirmed && contact.channel === "phone") throw smsFailed();
  if (!isConfirmed) limitMails(context);
  const passwordHash = await hashPassword(context, signup.password); // before the transaction: it takes long
  const id = randomUUID();
  const inserts = insertAccount({ id, contact, passwordHash, data, repeatsContact: true }, context.now);
  return isConfirmed
    ? signInNewAccount(context, { id, contact, data }, inserts)
    : requestConfirmation(context, { id, contact, data, pkce }, inserts);
}

type Inserts = ReturnType<typeof insertAccount>;

async function signInNewAccount(
  context: AuthContext,
  { id, contact, data }: { id: string; contact: Contact; data: Metadata },
  inserts: Inserts,
): Promise<ServiceResponse> {
  const { now } = context;
  const session = beginSession(context, id, "password");
  const actor = { id, is_sso_user: false, raw_user_meta_data: data, ...addressesOf(contact) };
  const confirmation =
    contact.channel === "email"
      ? confirmEmail(
          { id, email: null, raw_user_meta_data: { ...data, sub: id, email: contact.email, phone_verified: false } },
          now,
        )
      : confirmPhone(id, now);
  const record = await saveUser(context, "Database error saving new user", id, [
    ...inserts,
    ...confirmation,
    ...audit(context, actor, "user_signedup", { provider: contact.channel }),
    ...audit(context, actor, "login", { provider: contact.channel }),
    ...session.statements,
  ]);
  return json(await tokenResponse(context, withVerifiedIdentity(record, contact), session));
}

/** The stored identity stays unverified after autoconfirm while the answer says verified: so GoTrue has it, and apps compare. */
function withVerifiedIdentity(record: UserRecord, contact: Contact): UserRecord {
  if (contact.channel !== "email") return record;
  const identities = record.identities.map((identity) => ({
    ...identity,
    identity_data: { ...identity.identity_data, email_verified: true },
  }));
  return { ...record, identities };
}

const addressesOf = (contact: Contact) => ({
  email: contact.channel === "email" ? contact.email : null,
  phone: contact.channel === "phone" ? contact.phone : null,
});

async function requestConfirmation(
  context: AuthContext,
  { id, contact, data, pkce }: { id: string; contact: Contact; data: Metadata; pkce: PkceChallenge | null },
  inserts: Inserts,
): Promise<ServiceResponse> {
  if (contact.channel !== "email") throw smsFailed();
  const receiver = { userId: id, email: contact.email, userMetadata: data };
  const link = prepareLink(context, "signup", receiver, { pkce, redirectTo: redirectTarget(context) });
  const actor = { id, is_sso_user: false, raw_user_meta_data: data, ...addressesOf(contact) };
  const record = await saveUser(context, "Database error saving new user", id, [
    ...inserts,
    ...audit(context, actor, "user_confirmation_requested", { provider: "email" }),
    ...link.statements,
    ...queueMails(context, link.mail),
  ]);
  sendMails(context, link.mail);
  return json(userJson(record));
}

/** What is answered must not tell more than the project's settings tell anyway, nor may it take less time. */
async function signUpAgain(context: AuthContext, signup: Signup, existing: UserRecord): Promise<ServiceResponse> {
  const { contact } = signup;
  const { user } = existing;
  const isConfirmed = contact.channel === "email" ? user.email_confirmed_at !== null : user.phone_confirmed_at !== null;
  if (isConfirmed) {
    await hashPassword(context, signup.password);
    return signUpOverConfirmed(context, signup, existing);
  }
  if (autoconfirms(context, contact)) return claimUnconfirmed(context, signup, existing);
  if (contact.channel === "phone") throw smsFailed();
  limitResend(context, user.confirmation_sent_at);
  limitMails(context);
  await hashPassword(context, signup.password);
  return resendConfirmation(context, signup, existing);
}

async function signUpOverConfirmed(
  context: AuthContext,
  { contact, data }: Signup,
  { user }: UserRecord,
): Promise<ServiceResponse> {
  const { settings, database } = context;
  await database.batch(audit(context, user, "user_repeated_signup", { provider: contact.channel }));
  if (settings.mailerAutoconfirm || settings.smsAutoconfirm) throw alreadyRegistered();
  return json(obfuscatedUser(context, contact, data));
}

const alreadyRegistered = (): AuthError => new AuthError("user_already_exists", "User already registered");

/** An account that does not exist, in the shape of one that waits for confirmation. Nothing of the real one is in it. */
function obfuscatedUser({ now }: AuthContext, contact: Contact, data: Metadata): Record<string, unknown> {
  const time = wireTime(now.toISOString());
  const { email, phone } = addressesOf(contact);
  return {
    id: randomUUID(),
    aud: AUDIENCE,
    role: "",
    email: email ?? "",
    phone: phone ?? "",
    confirmation_sent_at: time,
    app_metadata: { provider: contact.channel, providers: [contact.channel] },
    user_metadata: data,
    identities: [],
    created_at: time,
    updated_at: time,
    is_anonymous: false,
  };
}

/**
 * An account that was never confirmed, on a project that now confirms by itself. Whoever signs up must know its
 * password: else it would be handed to the first to name the address.
 */
async function claimUnconfirmed(
  context: AuthContext,
  { contact, password }: Signup,
  { user }: UserRecord,
): Promise<ServiceResponse> {
  if (!(await verifyPassword(context, password, user.encrypted_password))) throw alreadyRegistered();
  const session = beginSession(context, user.id, "password");
  const record = await saveUser(context, "Database error updating user", user.id, [
    ...(contact.channel === "email" ? confirmEmail(user, context.now) : confirmPhone(user.id, context.now)),
    ...audit(context, user, "user_signedup", { provider: contact.channel }),
    ...audit(context, user, "login", { provider: contact.channel }),
    ...session.statements,
  ]);
  return json(await tokenResponse(context, record, session));
}

/** Neither password nor metadata change: the one who signs up now need not be the one who signed up first. */
async function resendConfirmation(
  context: AuthContext,
  { pkce }: Signup,
  { user }: UserRecord,
): Promise<ServiceResponse> {
  const receiver = { userId: user.id, email: user.email ?? "", userMetadata: user.raw_user_meta_data ?? {} };
  const link = prepareLink(context, "signup", receiver, { pkce, redirectTo: redirectTarget(context) });
  const record = await saveUser(context, "Database error updating user", user.id, [
    ...audit(context, user, "user_confirmation_requested", { provider: "email" }),
    ...link.statements,
    ...queueMails(context, link.mail),
  ]);
  sendMails(context, link.mail);
  const answer = userJson(record);
  return json(user.invited_at === null ? answer : { ...answer, user_metadata: {}, identities: [] });
}
