/** The row of table `accounts` without its password hash, and the lookups on it. */
import type { Queryable } from "../database.ts";
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
