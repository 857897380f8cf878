/** PUT /user. */
import { z } from "zod";
import type { ServiceResponse } from "../../service.ts";
import { audit } from "../audit/audit.ts";
import { type AuthContext, hashPassword } from "../context.ts";
import { databaseStep } from "../database/failures.ts";
import type { Sql } from "../database/sql.ts";
import { AuthError } from "../errors.ts";
import { metadata, optionalText, pkceFields, readBody, text } from "../http/body.ts";
import { json } from "../http/responses.ts";
import { limitByAddress } from "../limits/limits.ts";
import { sendMails } from "../mail/one-time-mail.ts";
import { checkPasswordStrength } from "../passwords/strength.ts";
import { type AuthenticatedUser, requireUser } from "../sessions/bearer.ts";
import { type PkceChallenge, parseChallenge } from "../sessions/pkce.ts";
import { checkChannel, smsFailed } from "../signup/signup.ts";
import { deleteOneTimeTokens } from "../tokens/one-time-token-queries.ts";
import { applyEmail, applyPhone, type PreparedEmailChange, requestEmailChange } from "./email-change.ts";
import { parseEmail, parsePhone } from "./identifiers.ts";
import { mergeInto } from "./metadata.ts";
import { applyPassword, checkPasswordChange, nonceInvalid } from "./password-change.ts";
import { asTakenAddress, emailTaken, phoneTaken, saveUserWithin } from "./save-user.ts";
import { hasVerifiedFactor, type Metadata, type UserRecord, userJson } from "./user.ts";
import { findUserByPhone, findUserWithAddress, lockUser, type UserChanges, updateUser } from "./user-queries.ts";

const Body = z.object({
  email: text,
  phone: text,
  password: optionalText,
  current_password: text,
  nonce: text,
  data: metadata,
  app_metadata: metadata,
  channel: text,
  ...pkceFields,
});

/** What is to change, parsed; "" and undefined leave a thing as it is. */
interface Changes {
  readonly email: string;
  readonly phone: string;
  readonly password: string;
  readonly data: Metadata | undefined;
  readonly appMetadata: Metadata | undefined;
  readonly pkce: PkceChallenge | null;
}

export async function updateOwnUser(context: AuthContext): Promise<ServiceResponse> {
  limitByAddress(context, "update_user");
  const bearer = await requireUser(context);
  const body = await readBody(context.request, Body);
  const changes = parseChanges(context, bearer, body);
  checkAllowed(bearer, changes, body.nonce);
  await checkAddressesFree(context, bearer, changes);
  let newPassword: NewPassword | null = null;
  if (changes.password) {
    const proof = { currentPassword: body.current_password, nonce: body.nonce, password: changes.password };
    const consumeNonce = await checkPasswordChange(context, bearer, proof);
    newPassword = { consumeNonce, hash: await hashPassword(context, changes.password) }; // it takes long: not within
  }
  const { record, emailChange } = await databaseStep(
    "Error updating user",
    applyChanges(context, bearer, changes, newPassword),
  ).catch((error) => Promise.reject(asTakenAddress(error)));
  if (emailChange) sendMails(context, ...emailChange.mails);
  return json(userJson(record));
}

function parseChanges({ settings }: AuthContext, { user }: UserRecord, body: z.output<typeof Body>): Changes {
  const email = body.email ? parseEmail(body.email) : "";
  const phone = body.phone ? parsePhone(body.phone) : "";
  if (phone) checkChannel(body.channel);
  if (body.password !== undefined) checkPasswordStrength(body.password, settings); // an empty one is weak
  return {
    email: email === user.email ? "" : email,
    phone: phone === user.phone ? "" : phone,
    password: body.password ?? "",
    data: body.data,
    appMetadata: body.app_metadata,
    pkce: parseChallenge(body),
  };
}

/** Roles of a user that may write application metadata; only an administrator gives them. */
const ADMIN_USER_ROLES = new Set(["admin", "service_role", "supabase_admin"]);

