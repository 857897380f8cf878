/** POST /token?grant_type=pkce: the code of a link and the verifier of its challenge become a session, once. */
import { z } from "zod";
import type { ServiceResponse } from "../../service.ts";
import { audit } from "../audit/audit.ts";
import type { AuthContext } from "../context.ts";
import { AuthError } from "../errors.ts";
import { readBody, text } from "../http/body.ts";
import { json } from "../http/responses.ts";
import { isUuid } from "../users/identifiers.ts";
import { saveUserWithin } from "../users/save-user.ts";
import { isOver } from "../users/times.ts";
import { isBanned } from "../users/user.ts";
import { findUserById } from "../users/user-queries.ts";
import { deleteFlowState, type FlowState, lockFlowState, matchesChallenge } from "./pkce.ts";
import { beginSession, tokenResponse } from "./session.ts";

const Body = z.object({ auth_code: text, code_verifier: text });

/** A link may be opened long after it was asked for: the time runs from the moment the code was given out. */
const CODE_LIFETIME_MS = 5 * 60_000;

export async function exchangeCode(context: AuthContext): Promise<ServiceResponse> {
  const { auth_code: code, code_verifier: verifier } = await readBody(context.request, Body);
  if (!code || !verifier) {
    throw new AuthError("validation_failed", "invalid request: both auth code and code verifier should be non-empty");
  }
  const { record, session } = await context.database.transaction(async (transaction) => {
    const [locked] = isUuid(code) ? await transaction.run(lockFlowState(code)) : [];
    const flow = checkFlow(locked, verifier, context.now);
    const userId = flow.user_id;
    const [found] = await transaction.run(findUserById(userId));
    if (!found) throw flowNotFound();
    if (isBanned(found.user, context.now)) throw new AuthError("user_banned", "User is banned");
    const begun = beginSession(context, userId, flow.authentication_method);
    const saved = await saveUserWithin(transaction, userId, [
      deleteFlowState(flow.id),
      ...audit(context, found.user, "login", { provider_type: flow.authentication_method }),
      ...begun.statements,
    ]);
    return { record: saved, session: begun };
  });
  return json(await tokenResponse(context, record, session));
}

const flowNotFound = (): AuthError =>
  new AuthError("flow_state_not_found", "invalid flow state, no valid flow state found");

/** The flow whose code this is, and its user. @throws {AuthError} unless the verifier is right and the code fresh. */
function checkFlow(flow: FlowState | undefined, verifier: string, now: Date): FlowState & { user_id: string } {
  if (!flow?.user_id || !flow.auth_code_issued_at) throw flowNotFound();
  if (isOver(flow.auth_code_issued_at, CODE_LIFETIME_MS, now)) {
    throw new AuthError("flow_state_expired", "invalid flow state, flow state has expired");
  }
  const challenge = { challenge: flow.code_challenge, method: flow.code_challenge_method };
  if (!matchesChallenge(verifier, challenge)) {
    throw new AuthError("bad_code_verifier", "code challenge does not match previously saved code verifier");
  }
  return { ...flow, user_id: flow.user_id };
}
