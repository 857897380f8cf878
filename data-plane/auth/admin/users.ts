/** What an administrator does with one user. */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { ServiceResponse } from "../../service.ts";
import { audit } from "../audit/audit.ts";
import { type AuthContext, DEFAULT_ROLE, hashPassword, NIL_UUID } from "../context.ts";
import { databaseStep, isUniqueViolation } from "../database/failures.ts";
import type { Executor, Sql } from "../database/sql.ts";
import { AuthError } from "../errors.ts";
import { flag, metadata, optionalText, readBody, readOptionalBody, text } from "../http/body.ts";
import { json } from "../http/responses.ts";
import { isSupportedHash } from "../passwords/password-hash.ts";
import { checkPasswordStrength } from "../passwords/strength.ts";
import { unknownPasswordHash } from "../passwords/unknown-password.ts";
import { requireAdmin } from "../sessions/bearer.ts";
import { deleteSessions } from "../sessions/logout.ts";
import { confirmEmail, confirmPhone } from "../signup/new-account.ts";
import { deleteOneTimeTokens } from "../tokens/one-time-token-queries.ts";
import { isUuid, parseEmail, parsePathId, parsePhone } from "../users/identifiers.ts";
import { checkMetadataSize, mergeInto, mergeMetadata } from "../users/metadata.ts";
import { NO_PENDING_TOKENS } from "../users/password-change.ts";
import { asTakenAddress, emailTaken, saveUser, saveUserWithin } from "../users/save-user.ts";
import { type UserRecord, userJson } from "../users/user.ts";
import {
  deleteUser,
  findUserById,
  findUserByPhone,
  findUserWithAddress,
  insertUser,
  lockUser,
  type UserChanges,
  updateUser,
  upsertIdentity,
} from "../users/user-queries.ts";
import { parseDurationMs } from "./duration.ts";
import { eraseUser } from "./soft-delete.ts";

const Body = z.object({
  id: text,
  role: text,
  email: text,
  phone: text,
  password: optionalText,
  password_hash: text,
  email_confirm: flag,
  phone_confirm: flag,
  user_metadata: metadata,
  app_metadata: metadata,
  ban_duration: text,
});

type UserInput = z.output<typeof Body>;

const userNotFound = (): AuthError => new AuthError("user_not_found", "User not found");

const phoneTakenByAnother = (): AuthError =>
  new AuthError("phone_exists", "Phone number already registered by another user");

const describeUser = ({ user }: UserRecord): Record<string, unknown> => ({
  user_id: user.id,
  user_email: user.email ?? "",
  user_phone: user.phone ?? "",
});

/** POST /admin/users. Sends no mail. */
export async function createUser(context: AuthContext): Promise<ServiceResponse> {
  const admin = await requireAdmin(context);
  const input = await readBody(context.request, Body);
  const id = parseChosenId(input.id);
  const email = input.email ? parseEmail(input.email) : null;
  const phone = input.phone ? parsePhone(input.phone) : null;
  if (!email && !phone) {
    throw new AuthError("validation_failed", "Cannot create a user without either an email or phone");
  }
  await checkFree(context, null, email, phone);
  const passwordHash = await newPasswordHash(context, input);
  const providers = [...(email ? ["email"] : []), ...(phone ? ["phone"] : [])];
  const appMetadata = { provider: providers[0], providers };
  const userMetadata = mergeMetadata(input.user_metadata ?? null, undefined);
  const { now } = context;
  const confirmed = { ...userMetadata, ...(input.email_confirm && email ? { email_verified: true } : {}) };
  const record = await saveUser(context, "Database error creating new user", id, [
    insertUser({ id, email, phone, passwordHash, appMetadata, userMetadata, isAnonymous: false }, now),
    ...identitiesOf(id, email, phone, now),
    updateUser(
      id,
      {
        role: input.role || DEFAULT_ROLE,
        raw_app_meta_data: mergeInto(appMetadata, input.app_metadata),
        ...banChange(input.ban_duration, now),
      },
      now,
    ),
    ...(email && input.email_confirm ? confirmEmail({ id, email: null, raw_user_meta_data: confirmed }, now) : []),
    ...(phone && input.phone_confirm ? confirmPhone(id, now) : []),
    ...audit(context, admin, "user_signedup", { user_id: id, user_email: email ?? "", user_phone: phone ?? "" }),
  ]).catch((error) => Promise.reject(asTakenByAnother(error)));
  return json(userJson(record));
}

/** GET /admin/users/:id. */
export async function findUser(context: AuthContext): Promise<ServiceResponse> {
  await requireAdmin(context);
  const id = parsePathId(context.params.id, "user_id");
  const [record] = await databaseStep("Database error loading user", context.database.run(findUserById(id)));
  if (!record) throw userNotFound();
  return json(userJson(record));
}

/** PUT /admin/users/:id. Takes effect at once: no mail, no confirmation. */
export async function updateUserById(context: AuthContext): Promise<ServiceResponse> {
  const admin = await requireAdmin(context);
  const id = parsePathId(context.params.id, "user_id");
  const input = await readBody(context.request, Body);
  const email = input.email ? parseEmail(input.email) : null;
  const phone = input.phone ? parsePhone(input.phone) : null;
  checkMetadataSize(input.user_metadata);
  const { password } = input;
  if (password !== undefined) checkPasswordStrength(password, context.settings); // an empty one is weak
  const ban = banChange(input.ban_duration, context.now);
  await checkFree(context, id, email, phone);
  const passwordHash = password === undefined ? null : await hashPassword(context, password);
  const record = await databaseStep(
    "Error updating user",
    context.database.transaction((transaction) =>
      applyUpdate(context, transaction, id, { ...input, email, phone, passwordHash, ban, admin }),
    ),
  ).catch((error) => Promise.reject(asTakenByAnother(error)));
  return json(userJson(record));
}

