/**
 * POST /token?grant_type=refresh_token. A token is good for one refresh. A second use is forgiven when the client can
 * only have lost the answer, or when its tabs refreshed at the same moment; otherwise the token was stolen, and the
 * session ends for both.
 */
import { setTimeout as wait } from "node:timers/promises";
import { z } from "zod";
import type { ServiceResponse } from "../../service.ts";
import { audit } from "../audit/audit.ts";
import type { AuthContext } from "../context.ts";
import { databaseStep } from "../database/failures.ts";
import { AuthError } from "../errors.ts";
import { readBody, text } from "../http/body.ts";
import { json } from "../http/responses.ts";
import {
  createV1RefreshToken,
  encodeRefreshToken,
  isSignedWith,
  parseRefreshToken,
  type RefreshToken,
} from "../tokens/refresh-token.ts";
import { isOver } from "../users/times.ts";
import { isBanned } from "../users/user.ts";
import { findExpiry, lastRefresh } from "./bearer.ts";
import {
  advanceSession,
  deleteRefreshToken,
  deleteSession,
  findActiveToken,
  findNewerSession,
  findRefreshToken,
  findSession,
  insertRefreshToken,
  lockRefreshToken,
  type RefreshTokenRow,
  revokeToken,
  revokeTokensOfSession,
  type SessionOwner,
  touchSession,
} from "./refresh-queries.ts";
import { tokenResponse } from "./session.ts";

const Body = z.object({ refresh_token: text });

/** How long a refresh waits for others of the same session. */
const CONTENTION_LIMIT_MS = 5000;

export async function refresh(context: AuthContext): Promise<ServiceResponse> {
  const { refresh_token: tokenText } = await readBody(context.request, Body);
  const token = parseRefreshToken(tokenText);
  if (!token) throw new AuthError("validation_failed", "Refresh token is not valid");
  const { owner, refreshToken } = await untilUncontended(() =>
    token.version === 2 ? refreshSigned(context, token) : refreshStored(context, token.token),
  );
  const { record, session, amr } = owner;
  return json(await tokenResponse(context, record, { id: session.id, refreshToken, amr }));
}

interface Refreshed {
  readonly owner: SessionOwner;
  readonly refreshToken: string;
}

const CONTENDED = Symbol("another refresh of the session is under way");

/** Waits here rather than in a lock, which would hold one of the project's few connections. */
async function untilUncontended(attempt: () => Promise<Refreshed | typeof CONTENDED>): Promise<Refreshed> {
  const deadline = performance.now() + CONTENTION_LIMIT_MS;
  for (;;) {
    const result = await attempt();
    if (result !== CONTENDED) return result;
    if (performance.now() > deadline) {
      throw new AuthError(
        "conflict",
        "Too many concurrent token refresh requests on the same session or refresh token",
      );
    }
    await wait(10 + Math.random() * 20);
  }
}

const notFound = (): AuthError =>
  new AuthError("refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found");

const alreadyUsed = (): AuthError => new AuthError("refresh_token_already_used", "Invalid Refresh Token: Already Used");

/** @throws {AuthError} when the session may not be refreshed, however good the token. */
async function checkSession(context: AuthContext, { session, record }: SessionOwner): Promise<void> {
  if (isBanned(record.user, context.now)) {
    throw new AuthError("user_banned", "Invalid Refresh Token: User Banned", { status: 400 });
  }
  const expiry = findExpiry(session, context);
  if (expiry) {
    const detail = expiry === "inactivity" ? " (Inactivity)" : "";
    throw new AuthError("session_expired", `Invalid Refresh Token: Session Expired${detail}`);
  }
  if (session.oauth_client_id !== null) throw notFound(); // of an OAuth client, which cannot refresh here
  if (!context.settings.sessionsSinglePerUser) return;
  const [newer] = await context.database.run(findNewerSession(session));
  if (newer) {
    throw new AuthError("session_expired", "Invalid Refresh Token: Session Expired (Revoked by Newer Login)");
  }
}

function isWithinReuseInterval({ settings, now }: AuthContext, since: string): boolean {
  return !isOver(since, settings.refreshTokenReuseIntervalSeconds * 1000, now);
}

