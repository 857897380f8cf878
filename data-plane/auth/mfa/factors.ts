/** A user's second factors: enrolling, challenging, verifying, giving up. */
import { randomUUID } from "node:crypto";
import { renderSVG } from "uqr";
import { z } from "zod";
import type { ServiceResponse } from "../../service.ts";
import { audit } from "../audit/audit.ts";
import { type AuthContext, addressOf } from "../context.ts";
import { databaseStep, isUniqueViolation } from "../database/failures.ts";
import type { Executor } from "../database/sql.ts";
import { AuthError } from "../errors.ts";
import { readBody, text } from "../http/body.ts";
import { json } from "../http/responses.ts";
import { limitByAddress, limitFactorGuesses } from "../limits/limits.ts";
import { type AuthenticatedUser, requirePermanentUser } from "../sessions/bearer.ts";
import { findSession, type SessionOwner } from "../sessions/refresh-queries.ts";
import { addProof, type IssuedSession, tokenResponse } from "../sessions/session.ts";
import { isUuid, parsePathId } from "../users/identifiers.ts";
import { isOver } from "../users/times.ts";
import { type FactorRow, hasVerifiedFactor } from "../users/user.ts";
import {
  acceptFactor,
  type ChallengeRow,
  deleteChallenge,
  deleteFactor,
  deleteStaleFactors,
  downgradeSessions,
  findFactors,
  findUsedStep,
  insertChallenge,
  insertTotpFactor,
  lockChallenge,
  lockFactor,
} from "./factor-queries.ts";
import { renewRefreshToken } from "./renew-refresh-token.ts";
import { createTotpSecret, findTotpStep, totpUri } from "./totp.ts";

const MAX_FACTORS = 10;
const LIFETIME_MS = 300_000;
const NO_ADDRESS = "0.0.0.0";

const factorNotFound = (): AuthError => new AuthError("mfa_factor_not_found", "Factor not found");

const isRaised = ({ session }: AuthenticatedUser): boolean => session?.aal === "aal2" || session?.aal === "aal3";

const EnrollBody = z.object({ factor_type: text, friendly_name: text, issuer: text, phone: text });

/** POST /factors. */
export async function enrollFactor(context: AuthContext): Promise<ServiceResponse> {
  const bearer = await requirePermanentUser(context);
  const body = await readBody(context.request, EnrollBody);
  switch (body.factor_type) {
    case "totp":
      return enrollTotp(context, bearer, body);
    case "phone":
      throw new AuthError("mfa_phone_enroll_not_enabled", "MFA enroll is disabled for Phone");
    case "webauthn":
      throw new AuthError("mfa_webauthn_enroll_not_enabled", "MFA enroll is disabled for WebAuthn");
    default:
      throw new AuthError("validation_failed", "factor_type needs to be totp, phone, or webauthn");
  }
}

async function enrollTotp(
  context: AuthContext,
  bearer: AuthenticatedUser,
  { friendly_name: name, issuer: issuerText }: z.output<typeof EnrollBody>,
): Promise<ServiceResponse> {
  const { database, now, settings, project } = context;
  const { user } = bearer;
  const id = randomUUID();
  const secret = createTotpSecret();
  const issuer = issuerText || hostOf(settings.siteUrl) || hostOf(project.publicUrl);
  const uri = totpUri({ secret, issuer, account: user.email || user.phone || user.id });
  const enroll = database.transaction(async (transaction) => {
    await transaction.run(deleteStaleFactors(user.id, new Date(now.getTime() - LIFETIME_MS)));
    checkEnrollment(bearer, await transaction.run(findFactors(user.id)), name);
    await transaction.run(insertTotpFactor({ id, userId: user.id, name, secret }, now));
    for (const entry of audit(context, user, "factor_in_progress", { factor_id: id })) await transaction.run(entry);
  });
  await databaseStep("Database error creating factor", enroll).catch((error: AuthError) => {
    throw isUniqueViolation(error.cause) ? nameConflict(name) : error;
  });
  const qrCode = renderSVG(uri, { border: 4 });
  return json({ id, type: "totp", friendly_name: name, totp: { qr_code: qrCode, secret, uri } });
}

const hostOf = (url: string): string => (URL.canParse(url) ? new URL(url).host : "");

const nameConflict = (name: string): AuthError =>
  new AuthError("mfa_factor_name_conflict", `A factor with the friendly name "${name}" for this user already exists`);

function checkEnrollment(bearer: AuthenticatedUser, factors: readonly FactorRow[], name: string): void {
  if (factors.some((factor) => (factor.friendly_name ?? "") === name)) throw nameConflict(name);
  if (factors.length >= MAX_FACTORS) {
    throw new AuthError(
      "too_many_enrolled_mfa_factors",
      "Maximum number of enrolled factors reached, unenroll to continue",
    );
  }
  if (hasVerifiedFactor({ ...bearer, factors }) && !isRaised(bearer)) {
    throw new AuthError("insufficient_aal", "AAL2 required to enroll a new factor", { status: 403 });
  }
}

/** POST /factors/:id/challenge. */
export async function challengeFactor(context: AuthContext): Promise<ServiceResponse> {
  limitByAddress(context, "factor_challenge");
  const bearer = await requirePermanentUser(context);
  const factor = findOwnFactor(context, bearer);
  const id = randomUUID();
  const { now } = context;
  await databaseStep(
    "Database error creating challenge",
    context.database.batch([
      ...insertChallenge({ id, factorId: factor.id, address: addressOf(context) ?? NO_ADDRESS }, now),
      ...audit(context, bearer.user, "challenge_created", { factor_id: factor.id, factor_status: factor.status }),
    ]),
  );
  return json({ id, type: factor.factor_type, expires_at: Math.floor((now.getTime() + LIFETIME_MS) / 1000) });
}