type Update = Omit<UserInput, "email" | "phone"> & {
  readonly email: string | null;
  readonly phone: string | null;
  readonly passwordHash: string | null;
  readonly ban: UserChanges;
  readonly admin: { readonly role: string };
};

async function applyUpdate(
  context: AuthContext,
  transaction: Executor,
  id: string,
  update: Update,
): Promise<UserRecord> {
  const { now } = context;
  const { email, phone, passwordHash } = update;
  const [locked] = await transaction.run(lockUser(id));
  if (!locked) throw userNotFound();
  const { user } = locked;
  const userMetadata = mergeMetadata(user.raw_user_meta_data, update.user_metadata);
  // An address alone makes nobody permanent: somebody has to have confirmed it.
  const isConfirmed = (email !== null && update.email_confirm) || (phone !== null && update.phone_confirm);
  const changes: UserChanges = {
    raw_user_meta_data: mergeInto(user.raw_user_meta_data, update.user_metadata),
    raw_app_meta_data: mergeInto(user.raw_app_meta_data, update.app_metadata),
    ...(update.role ? { role: update.role } : {}),
    ...(email ? { email } : {}),
    ...(phone ? { phone } : {}),
    ...(isConfirmed ? { is_anonymous: false } : {}),
    ...(passwordHash === null ? {} : { encrypted_password: passwordHash, ...NO_PENDING_TOKENS }),
    ...update.ban,
  };
  return saveUserWithin(transaction, id, [
    updateUser(id, changes, now),
    ...(passwordHash === null ? [] : [deleteSessions(id), deleteOneTimeTokens(id)]),
    ...identitiesOf(id, email, phone, now, { email: update.email_confirm, phone: update.phone_confirm }),
    ...(update.email_confirm && user.email_confirmed_at === null
      ? confirmEmail({ id, email: email ?? user.email, raw_user_meta_data: userMetadata }, now)
      : []),
    ...(update.phone_confirm && user.phone_confirmed_at === null ? confirmPhone(id, now) : []),
    ...audit(context, update.admin, "user_modified", describeUser(locked)),
  ]);
}

/** DELETE /admin/users/:id. */
export async function deleteUserById(context: AuthContext): Promise<ServiceResponse> {
  const admin = await requireAdmin(context);
  const id = parsePathId(context.params.id, "user_id");
  const { should_soft_delete: isSoft } = await readOptionalBody(
    context.request,
    z.object({ should_soft_delete: flag }),
  );
  await databaseStep(
    "Database error deleting user",
    context.database.transaction(async (transaction) => {
      const [locked] = await transaction.run(lockUser(id));
      if (!locked) throw userNotFound();
      const statements = isSoft ? eraseUser(locked, context.now) : [deleteUser(id)];
      for (const statement of [...statements, ...audit(context, admin, "user_deleted", describeUser(locked))]) {
        await transaction.run(statement);
      }
    }),
  );
  return json({});
}

function parseChosenId(idText: string): string {
  if (!idText) return randomUUID();
  if (!isUuid(idText) || idText === NIL_UUID) {
    throw new AuthError("validation_failed", "ID must be a valid UUID and cannot be the nil UUID");
  }
  return idText.toLowerCase();
}

async function newPasswordHash(context: AuthContext, { password, password_hash: hash }: UserInput): Promise<string> {
  if (password && hash) {
    throw new AuthError("validation_failed", "Only a password or a password hash should be provided");
  }
  if (hash && !isSupportedHash(hash)) {
    throw new AuthError("validation_failed", "The password hash is of an unknown format or too costly to verify");
  }
  if (hash) return hash;
  if (!password) return unknownPasswordHash();
  checkPasswordStrength(password, context.settings);
  return hashPassword(context, password);
}

async function checkFree(
  { database }: AuthContext,
  ownId: string | null,
  email: string | null,
  phone: string | null,
): Promise<void> {
  if (email) {
    const [other] = await database.run(findUserWithAddress(email));
    if (other && other.user.id !== ownId) throw emailTaken();
  }
  if (phone) {
    const [other] = await database.run(findUserByPhone(phone));
    if (other && other.user.id !== ownId) throw phoneTakenByAnother();
  }
}

function asTakenByAnother(error: unknown): unknown {
  const told = asTakenAddress(error);
  if (isUniqueViolation(error instanceof AuthError ? error.cause : error, "users_pkey")) {
    return new AuthError("conflict", "A user with this ID already exists", { status: 409 });
  }
  return told instanceof AuthError && told.code === "phone_exists" ? phoneTakenByAnother() : told;
}

function identitiesOf(
  id: string,
  email: string | null,
  phone: string | null,
  now: Date,
  verified: { email: boolean; phone: boolean } = { email: false, phone: false },
): Sql<never>[] {
  const flags = { email_verified: verified.email, phone_verified: verified.phone };
  return [
    ...(email ? [upsertIdentity({ userId: id, provider: "email", data: { sub: id, email, ...flags } }, now)] : []),
    ...(phone ? [upsertIdentity({ userId: id, provider: "phone", data: { sub: id, phone, ...flags } }, now)] : []),
  ];
}

function banChange(duration: string, now: Date): UserChanges {
  if (!duration) return {};
  if (duration === "none") return { banned_until: null };
  const ms = parseDurationMs(duration);
  if (ms === null) throw new AuthError("validation_failed", `invalid format for ban duration: ${duration}`);
  const until = new Date(now.getTime() + ms);
  if (Number.isNaN(until.getTime())) throw new AuthError("validation_failed", "ban duration is too long");
  return { banned_until: until };
}
