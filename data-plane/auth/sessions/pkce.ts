/** The PKCE flow: a challenge is kept with the mail that was asked for, the link gives a code, the code and verifier a session. */
import { createHash, randomUUID, timingSafeEqual } from "node:crypto";
import type { AuthContext } from "../context.ts";
import { type Sql, sql } from "../database/sql.ts";
import { AuthError } from "../errors.ts";
import type { SignInMethod } from "./session.ts";

export interface PkceChallenge {
  readonly challenge: string;
  readonly method: "s256" | "plain";
}

/** Null for the implicit flow: neither parameter was given. @throws {AuthError} `validation_failed`. */
export function parseChallenge(body: { code_challenge: string; code_challenge_method: string }): PkceChallenge | null {
  const { code_challenge: challenge, code_challenge_method: methodText } = body;
  if (challenge === "" && methodText === "") return null;
  if (challenge === "" || methodText === "") {
    throw new AuthError("validation_failed", "PKCE flow requires code_challenge_method and code_challenge");
  }
  if (challenge.length < 43 || challenge.length > 128) {
    throw new AuthError("validation_failed", "code challenge has to be between 43 and 128 characters");
  }
  if (!/^[A-Za-z0-9._~-]+$/.test(challenge)) {
    throw new AuthError(
      "validation_failed",
      "code challenge can only contain alphanumeric characters, hyphens, periods, underscores and tildes",
    );
  }
  const method = methodText.toLowerCase();
  if (method !== "s256" && method !== "plain") {
    throw new AuthError("validation_failed", `unsupported code_challenge method "${methodText}"`);
  }
  return { challenge, method };
}

/** True when the verifier is the one the challenge was made of. */
export function matchesChallenge(verifier: string, { challenge, method }: PkceChallenge): boolean {
  const expected = method === "s256" ? createHash("sha256").update(verifier).digest("base64url") : verifier;
  const [left, right] = [Buffer.from(expected), Buffer.from(challenge)];
  return left.length === right.length && timingSafeEqual(left, right);
}

export interface FlowState {
  readonly id: string;
  readonly user_id: string | null;
  readonly auth_code: string;
  readonly code_challenge: string;
  readonly code_challenge_method: "s256" | "plain";
  readonly authentication_method: SignInMethod;
  readonly created_at: string;
  readonly auth_code_issued_at: string | null;
}

export const insertFlowState = (
  userId: string,
  method: SignInMethod,
  { challenge, method: challengeMethod }: PkceChallenge,
  { now }: AuthContext,
): Sql<never> =>
  sql(
    `/* insertFlowState */ insert into auth.flow_state
       (id, user_id, auth_code, code_challenge_method, code_challenge, provider_type, authentication_method,
        created_at, updated_at, email_optional)
     values ($1, $2, $3, $4, $5, $6, $6, $7, $7, false)`,
    [randomUUID(), userId, randomUUID(), challengeMethod, challenge, method, now],
  );

/** Gives out the code of the newest flow that the user started by such a mail. */
export const issueAuthCode = (userId: string, method: SignInMethod, now: Date): Sql<{ auth_code: string }> =>
  sql(
    `/* issueAuthCode */ update auth.flow_state set auth_code_issued_at = $3, updated_at = $3
     where id = (select f.id from auth.flow_state f where f.user_id = $1 and f.authentication_method = $2
                 order by f.created_at desc limit 1)
     returning json_build_object('auth_code', auth_code) as row`,
    [userId, method, now],
  );

/** Holds the row, so that of two exchanges of one code the second finds nothing. */
export const lockFlowState = (authCode: string): Sql<FlowState> =>
  sql(`/* lockFlowState */ select to_json(f) as row from auth.flow_state f where f.auth_code = $1 for update`, [
    authCode,
  ]);

export const deleteFlowState = (id: string): Sql<never> =>
  sql(`/* deleteFlowState */ delete from auth.flow_state where id = $1`, [id]);
