/** The row of table `accounts` without its password hash, and the lookups on it. */
import { keysetSql, type Page } from "../connections.ts";
import { containsPattern, type Queryable } from "../database.ts";
import { InvalidInput } from "../errors.ts";

export interface AccountRow {
  readonly id: string;
  /** Lower-case. */
  readonly email: string;
  readonly name: string;
  readonly isInstanceOwner: boolean;
  readonly createdAt: Date;
}

export const ACCOUNT_COLUMNS = `accounts.id, accounts.email, accounts.name,
  accounts.is_instance_owner as "isInstanceOwner", accounts.created_at as "createdAt"`;

/** Of parameter $1, a pattern or null. */
const MATCHES_SEARCH = "($1::text is null or email ilike $1 or name ilike $1)";

export async function findAccount(db: Queryable, id: string): Promise<AccountRow | null> {
  const [row] = await db.query<AccountRow>(`/* findAccount */ select ${ACCOUNT_COLUMNS} from accounts where id = $1`, [
    id,
  ]);
  return row ?? null;
}

/** @param email normalized by {@link parseEmail}. */
export async function findAccountByEmail(
  db: Queryable,
  email: string,
): Promise<(AccountRow & { passwordHash: string }) | null> {
  const [row] = await db.query<AccountRow & { passwordHash: string }>(
    `/* findAccountByEmail */ select ${ACCOUNT_COLUMNS}, password_hash as "passwordHash"
     from accounts where lower(email) = $1`,
    [email],
  );
  return row ?? null;
}

const MAX_EMAIL_LENGTH = 254;
const MAX_NAME_LENGTH = 100;

/** Trimmed and in lower case. @throws {InvalidInput} for what cannot be an address. */
export function parseEmail(field: string, text: string): string {
  const email = text.trim().toLowerCase();
  if (email.length > MAX_EMAIL_LENGTH || !/^[^\s@\p{Cc}]+@[^\s@\p{Cc}]+$/u.test(email)) {
    throw new InvalidInput(field, "this is not an e-mail address");
  }
  return email;
}

/** Trimmed. @throws {InvalidInput} when it is empty, too long or holds control characters. */
export function parseName(field: string, text: string): string {
  const name = text.trim();
  if (name.length === 0 || name.length > MAX_NAME_LENGTH || /\p{Cc}/u.test(name)) {
    throw new InvalidInput(field, `a name has 1 to ${MAX_NAME_LENGTH} printable characters`);
  }
  return name;
}

/** @param search Part of an e-mail or a name. */
export async function listAccounts(db: Queryable, search: string | null, page: Page): Promise<AccountRow[]> {
  const keyset = keysetSql(page, {
    key: "lower(accounts.email)",
    keyOf: (cursor) => `lower(${cursor})`,
    direction: "asc",
    firstParameter: 3,
  });
  return db.query<AccountRow>(
    `/* listAccounts */ select ${ACCOUNT_COLUMNS} from accounts
     where ${MATCHES_SEARCH} and ${keyset.where} order by ${keyset.orderBy} limit $2`,
    [search === null ? null : containsPattern(search), page.limit, ...keyset.values],
  );
}

export async function countAccounts(db: Queryable, search: string | null): Promise<number> {
  const [row] = await db.query<{ count: number }>(
    `/* countAccounts */ select count(*) from accounts where ${MATCHES_SEARCH}`,
    [search === null ? null : containsPattern(search)],
  );
  return row?.count ?? 0;
}

export async function setAccountName(tx: Queryable, id: string, name: string): Promise<void> {
  await tx.query("/* setAccountName */ update accounts set name = $2 where id = $1", [id, name]);
}

export async function setPasswordHash(tx: Queryable, id: string, passwordHash: string): Promise<void> {
  await tx.query("/* setPasswordHash */ update accounts set password_hash = $2 where id = $1", [id, passwordHash]);
}

export async function deleteAccountRow(tx: Queryable, id: string): Promise<void> {
  await tx.query("/* deleteAccountRow */ delete from accounts where id = $1", [id]);
}

/** Holds the account's row until the transaction ends. */
export async function lockAccount(tx: Queryable, id: string): Promise<void> {
  await tx.query("/* lockAccount */ select from accounts where id = $1 for no key update", [id]);
}
