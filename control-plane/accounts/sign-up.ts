/** Accounts come to be: the first one owns the installation, later ones by invitation or where sign-up is open. */
import { recordAudit } from "../audit/record-audit.ts";
import type { GraphqlContext } from "../context.ts";
import { isUniqueViolation, type Queryable } from "../database.ts";
import { Conflict, Forbidden } from "../errors.ts";
import { publishEvent } from "../events.ts";
import { findInvitation, useInvitation } from "../organizations/invitations.ts";
import { insertOrganization } from "../organizations/organization-table.ts";
import { ACCOUNT_COLUMNS, type AccountRow, parseEmail, parseName } from "./account-table.ts";
import { checkNewPassword } from "./password-hashing.ts";
import { createSession, type NewSession } from "./sessions.ts";

export interface SignUpInput {
  readonly email: string;
  readonly password: string;
  readonly name: string;
  /** Makes an organization of this name, owned by the account. */
  readonly organizationName: string | null;
  readonly invitationToken: string | null;
}

export interface SignedIn {
  readonly account: AccountRow;
  readonly session: NewSession;
}

/** @throws {Forbidden} when sign-up is closed. @throws {InvalidInput} @throws {Conflict} @throws {RateLimited} */
export async function signUp(context: GraphqlContext, input: SignUpInput): Promise<SignedIn> {
  const email = parseEmail("email", input.email);
  const name = input.name.trim() === "" ? "" : parseName("name", input.name);
  const organizationName =
    input.organizationName === null ? null : parseName("organizationName", input.organizationName);
  checkNewPassword("password", input.password);
  context.signInLimits.takeSignUp(context.addressBlock);
  // Asked before the password is hashed, so that a closed door costs strangers more than us; and again below.
  await requireOpenDoor(context.database, context, email, input.invitationToken);
  const passwordHash = await context.passwords.hash(context.addressBlock, input.password);

  return context.database.transaction(async (tx) => {
    await lockSignUp(tx);
    await requireOpenDoor(tx, context, email, input.invitationToken);
    const account = await insertAccount(tx, { email, name, passwordHash });
    await recordAudit(tx, context, {
      action: "account.sign_up",
      account,
      details: { instanceOwner: account.isInstanceOwner },
    });
    if (input.invitationToken !== null) {
      const { organizationId, role } = await useInvitation(tx, input.invitationToken, account, context.now());
      await recordAudit(tx, context, { action: "invitation.accept", account, organizationId, details: { role } });
      await publishEvent(tx, { topic: "access", accountId: account.id });
    }
    if (organizationName !== null) {
      const { id } = await insertOrganization(tx, organizationName, account.id);
      await recordAudit(tx, context, { action: "organization.create", account, organizationId: id });
    }
    return { account, session: await createSession(tx, account.id, context.now()) };
  });
}

export async function hasAccounts(db: Queryable): Promise<boolean> {
  const [row] = await db.query<{ any: boolean }>('/* hasAccounts */ select exists (select from accounts) as "any"');
  return row?.any ?? false;
}

/** The first account becomes the owner of the installation. Within a transaction that holds {@link lockSignUp}. */
export async function insertAccount(
  tx: Queryable,
  account: { email: string; name: string; passwordHash: string },
): Promise<AccountRow> {
  try {
    const [row] = await tx.query<AccountRow>(
      `/* insertAccount */ insert into accounts (email, name, password_hash, is_instance_owner)
       values ($1, $2, $3, not exists (select from accounts)) returning ${ACCOUNT_COLUMNS}`,
      [account.email, account.name, account.passwordHash],
    );
    if (!row) throw new Error("an insert returned no row");
    return row;
  } catch (error) {
    if (isUniqueViolation(error, "accounts_email_key"))
      throw new Conflict("an account with this e-mail exists already");
    throw error;
  }
}

/** One sign-up at a time, so that exactly one is the first. */
export async function lockSignUp(tx: Queryable): Promise<void> {
  await tx.query("/* lockSignUp */ select pg_advisory_xact_lock(hashtextextended('supalove sign-up', 0))");
}

async function requireOpenDoor(
  db: Queryable,
  context: GraphqlContext,
  email: string,
  invitationToken: string | null,
): Promise<void> {
  if (context.settings.openSignUp || !(await hasAccounts(db))) return;
  if (invitationToken === null) throw new Forbidden("sign-up is closed here: ask for an invitation");
  if (!(await findInvitation(db, invitationToken, email, context.now()))) {
    throw new Forbidden("this invitation is not valid for this e-mail address, or no longer");
  }
}
