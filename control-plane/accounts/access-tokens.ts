/** Personal access tokens: what scripts and the command line authenticate with. */
import type { Queryable } from "../database.ts";
import { generateToken, hashToken } from "./tokens.ts";

export interface AccessTokenRow {
  readonly id: string;
  readonly name: string;
  /** `sbp_` and the first four digits. */
  readonly prefix: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | null;
  readonly expiresAt: Date | null;
}

const COLUMNS = `id, name, prefix, created_at as "createdAt", last_used_at as "lastUsedAt", expires_at as "expiresAt"`;
const PREFIX_LENGTH = 8;

/** The token itself is returned here and nowhere else. */
export async function createAccessToken(
  tx: Queryable,
  accountId: string,
  name: string,
  expiresAt: Date | null,
): Promise<{ accessToken: AccessTokenRow; token: string }> {
  const token = generateToken("accessToken");
  const [accessToken] = await tx.query<AccessTokenRow>(
    `/* createAccessToken */ insert into access_tokens (account_id, name, token_hash, prefix, expires_at)
     values ($1, $2, $3, $4, $5) returning ${COLUMNS}`,
    [accountId, name, hashToken(token), token.slice(0, PREFIX_LENGTH), expiresAt],
  );
  if (!accessToken) throw new Error("an insert returned no row");
  return { accessToken, token };
}

/** Newest first. */
export async function listAccessTokens(db: Queryable, accountId: string): Promise<AccessTokenRow[]> {
  return db.query<AccessTokenRow>(
    `/* listAccessTokens */ select ${COLUMNS} from access_tokens where account_id = $1 order by created_at desc, id`,
    [accountId],
  );
}

/** Null when the account has no such token. */
export async function deleteAccessToken(tx: Queryable, accountId: string, id: string): Promise<AccessTokenRow | null> {
  const [row] = await tx.query<AccessTokenRow>(
    `/* deleteAccessToken */ delete from access_tokens where account_id = $1 and id = $2 returning ${COLUMNS}`,
    [accountId, id],
  );
  return row ?? null;
}
