/** POST /token?grant_type=password. */
import { z } from "zod";
import type { ServiceResponse } from "../../service.ts";
import { audit } from "../audit/audit.ts";
import { type AuthContext, verifyPassword } from "../context.ts";
import { databaseStep } from "../database/failures.ts";
import type { Sql } from "../database/sql.ts";
import { AuthError, invalidCredentials } from "../errors.ts";
import { readBody, text } from "../http/body.ts";
import { json } from "../http/responses.ts";
import { limitPasswordGuesses } from "../limits/limits.ts";
import { findWeakness } from "../passwords/strength.ts";
import { parsePhone } from "../users/identifiers.ts";
import { saveUser } from "../users/save-user.ts";
import { isBanned, type UserRecord, type UserRow } from "../users/user.ts";
import { findUserByEmail, findUserByPhone } from "../users/user-queries.ts";
import { beginSession, tokenResponse } from "./session.ts";

const Body = z.object({ email: text, phone: text, password: text });

export async function signInWithPassword(context: AuthContext): Promise<ServiceResponse> {
  const { database, settings } = context;
  const body = await readBody(context.request, Body);
  const login = findByLogin(context, body);
  const guess = limitPasswordGuesses(context, (body.email || body.phone).toLowerCase());
  const [record] = await databaseStep("Database error querying schema", database.run(login));
  // Unknown user, no password and wrong password take the same time and get the same answer.
  const isRight = await isPassword(context, body.password, record);
  if (!record || !isRight) throw invalidCredentials();
  guess.wasRight();
  const { user } = record;
  if (isBanned(user, context.now)) throw new AuthError("user_banned", "User is banned", { status: 400 });
  checkConfirmed(user, body.email ? "email" : "phone");
  const session = beginSession(context, user.id, "password");
  const signedIn = await saveUser(context, "Database error granting user", user.id, [
    ...audit(context, user, "login", { provider: body.email ? "email" : "phone" }),
    ...session.statements,
  ]);
  const weakness = findWeakness(body.password, settings);
  return json({
    ...(await tokenResponse(context, signedIn, session)),
    ...(weakness ? { weak_password: weakness } : {}),
  });
}

function findByLogin({ settings }: AuthContext, { email, phone }: z.output<typeof Body>): Sql<UserRecord> {
  if (email && phone) {
    throw new AuthError("validation_failed", "Only an email address or phone number should be provided on login.");
  }
  if (email) {
    if (!settings.emailEnabled) {
      throw new AuthError("email_provider_disabled", "Email logins are disabled", { status: 422 });
    }
    return findUserByEmail(email.toLowerCase());
  }
  if (!phone) throw new AuthError("validation_failed", "missing email or phone");
  if (!settings.phoneEnabled) {
    throw new AuthError("phone_provider_disabled", "Phone logins are disabled", { status: 422 });
  }
  return findUserByPhone(parsePhone(phone));
}

async function isPassword(context: AuthContext, password: string, record: UserRecord | undefined): Promise<boolean> {
  return verifyPassword(context, password, record?.user.encrypted_password ?? null);
}

function checkConfirmed(user: UserRow, channel: "email" | "phone"): void {
  if (channel === "email" && user.email_confirmed_at === null) {
    throw new AuthError("email_not_confirmed", "Email not confirmed");
  }
  if (channel === "phone" && user.phone_confirmed_at === null) {
    throw new AuthError("phone_not_confirmed", "Phone not confirmed");
  }
}
