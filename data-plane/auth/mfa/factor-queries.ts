/** Statements on second factors and their challenges. */
import { type Sql, sql } from "../database/sql.ts";
import type { FactorRow } from "../users/user.ts";

export interface ChallengeRow {
  readonly id: string;
  readonly factor_id: string;
  readonly created_at: string;
  readonly verified_at: string | null;
  readonly ip_address: string;
}

export const insertTotpFactor = (
  { id, userId, name, secret }: { id: string; userId: string; name: string; secret: string },
  now: Date,
): Sql<never> =>
  sql(
    `/* insertTotpFactor */ insert into auth.mfa_factors
       (id, user_id, friendly_name, factor_type, status, secret, created_at, updated_at)
     values ($1, $2, $3, 'totp', 'unverified', $4, $5, $5)`,
    [id, userId, name, secret, now],
  );

/** Factors that were begun and never verified, older than the given moment and without a challenge. */
export const deleteStaleFactors = (userId: string, before: Date): Sql<never> =>
  sql(
    `/* deleteStaleFactors */ delete from auth.mfa_factors f
     where f.user_id = $1 and f.status = 'unverified' and f.created_at < $2
       and not exists (select from auth.mfa_challenges c where c.factor_id = f.id)`,
    [userId, before],
  );

export const findFactors = (userId: string): Sql<FactorRow> =>
  sql(`/* findFactors */ select to_json(f) as row from auth.mfa_factors f where f.user_id = $1 order by f.created_at`, [
    userId,
  ]);

/** Holds the row until the transaction ends. */
export const lockFactor = (id: string, userId: string): Sql<FactorRow> =>
  sql(
    `/* lockFactor */ select to_json(f) as row from auth.mfa_factors f where f.id = $1 and f.user_id = $2 for update`,
    [id, userId],
  );

export const renameFactor = (id: string, name: string, now: Date): Sql<never> =>
  sql(`/* renameFactor */ update auth.mfa_factors set friendly_name = $2, updated_at = $3 where id = $1`, [
    id,
    name,
    now,
  ]);

export const deleteFactor = (id: string): Sql<never> =>
  sql(`/* deleteFactor */ delete from auth.mfa_factors where id = $1`, [id]);

/** Sessions that were raised by the factor fall back to one proof. */
export const downgradeSessions = (factorId: string, method: string): readonly Sql<never>[] => [
  sql(
    `/* removeProofs */ delete from auth.mfa_amr_claims a using auth.sessions s
     where a.session_id = s.id and s.factor_id = $1 and a.authentication_method = $2`,
    [factorId, method],
  ),
  sql(`/* downgradeSessions */ update auth.sessions set aal = 'aal1', factor_id = null where factor_id = $1`, [
    factorId,
  ]),
];

/** `last_challenged_at` is unique over all factors: the clock of the database, not ours, keeps two apart. */
export const insertChallenge = (
  { id, factorId, address }: { id: string; factorId: string; address: string },
  now: Date,
): readonly Sql<never>[] => [
  sql(
    `/* insertChallenge */ insert into auth.mfa_challenges (id, factor_id, created_at, ip_address) values ($1, $2, $3, $4)`,
    [id, factorId, now, address],
  ),
  sql(`/* touchChallenged */ update auth.mfa_factors set last_challenged_at = clock_timestamp() where id = $1`, [
    factorId,
  ]),
];

/** Holds the row, so that one challenge is answered once. */
export const lockChallenge = (id: string, factorId: string): Sql<ChallengeRow> =>
  sql(
    `/* lockChallenge */ select to_json(c) as row from auth.mfa_challenges c where c.id = $1 and c.factor_id = $2 for update`,
    [id, factorId],
  );

/** Whether the code of a time step has raised a session before. The factor's row is locked: nobody else looks meanwhile. */
export const findUsedStep = (factorId: string, step: number, now: Date): Sql<true> =>
  sql(
    `/* findUsedStep */ select to_json(true) as row from auth.mfa_challenges
     where factor_id = $1 and otp_code = $2 and verified_at is not null and created_at > $3::timestamptz - interval '15 min'
     limit 1`,
    [factorId, `totp-step ${step}`, now],
  );

export const deleteChallenge = (id: string): Sql<never> =>
  sql(`/* deleteChallenge */ delete from auth.mfa_challenges where id = $1`, [id]);

/** The factor counts from now on; the session has shown it, other sessions that have not are ended. */
export const acceptFactor = (
  { factor, challengeId, sessionId, step }: { factor: FactorRow; challengeId: string; sessionId: string; step: number },
  now: Date,
): readonly Sql<never>[] => [
  sql(`/* answerChallenge */ update auth.mfa_challenges set verified_at = $2, otp_code = $3 where id = $1`, [
    challengeId,
    now,
    `totp-step ${step}`,
  ]),
  sql(`/* verifyFactor */ update auth.mfa_factors set status = 'verified', updated_at = $2 where id = $1`, [
    factor.id,
    now,
  ]),
  sql(`/* raiseSession */ update auth.sessions set aal = 'aal2', factor_id = $2, updated_at = $3 where id = $1`, [
    sessionId,
    factor.id,
    now,
  ]),
  sql(
    `/* endWeakerSessions */ delete from auth.sessions
     where user_id = $1 and id <> $2 and coalesce(aal, 'aal1') < 'aal2'`,
    [factor.user_id, sessionId],
  ),
  sql(
    `/* deleteUnverifiedFactors */ delete from auth.mfa_factors
     where user_id = $1 and factor_type = $2 and status = 'unverified' and id <> $3`,
    [factor.user_id, factor.factor_type, factor.id],
  ),
];
