import type { AuthContext } from "../context.ts";
import { databaseStep, isUniqueViolation } from "../database/failures.ts";
import type { Executor, Sql } from "../database/sql.ts";
import { AuthError, unexpectedFailure } from "../errors.ts";
import type { UserRecord } from "./user.ts";
import { findUserById } from "./user-queries.ts";

/**
 * Runs the statements in one transaction and one round trip, and answers the user as it is after them.
 * @param step what clients are told when they fail: `Database error saving new user`.
 */
export async function saveUser(
  { database }: AuthContext,
  step: string,
  userId: string,
  statements: readonly Sql<never>[],
): Promise<UserRecord> {
  const results = await databaseStep(step, database.batch([...statements, findUserById(userId)]));
  const [record] = (results.at(-1) ?? []) as UserRecord[];
  if (!record) throw unexpectedFailure(step);
  return record;
}

/** As {@link saveUser}, inside a transaction that is already open. */
export async function saveUserWithin(
  transaction: Executor,
  userId: string,
  statements: readonly Sql<never>[],
): Promise<UserRecord> {
  for (const statement of statements) await transaction.run(statement);
  const [record] = await transaction.run(findUserById(userId));
  if (!record) throw unexpectedFailure("Database error finding user");
  return record;
}

export const emailTaken = (): AuthError =>
  new AuthError("email_exists", "A user with this email address has already been registered");

export const phoneTaken = (): AuthError =>
  new AuthError("phone_exists", "A user with this phone number has already been registered");

/** Two users cannot have one address: what the unique index refuses is told as the check before it would have told it. */
export function asTakenAddress(error: unknown): unknown {
  const cause = error instanceof AuthError ? error.cause : error;
  if (isUniqueViolation(cause, "users_email_partial_key")) return emailTaken();
  if (isUniqueViolation(cause, "users_phone_key")) return phoneTaken();
  return error;
}
