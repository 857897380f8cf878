/** Proving a password: to sign in, and again before what only its owner may change. */
import { recordAudit } from "../audit/record-audit.ts";
import type { GraphqlContext } from "../context.ts";
import { isUniqueViolation, type Queryable } from "../database.ts";
import { Conflict, InvalidInput, Unauthenticated } from "../errors.ts";
import { publishEvent } from "../events.ts";
import type { AccountViewer } from "../viewer.ts";
import { type AccountRow, findAccountByEmail, parseEmail } from "./account-table.ts";
import { checkNewPassword } from "./password-hashing.ts";
import { createSession, deleteOtherSessions, deleteSession } from "./sessions.ts";
import type { SignedIn } from "./sign-up.ts";

const WRONG = "the e-mail or the password is wrong";

/** Answers alike, and after the same time, whether the account or the password is wrong. */
export async function signIn(context: GraphqlContext, email: string, password: string): Promise<SignedIn> {
  const account = await verifyPassword(context, parseEmail("email", email), password);
  if (!account) {
    context.logger.info({ clientAddress: context.clientAddress }, "a sign-in was refused");
    throw new Unauthenticated(WRONG);
  }
  return context.database.transaction(async (tx) => {
    if (!(await holdPassword(tx, account))) throw new Unauthenticated(WRONG);
    await recordAudit(tx, context, { action: "account.sign_in", account });
    return { account, session: await createSession(tx, account.id, context.now()) };
  });
}

export async function signOut(context: GraphqlContext, viewer: AccountViewer): Promise<void> {
  await context.database.transaction(async (tx) => {
    await deleteSession(tx, viewer.credentialHash);
    await recordAudit(tx, context, { action: "account.sign_out" });
    await publishEvent(tx, { topic: "access", accountId: viewer.accountId });
  });
}

/** Ends all other sessions. Access tokens stay: they are revoked one by one. */
export async function changePassword(
  context: GraphqlContext,
  viewer: AccountViewer,
  currentPassword: string,
  newPassword: string,
): Promise<void> {
  checkNewPassword("newPassword", newPassword);
  const account = await requirePassword(context, viewer, currentPassword);
  const passwordHash = await context.passwords.hash(account.id, newPassword);
  await context.database.transaction(async (tx) => {
    if (!(await holdPassword(tx, account))) throw wrongCurrentPassword();
    await tx.query("/* changePassword */ update accounts set password_hash = $2 where id = $1", [
      viewer.accountId,
      passwordHash,
    ]);
    await deleteOtherSessions(tx, viewer.accountId, viewer.credentialHash);
    await recordAudit(tx, context, { action: "account.change_password" });
    await publishEvent(tx, { topic: "access", accountId: viewer.accountId });
  });
}

export async function changeEmail(
  context: GraphqlContext,
  viewer: AccountViewer,
  currentPassword: string,
  newEmail: string,
): Promise<void> {
  const email = parseEmail("email", newEmail);
  const account = await requirePassword(context, viewer, currentPassword);
  try {
    await context.database.transaction(async (tx) => {
      if (!(await holdPassword(tx, account))) throw wrongCurrentPassword();
      await tx.query("/* changeEmail */ update accounts set email = $2 where id = $1", [viewer.accountId, email]);
      await recordAudit(tx, context, { action: "account.change_email", details: { from: viewer.email, to: email } });
    });
  } catch (error) {
    if (isUniqueViolation(error, "accounts_email_key"))
      throw new Conflict("an account with this e-mail exists already");
    throw error;
  }
}

type ProvedAccount = AccountRow & { readonly passwordHash: string };

async function requirePassword(
  context: GraphqlContext,
  viewer: AccountViewer,
  password: string,
): Promise<ProvedAccount> {
  const account = await verifyPassword(context, viewer.email, password);
  if (!account) throw wrongCurrentPassword();
  return account;
}

function wrongCurrentPassword(): InvalidInput {
  return new InvalidInput("currentPassword", "the current password is wrong");
}

/**
 * Whether the password that was proved is still the account's, and keeps it so until the transaction ends. Comparing
 * takes a while, and the password may be changed meanwhile: then the proof is worth nothing.
 */
async function holdPassword(tx: Queryable, { id, passwordHash }: ProvedAccount): Promise<boolean> {
  const rows = await tx.query(
    "/* holdPassword */ select from accounts where id = $1 and password_hash = $2 for no key update",
    [id, passwordHash],
  );
  return rows.length > 0;
}

/** Null when wrong. The limits count before the hash is compared: parallel guesses do not slip through. */
async function verifyPassword(context: GraphqlContext, email: string, password: string): Promise<ProvedAccount | null> {
  const succeeded = context.signInLimits.take(email, context.addressBlock);
  const account = await findAccountByEmail(context.database, email);
  if (!(await context.passwords.verify(context.addressBlock, password, account?.passwordHash ?? null))) return null;
  succeeded();
  return account;
}