function checkAllowed(
  bearer: AuthenticatedUser,
  { email, phone, password, appMetadata }: Changes,
  nonce: string,
): void {
  const { user, session } = bearer;
  const changesCredentials = Boolean(email || phone || password);
  if (appMetadata && !ADMIN_USER_ROLES.has(user.role ?? "")) {
    throw new AuthError("not_admin", "Updating app_metadata requires admin privileges");
  }
  if (changesCredentials && hasVerifiedFactor(bearer) && session?.aal !== "aal2" && session?.aal !== "aal3") {
    throw new AuthError(
      "insufficient_aal",
      "AAL2 session is required to update email or password when MFA is enabled.",
    );
  }
  if (user.is_anonymous && password && !email && !phone) {
    const message = "Updating password of an anonymous user without an email or phone is not allowed";
    throw new AuthError("validation_failed", message, { status: 422 });
  }
  if (user.is_sso_user && (changesCredentials || nonce)) {
    throw new AuthError("user_sso_managed", "Cannot update email, phone or password of a user managed by SSO");
  }
}

async function checkAddressesFree(
  { database, settings }: AuthContext,
  { user }: UserRecord,
  { email, phone }: Changes,
): Promise<void> {
  if (email) {
    const [other] = await database.run(findUserWithAddress(email));
    if (other && other.user.id !== user.id) throw emailTaken();
  }
  if (phone) {
    const [other] = await database.run(findUserByPhone(phone));
    if (other && other.user.id !== user.id) throw phoneTaken();
    if (!settings.smsAutoconfirm) throw smsFailed();
  }
}

interface NewPassword {
  readonly hash: string;
  /** Null when no nonce was asked for. */
  readonly consumeNonce: Sql<true> | null;
}

interface Applied {
  readonly record: UserRecord;
  readonly emailChange: PreparedEmailChange | null;
}

/** The row is locked first: metadata is merged with what is there then, not with what was there when the request came. */
function applyChanges(
  context: AuthContext,
  bearer: AuthenticatedUser,
  changes: Changes,
  newPassword: NewPassword | null,
): Promise<Applied> {
  const { now, settings } = context;
  const { id } = bearer.user;
  return context.database.transaction(async (transaction) => {
    const [locked] = await transaction.run(lockUser(id));
    if (!locked) throw new AuthError("user_not_found", "User from sub claim in JWT does not exist", { status: 403 });
    const statements: Sql<never>[] = [];
    let emailChange: PreparedEmailChange | null = null;
    if (newPassword !== null) {
      const { consumeNonce, hash } = newPassword;
      if (consumeNonce && (await transaction.run(consumeNonce)).length !== 1) throw nonceInvalid();
      statements.push(...applyPassword(id, hash, bearer.session?.id ?? null, now));
      statements.push(...audit(context, locked.user, "user_updated_password"));
    }
    const merged = mergeChanges(locked, changes);
    if (Object.keys(merged).length > 0) statements.push(updateUser(id, merged, now));
    if (changes.email && locked.user.is_anonymous && settings.mailerAutoconfirm) {
      statements.push(...applyEmail(locked, changes.email, now), deleteOneTimeTokens(id));
    } else if (changes.email) {
      const sender = newPassword === null ? locked.user : { ...locked.user, email_change_sent_at: null };
      emailChange = requestEmailChange(context, sender, changes.email, changes.pkce);
      statements.push(...emailChange.statements);
    }
    if (changes.phone) statements.push(...applyPhone(locked, changes.phone, now));
    statements.push(...audit(context, locked.user, "user_modified"));
    return { record: await saveUserWithin(transaction, id, statements), emailChange };
  });
}

function mergeChanges({ user }: UserRecord, { data, appMetadata }: Changes): UserChanges {
  return {
    ...(data ? { raw_user_meta_data: mergeInto(user.raw_user_meta_data, data) } : {}),
    ...(appMetadata ? { raw_app_meta_data: mergeInto(user.raw_app_meta_data, appMetadata) } : {}),
  };
}
