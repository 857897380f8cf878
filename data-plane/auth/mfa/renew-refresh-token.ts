/** After a second factor the refresh token of before must not lead into the raised session. */
import { type Executor, sql } from "../database/sql.ts";
import { unexpectedFailure } from "../errors.ts";
import { createRefreshTokenKey, encodeRefreshToken } from "../tokens/refresh-token.ts";

/**
 * The session gets a new key, so that no token of before is forgiven as a second use; the counter moves on by two, as
 * GoTrue has it. Tokens of version 1 are deleted: the session goes on with version 2.
 */
export async function renewRefreshToken(transaction: Executor, sessionId: string, now: Date): Promise<string> {
  const key = createRefreshTokenKey();
  const [renewed] = await transaction.run(
    sql<{ counter: number }>(
      `/* renewRefreshToken */ update auth.sessions
       set refresh_token_hmac_key = $2, refresh_token_counter = coalesce(refresh_token_counter, 0) + 2, updated_at = $3
       where id = $1 returning json_build_object('counter', refresh_token_counter) as row`,
      [sessionId, key.toString("base64url"), now],
    ),
  );
  if (!renewed) throw unexpectedFailure("Database error updating session");
  await transaction.run(
    sql(`/* deleteTokensOfSession */ delete from auth.refresh_tokens where session_id = $1`, [sessionId]),
  );
  return encodeRefreshToken(sessionId, renewed.counter, key);
}
