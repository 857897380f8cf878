/** POST /verify and GET /verify: a code or a link becomes a session, once. */
import { z } from "zod";
import type { ServiceResponse } from "../../service.ts";
import { type AuthContext, redirectTarget } from "../context.ts";
import { databaseFailure } from "../database/failures.ts";
import type { Executor } from "../database/sql.ts";
import { AuthError } from "../errors.ts";
import { readBody, text } from "../http/body.ts";
import { json, seeOther } from "../http/responses.ts";
import { limitByAddress, limitCodeGuesses } from "../limits/limits.ts";
import { issueAuthCode } from "../sessions/pkce.ts";
import { beginSession, type IssuedSession, type SignInMethod, tokenResponse } from "../sessions/session.ts";
import { isPkceHash } from "../tokens/one-time-token.ts";
import { parseEmail, parsePhone } from "../users/identifiers.ts";
import { asTakenAddress, saveUserWithin } from "../users/save-user.ts";
import { isBanned, type UserRecord } from "../users/user.ts";
import { checkCode, checkHash, isVerifyType, type PresentedToken, type VerifyType } from "./check-token.ts";
import { confirm } from "./confirm.ts";
import { errorRedirect, messageRedirect, withFragment, withQuery } from "./redirect-answers.ts";

const HALF_CONFIRMED = "Confirmation link accepted. Please proceed to confirm link sent to the other email";

type Outcome =
  | { readonly kind: "session"; readonly record: UserRecord; readonly session: IssuedSession }
  | { readonly kind: "code"; readonly code: string }
  | { readonly kind: "half" };

/** Consumes the token, confirms the user and begins the session in one transaction: of two attempts only one succeeds. */
async function useToken(
  context: AuthContext,
  check: (transaction: Executor) => Promise<PresentedToken>,
  mode: "session" | "code_if_pkce",
): Promise<Outcome> {
  const work = context.database.transaction(async (transaction): Promise<Outcome> => {
    const token = await check(transaction);
    const { user } = token.record;
    if (isBanned(user, context.now)) throw new AuthError("user_banned", "User is banned");
    const { kind, statements } = confirm(context, token);
    if (kind === "half") {
      await saveUserWithin(transaction, user.id, statements);
      return { kind };
    }
    if (mode === "code_if_pkce" && isPkceHash(token.storedHash)) {
      await saveUserWithin(transaction, user.id, statements);
      const [flow] = await transaction.run(issueAuthCode(user.id, flowMethod(token.type), context.now));
      if (!flow) throw new AuthError("flow_state_not_found", "No valid flow state found for user");
      return { kind: "code", code: flow.auth_code };
    }
    const session = beginSession(context, user.id, "otp");
    const record = await saveUserWithin(transaction, user.id, [...statements, ...session.statements]);
    return { kind: "session", record, session };
  });
  return work.catch((error) => Promise.reject(asTakenAddress(error)));
}

function flowMethod(type: PresentedToken["type"]): SignInMethod {
  if (type === "signup") return "email/signup";
  return type === "sms" || type === "phone_change" ? "otp" : type;
}

const Body = z.object({ type: text, token: text, token_hash: text, email: text, phone: text, redirect_to: text });

export async function verifyToken(context: AuthContext): Promise<ServiceResponse> {
  limitByAddress(context, "verify");
  const body = await readBody(context.request, Body);
  const check = parseCheck(context, body);
  const outcome = await useToken(context, check, "session");
  if (outcome.kind === "session") return json(await tokenResponse(context, outcome.record, outcome.session));
  return json({ msg: HALF_CONFIRMED, code: "200" });
}

function parseCheck(
  context: AuthContext,
  body: z.output<typeof Body>,
): (transaction: Executor) => Promise<PresentedToken> {
  const invalid = (message: string): AuthError => new AuthError("validation_failed", message);
  if (!body.type) throw invalid("Verify requires a verification type");
  if (Boolean(body.token) === Boolean(body.token_hash)) {
    throw invalid("Verify requires either a token or a token hash");
  }
  const { type } = body;
  if (body.token_hash) {
    if (body.email || body.phone || body.redirect_to) {
      throw invalid("Only the token_hash and type should be provided");
    }
    const linkType = parseLinkType(type);
    return (transaction) => checkHash(context, transaction, linkType, body.token_hash);
  }
  if (Boolean(body.email) === Boolean(body.phone)) {
    throw invalid("Only an email address or phone number should be provided on verify");
  }
  const address = body.phone ? parsePhone(body.phone) : parseVerifiedEmail(body.email);
  if (!isVerifyType(type) || (type === "sms" || type === "phone_change") !== Boolean(body.phone)) {
    throw new AuthError("otp_expired", "Token has expired or is invalid");
  }
  limitCodeGuesses(context, address);
  return (transaction) => checkCode(context, transaction, type, address, body.token);
}

/** Links are mailed: a type of text messages has none. */
function parseLinkType(type: string): VerifyType {
  if (!isVerifyType(type) || type === "sms" || type === "phone_change") {
    throw new AuthError("validation_failed", "Invalid email verification type");
  }
  return type;
}

function parseVerifiedEmail(emailText: string): string {
  try {
    return parseEmail(emailText);
  } catch (error) {
    throw new AuthError("validation_failed", "Invalid email format", { status: 422, cause: error });
  }
}

/** What the browser opens from a mail. It always goes on to the redirect, with tokens, a code or an error. */
export async function followLink(context: AuthContext): Promise<ServiceResponse> {
  const { query } = context;
  const [token, typeText] = [query.get("token") ?? "", query.get("type") ?? ""];
  if (!typeText) throw new AuthError("validation_failed", "Verify requires a verification type");
  if (!token) throw new AuthError("validation_failed", "Verify requires a token or a token hash");
  const target = redirectTarget(context);
  const isPkce = isPkceHash(token);
  try {
    limitByAddress(context, "verify");
    const type = parseLinkType(typeText);
    const outcome = await useToken(
      context,
      (transaction) => checkHash(context, transaction, type, token),
      "code_if_pkce",
    );
    if (outcome.kind === "half") return seeOther(messageRedirect(target, HALF_CONFIRMED, isPkce));
    if (outcome.kind === "code") return seeOther(withQuery(target, { code: outcome.code }));
    const session = await tokenResponse(context, outcome.record, outcome.session);
    return seeOther(sessionRedirect(target, session, typeText));
  } catch (error) {
    const failure = error instanceof AuthError ? error : databaseFailure(error);
    if (!failure) throw error;
    if (failure.status >= 500) context.parts.logger.error({ projectRef: context.project.projectRef }, failure.message);
    return seeOther(errorRedirect(target, failure, isPkce));
  }
}

function sessionRedirect(target: string, session: Record<string, unknown>, type: string): string {
  const { access_token, expires_at, expires_in, refresh_token, token_type } = session;
  const fields = { access_token, expires_at, expires_in, refresh_token, token_type, type, sb: "" };
  return withFragment(target, Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)])));
}
