/** POST /admin/generate_link: the link of a mail without the mail. */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { ServiceResponse } from "../../service.ts";
import { audit } from "../audit/audit.ts";
import { type AuthContext, hashPassword, redirectTarget } from "../context.ts";
import type { Sql } from "../database/sql.ts";
import { AuthError } from "../errors.ts";
import { metadata, readBody, text } from "../http/body.ts";
import { json } from "../http/responses.ts";
import { newReceiver, type Receiver, receiverOf } from "../links/request-link.ts";
import { type LinkType, prepareLink, verificationLink } from "../mail/one-time-mail.ts";
import { checkPasswordStrength } from "../passwords/strength.ts";
import { unknownPasswordHash } from "../passwords/unknown-password.ts";
import { requireAdmin } from "../sessions/bearer.ts";
import { insertAccount } from "../signup/new-account.ts";
import type { OneTimeToken } from "../tokens/one-time-token.ts";
import { prepareEmailChangeLink } from "../users/email-change.ts";
import { parseEmail } from "../users/identifiers.ts";
import { checkMetadataSize, mergeInto } from "../users/metadata.ts";
import { asTakenAddress, emailTaken, saveUser } from "../users/save-user.ts";
import { type Metadata, type UserRecord, userJson } from "../users/user.ts";
import { findUserWithAddress, updateUser } from "../users/user-queries.ts";

const Body = z.object({
  type: text,
  email: text,
  new_email: text,
  password: text,
  data: metadata,
  redirect_to: text,
});

type LinkInput = z.output<typeof Body>;

export async function generateLink(context: AuthContext): Promise<ServiceResponse> {
  await requireAdmin(context);
  const input = await readBody(context.request, Body);
  const email = parseEmail(input.email);
  checkMetadataSize(input.data);
  const redirectTo = redirectTarget(context, input.redirect_to);
  const [existing] = await context.database.run(findUserWithAddress(email));
  switch (input.type) {
    case "magiclink":
      return existing
        ? mintLink(context, "magiclink", receiverOf(existing, email), redirectTo)
        : mintSignupLink(context, email, undefined, unknownPasswordHash(), input.data ?? {}, redirectTo);
    case "recovery":
      if (!existing) throw userNotFound();
      return mintLink(context, "recovery", receiverOf(existing, email), redirectTo);
    case "signup":
      if (existing?.user.email_confirmed_at) throw emailTaken();
      if (!input.password) throw new AuthError("validation_failed", "Signup requires a valid password");
      checkPasswordStrength(input.password, context.settings);
      return mintSignupLink(
        context,
        email,
        existing,
        await hashPassword(context, input.password),
        input.data ?? {},
        redirectTo,
      );
    case "invite":
      if (existing?.user.email_confirmed_at) throw emailTaken();
      return mintInviteLink(context, email, existing, input.data ?? {}, redirectTo);
    case "email_change_current":
    case "email_change_new":
      if (!existing) throw userNotFound();
      return mintEmailChangeLink(context, input, existing, redirectTo);
    default:
      throw new AuthError("validation_failed", `Invalid email action link type requested: ${input.type}`);
  }
}

const userNotFound = (): AuthError => new AuthError("user_not_found", "User with this email not found");

async function mintLink(
  context: AuthContext,
  type: LinkType,
  receiver: Receiver,
  redirectTo: string,
  before: readonly Sql<never>[] = [],
): Promise<ServiceResponse> {
  const address = { userId: receiver.id, email: receiver.email, userMetadata: receiver.raw_user_meta_data ?? {} };
  const { token, link, statements } = prepareLink(context, type, address, { pkce: null, redirectTo });
  const actor = { ...receiver, phone: null, is_sso_user: false };
  const record = await saveUser(context, "Database error saving new user", receiver.id, [
    ...before,
    ...audit(context, actor, type === "invite" ? "user_invited" : "user_recovery_requested"),
    ...statements,
  ]).catch((error) => Promise.reject(asTakenAddress(error)));
  return answer(record, token, link, type, redirectTo);
}

/** An administrator signs somebody up: an account that was never confirmed gets the new password and data. */
function mintSignupLink(
  context: AuthContext,
  email: string,
  existing: UserRecord | undefined,
  passwordHash: string,
  data: Metadata,
  redirectTo: string,
): Promise<ServiceResponse> {
  const { now } = context;
  if (existing) {
    const changes = {
      encrypted_password: passwordHash,
      raw_user_meta_data: mergeInto(existing.user.raw_user_meta_data, data),
    };
    const before = [updateUser(existing.user.id, changes, now)];
    return mintLink(context, "signup", receiverOf(existing, email), redirectTo, before);
  }
  const id = randomUUID();
  const contact = { channel: "email", email } as const;
  const inserts = insertAccount({ id, contact, passwordHash, data, repeatsContact: false }, now);
  return mintLink(context, "signup", newReceiver(id, email, data), redirectTo, inserts);
}

function mintInviteLink(
  context: AuthContext,
  email: string,
  existing: UserRecord | undefined,
  data: Metadata,
  redirectTo: string,
): Promise<ServiceResponse> {
  if (existing) return mintLink(context, "invite", receiverOf(existing, email), redirectTo);
  const id = randomUUID();
  const contact = { channel: "email", email } as const;
  const inserts = insertAccount({ id, contact, passwordHash: null, data, repeatsContact: false }, context.now);
  return mintLink(context, "invite", newReceiver(id, email, data), redirectTo, inserts);
}

async function mintEmailChangeLink(
  context: AuthContext,
  input: LinkInput,
  existing: UserRecord,
  redirectTo: string,
): Promise<ServiceResponse> {
  const { settings, database } = context;
  const asksCurrent = input.type === "email_change_current";
  if (asksCurrent && !settings.mailerSecureEmailChangeEnabled) {
    throw new AuthError("validation_failed", "Enable secure email change to generate link for current email");
  }
  const newEmail = parseEmail(input.new_email);
  const [other] = await database.run(findUserWithAddress(newEmail));
  if (other && other.user.id !== existing.user.id) throw emailTaken();
  const { token, statements } = prepareEmailChangeLink(
    context,
    existing.user,
    newEmail,
    asksCurrent ? "current" : "new",
  );
  const record = await saveUser(context, "Database error saving email change", existing.user.id, statements);
  const link = verificationLink(context, token.hash, "email_change", redirectTo);
  return answer(record, token, link, input.type, redirectTo);
}

function answer(
  record: UserRecord,
  token: OneTimeToken,
  link: string,
  type: string,
  redirectTo: string,
): ServiceResponse {
  return json({
    ...userJson(record),
    action_link: link,
    email_otp: token.code,
    hashed_token: token.hash,
    verification_type: type,
    redirect_to: redirectTo,
  });
}