function findOwnFactor({ params }: AuthContext, { factors }: AuthenticatedUser): FactorRow {
  const id = parsePathId(params.factorId, "factor_id");
  const factor = factors.find((one) => one.id === id);
  if (!factor) throw factorNotFound();
  return factor;
}

const VerifyBody = z.object({ challenge_id: text, code: text });

type Verification =
  | { readonly kind: "accepted"; readonly owner: SessionOwner; readonly session: IssuedSession }
  /** Told after the transaction, so that what it did is kept. */
  | { readonly kind: "refused"; readonly error: AuthError };

/** POST /factors/:id/verify. */
export async function verifyFactor(context: AuthContext): Promise<ServiceResponse> {
  limitByAddress(context, "factor_verify");
  const bearer = await requirePermanentUser(context);
  const { id: factorId } = findOwnFactor(context, bearer);
  const guess = limitFactorGuesses(context, factorId);
  const { challenge_id: challengeId, code } = await readBody(context.request, VerifyBody);
  if (!code) throw new AuthError("validation_failed", "Code needs to be non-empty");
  const { session } = bearer;
  if (!session) throw new AuthError("session_not_found", "Session from session_id claim in JWT does not exist");
  const verification = await databaseStep(
    "Database error verifying factor",
    context.database.transaction(async (transaction): Promise<Verification> => {
      const [factor] = await transaction.run(lockFactor(factorId, bearer.user.id));
      if (!factor) throw factorNotFound();
      const [challenge] = isUuid(challengeId) ? await transaction.run(lockChallenge(challengeId, factorId)) : [];
      const judged = await judgeAnswer(context, transaction, factor, challenge, code);
      if (judged instanceof AuthError) return { kind: "refused", error: judged };
      return accept(context, transaction, bearer, { factor, challengeId, sessionId: session.id, step: judged });
    }),
  );
  if (verification.kind === "refused") throw verification.error;
  guess.wasRight();
  return json(await tokenResponse(context, verification.owner.record, verification.session));
}

/** The time step of an answer that is right and has not been given before. */
async function judgeAnswer(
  context: AuthContext,
  transaction: Executor,
  factor: FactorRow,
  challenge: ChallengeRow | undefined,
  code: string,
): Promise<AuthError | number> {
  const { now } = context;
  if (!challenge) {
    const text = "MFA factor with the provided challenge ID not found";
    return new AuthError("mfa_factor_not_found", text, { status: 422 });
  }
  if (challenge.verified_at !== null || challenge.ip_address !== (addressOf(context) ?? NO_ADDRESS)) {
    return new AuthError("mfa_ip_address_mismatch", "Challenge and verify IP addresses mismatch.");
  }
  if (isOver(challenge.created_at, LIFETIME_MS, now)) {
    await transaction.run(deleteChallenge(challenge.id));
    return new AuthError(
      "mfa_challenge_expired",
      `MFA challenge ${challenge.id} has expired, verify against another challenge or create a new challenge.`,
    );
  }
  const step = factor.secret ? findTotpStep(factor.secret, code, now) : null;
  const used = step === null ? [] : await transaction.run(findUsedStep(factor.id, step, now));
  if (step === null || used.length > 0) return new AuthError("mfa_verification_failed", "Invalid TOTP code entered");
  return step;
}

async function accept(
  context: AuthContext,
  transaction: Executor,
  bearer: AuthenticatedUser,
  answered: { factor: FactorRow; challengeId: string; sessionId: string; step: number },
): Promise<Verification> {
  const { now } = context;
  const { factor, challengeId, sessionId } = answered;
  const statements = [
    ...audit(context, bearer.user, "verification_attempted", { factor_id: factor.id, challenge_id: challengeId }),
    ...acceptFactor(answered, now),
    addProof(sessionId, "totp", now),
  ];
  for (const statement of statements) await transaction.run(statement);
  const refreshToken = await renewRefreshToken(transaction, sessionId, now);
  const [owner] = await transaction.run(findSession(sessionId));
  if (!owner) throw new AuthError("session_not_found", "Session from session_id claim in JWT does not exist");
  return { kind: "accepted", owner, session: { id: sessionId, refreshToken, amr: owner.amr } };
}

/** DELETE /factors/:id. */
export async function unenrollFactor(context: AuthContext): Promise<ServiceResponse> {
  const bearer = await requirePermanentUser(context);
  const factor = findOwnFactor(context, bearer);
  if (factor.status === "verified" && !isRaised(bearer)) {
    throw new AuthError("insufficient_aal", "AAL2 required to unenroll verified factor", { status: 422 });
  }
  await databaseStep(
    "Database error deleting factor",
    context.database.batch([
      ...downgradeSessions(factor.id, proofOf(factor)),
      deleteFactor(factor.id),
      ...audit(context, bearer.user, "factor_unenrolled", {
        factor_id: factor.id,
        factor_status: factor.status,
        session_id: bearer.session?.id,
      }),
    ]),
  );
  return json({ id: factor.id });
}

/** How a session says that it has shown a factor of this type. */
export const proofOf = ({ factor_type: type }: FactorRow): string => (type === "totp" ? "totp" : `mfa/${type}`);