/** Version 2: one read, one conditional update. */
async function refreshSigned(
  context: AuthContext,
  token: RefreshToken & { version: 2 },
): Promise<Refreshed | typeof CONTENDED> {
  const { database, settings } = context;
  const [owner] = await databaseStep("Database error finding session", database.run(findSession(token.sessionId)));
  const keyText = owner?.session.refresh_token_hmac_key;
  if (!owner || !keyText) throw notFound();
  const key = Buffer.from(keyText, "base64url");
  if (!isSignedWith(token, key)) throw notFound();
  await checkSession(context, owner);

  const { session, record } = owner;
  const counter = session.refresh_token_counter ?? 0;
  const behind = counter - token.counter;
  if (behind < 0) {
    throw new AuthError("validation_failed", "Invalid Refresh Token: Not Issued By This Server");
  }
  const isForgiven = behind === 1 || isWithinReuseInterval(context, lastRefresh(session));
  if (behind > 0 && !isForgiven) {
    if (settings.refreshTokenRotationEnabled) {
      await database.batch([deleteSession(session.id), ...audit(context, record.user, "token_revoked")]);
    }
    throw alreadyUsed();
  }
  // A forgiven use leaves the time of the last refresh alone: else a stolen token could keep its own grace alive.
  if (behind > 0) return { owner, refreshToken: encodeRefreshToken(session.id, counter, key) };
  const [advanced] = await databaseStep(
    "Database error refreshing session",
    database.batch([advanceSession(context, session.id, counter), ...audit(context, record.user, "token_refreshed")]),
  );
  if (advanced?.length !== 1) return CONTENDED; // another refresh was first: look again, this one has become a second use
  return { owner, refreshToken: encodeRefreshToken(session.id, counter + 1, key) };
}

/** Version 1: a row for each token, the spent ones revoked. */
async function refreshStored(context: AuthContext, tokenText: string): Promise<Refreshed | typeof CONTENDED> {
  const { database } = context;
  const [found] = await databaseStep("Database error finding refresh token", database.run(findRefreshToken(tokenText)));
  if (!found) throw notFound();
  if (!found.owner) {
    await database.run(deleteRefreshToken(found.token.id));
    throw new AuthError("session_not_found", "Invalid Refresh Token: No Valid Session Found", { status: 400 });
  }
  const { owner } = found;
  await checkSession(context, owner);
  // The revocation of a stolen token must be kept although the request fails: so it is answered, not thrown, inside.
  const outcome = await database.transaction(async (transaction) => {
    const [token] = await transaction.run(lockRefreshToken(tokenText));
    if (!token) return CONTENDED;
    const [active] = await transaction.run(findActiveToken(owner.session.id));
    const decision = decideRotation(context, token, active);
    const run = async (...statements: Parameters<typeof transaction.run>[0][]) => {
      for (const statement of statements) await transaction.run(statement);
    };
    if (decision.kind === "abuse") {
      if (context.settings.refreshTokenRotationEnabled) {
        await run(
          revokeTokensOfSession(owner.session.id, context.now),
          ...audit(context, owner.record.user, "token_revoked"),
        );
      }
      return decision;
    }
    if (decision.kind === "issue") {
      const parent = { parent: token.token, sessionId: owner.session.id, userId: owner.record.user.id };
      await run(
        revokeToken(token.id, context.now),
        insertRefreshToken(decision.token, parent, context.now),
        ...audit(context, owner.record.user, "token_revoked"),
      );
    }
    await run(touchSession(context, owner.session.id), ...audit(context, owner.record.user, "token_refreshed"));
    return decision;
  });
  if (outcome === CONTENDED) return CONTENDED;
  if (outcome.kind === "abuse") throw alreadyUsed();
  return { owner, refreshToken: outcome.token };
}

type Rotation =
  | { readonly kind: "issue"; readonly token: string }
  | { readonly kind: "repeat"; readonly token: string }
  | { readonly kind: "abuse" };

function decideRotation(context: AuthContext, token: RefreshTokenRow, active: RefreshTokenRow | undefined): Rotation {
  if (!token.revoked) return { kind: "issue", token: createV1RefreshToken() };
  if (!active) return { kind: "abuse" }; // all were revoked, a moment ago perhaps: no interval brings them back
  if (active.parent === token.token) return { kind: "repeat", token: active.token }; // the answer was lost
  return isWithinReuseInterval(context, token.updated_at)
    ? { kind: "issue", token: createV1RefreshToken() }
    : { kind: "abuse" };
}
