/** The first account, made by whoever starts the installation instead of over the network. */
import type { Database } from "../database.ts";
import { insertOrganization } from "../organizations/organization-table.ts";
import { createAccessToken } from "./access-tokens.ts";
import { parseEmail, parseName } from "./account-table.ts";
import { checkNewPassword, type PasswordHashing } from "./password-hashing.ts";
import { hasAccounts, insertAccount, lockSignUp } from "./sign-up.ts";

export interface InstanceOwner {
  readonly accountId: string;
  readonly organizationId: string;
  /** A personal access token without an end, shown here only; null when none was asked for. */
  readonly accessToken: string | null;
}

/**
 * Makes the owner of the installation with an organization and an access token; null when there are accounts already.
 * Several instances may call it at once: one makes the account.
 */
export async function ensureInstanceOwner(
  database: Database,
  passwords: PasswordHashing,
  input: { email: string; password: string; name: string; organizationName: string; tokenName: string | null },
): Promise<InstanceOwner | null> {
  if (await hasAccounts(database)) return null;
  const email = parseEmail("email", input.email);
  const organizationName = parseName("organizationName", input.organizationName);
  checkNewPassword("password", input.password);
  const passwordHash = await passwords.hash("instance owner", input.password);
  return database.transaction(async (tx) => {
    await lockSignUp(tx);
    if (await hasAccounts(tx)) return null;
    const account = await insertAccount(tx, { email, name: input.name, passwordHash });
    const organization = await insertOrganization(tx, organizationName, account.id);
    const created = input.tokenName === null ? null : await createAccessToken(tx, account.id, input.tokenName, null);
    return { accountId: account.id, organizationId: organization.id, accessToken: created?.token ?? null };
  });
}

/** Id of the account that owns the installation, or null before the first sign-up. */
export async function findInstanceOwnerId(database: Database): Promise<string | null> {
  const [row] = await database.query<{ id: string }>(
    "/* findInstanceOwnerId */ select id from accounts where is_instance_owner",
  );
  return row?.id ?? null;
}
