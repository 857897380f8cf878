/** A new password for a user who is signed in: what must be shown before, and what it ends. */
import { type AuthContext, verifyPassword } from "../context.ts";
import type { Sql } from "../database/sql.ts";
import { AuthError } from "../errors.ts";
import { limitCodeGuesses } from "../limits/limits.ts";
import type { AuthenticatedUser } from "../sessions/bearer.ts";
import { deleteOtherSessions, deleteSessions } from "../sessions/logout.ts";
import { isWithinLifetime, matchesStoredToken } from "../tokens/one-time-token.ts";
import { consumeOneTimeToken, deleteOneTimeTokens } from "../tokens/one-time-token-queries.ts";
import { isOver } from "./times.ts";
import type { UserRow } from "./user.ts";
import { type UserChanges, updateUser } from "./user-queries.ts";

const REAUTHENTICATION_AFTER_MS = 24 * 60 * 60_000;
/** Who came in by a mail shall not be asked for the password he has forgotten. */
const WITHOUT_PASSWORD = new Set(["otp", "magiclink", "recovery"]);

export interface PasswordChange {
  readonly password: string;
  readonly currentPassword: string;
  readonly nonce: string;
}

/**
 * @returns What uses up the nonce that was shown: to be run with the change, which is refused unless it answers a row.
 * @throws {AuthError} unless the change is proved as the project demands, and is one.
 */
export async function checkPasswordChange(
  context: AuthContext,
  bearer: AuthenticatedUser,
  { password, currentPassword, nonce }: PasswordChange,
): Promise<Sql<true> | null> {
  const { settings, now } = context;
  const { user, session } = bearer;
  const isStale = !session || isOver(session.created_at, REAUTHENTICATION_AFTER_MS, now);
  const consume = settings.updatePasswordRequireReauthentication && isStale ? checkNonce(context, user, nonce) : null;
  if (!user.encrypted_password) return consume;
  const cameByMail = bearer.amr.some(({ authentication_method: method }) => WITHOUT_PASSWORD.has(method));
  if (settings.updatePasswordRequireCurrentPassword && !cameByMail) {
    const text = "Current password required when setting new password.";
    if (!currentPassword) throw new AuthError("current_password_required", text);
    if (!(await verifyPassword(context, currentPassword, user.encrypted_password))) {
      throw new AuthError("current_password_invalid", text);
    }
  }
  if (await verifyPassword(context, password, user.encrypted_password)) {
    throw new AuthError("same_password", "New password should be different from the old password.");
  }
  return consume;
}

export const nonceInvalid = (): AuthError =>
  new AuthError("reauthentication_not_valid", "Nonce has expired or is invalid");

function checkNonce(context: AuthContext, user: UserRow, nonce: string): Sql<true> {
  const { settings, now } = context;
  if (!nonce) throw new AuthError("reauthentication_needed", "Password update requires reauthentication");
  limitCodeGuesses(context, `nonce ${user.id}`);
  const isFresh = isWithinLifetime(user.reauthentication_sent_at, settings.mailerOtpExpSeconds, now);
  const stored = user.reauthentication_token ?? "";
  const address = user.email || user.phone || "";
  if (!isFresh || !matchesStoredToken(nonce, address, stored, settings.mailerOtpLength)) throw nonceInvalid();
  return consumeOneTimeToken(user.id, "reauthentication_token", stored);
}

/** Tokens that were mailed under the old password, with the times they were sent at. */
export const NO_PENDING_TOKENS: UserChanges = {
  confirmation_token: "",
  confirmation_sent_at: null,
  recovery_token: "",
  recovery_sent_at: null,
  email_change_token_current: "",
  email_change_token_new: "",
  email_change_sent_at: null,
  phone_change_token: "",
  phone_change_sent_at: null,
  reauthentication_token: "",
  reauthentication_sent_at: null,
};

/** Voids all pending tokens and ends the user's sessions, but for the one that asks. */
export function applyPassword(userId: string, hash: string, sessionId: string | null, now: Date): Sql<never>[] {
  return [
    updateUser(userId, { encrypted_password: hash, ...NO_PENDING_TOKENS }, now),
    deleteOneTimeTokens(userId),
    sessionId === null ? deleteSessions(userId) : deleteOtherSessions(userId, sessionId),
  ];
}
