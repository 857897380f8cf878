/** What a handler works with: one request of one project, and the shared parts of the process. */

import { isIP } from "node:net";
import type { Logger } from "pino";
import type { AuthSettings, ServiceSnapshot } from "../../control-plane/client/config-snapshot.ts";
import { ThreadQueueFull } from "../../control-plane/client/fair-threads.ts";
import type { ServiceRequest, ServiceResponse } from "../service.ts";
import type { AuthDatabase } from "./database/sql.ts";
import { AuthError } from "./errors.ts";
import type { RateLimiter } from "./limits/rate-limiter.ts";
import type { Mailer } from "./mail/mailer.ts";
import type { Delivery, OutgoingMail } from "./mail/smtp.ts";
import type { PasswordHasher } from "./passwords/hash-pool.ts";
import { chooseRedirect } from "./redirects/redirect-url.ts";
import type { AccessTokens } from "./tokens/access-token.ts";

/** Shared by all requests of the process. */
export interface AuthParts {
  readonly tokens: AccessTokens;
  readonly hasher: PasswordHasher;
  readonly limiter: RateLimiter;
  readonly mailer: Mailer;
  /** At once and past the outbox: what the server says is the answer. */
  readonly sendTestMail: (project: ServiceSnapshot, mail: OutgoingMail) => Promise<Delivery>;
  readonly logger: Logger;
}

export interface AuthContext {
  readonly request: ServiceRequest;
  readonly project: ServiceSnapshot;
  readonly settings: AuthSettings;
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly now: Date;
  readonly database: AuthDatabase;
  readonly parts: AuthParts;
  /** Aborted when the request has taken too long. */
  readonly signal: AbortSignal;
}

export type Handler = (context: AuthContext) => Promise<ServiceResponse> | ServiceResponse;

/** `aud` of every user and token: one audience a project. */
export const AUDIENCE = "authenticated";
/** `role` of a user unless an administrator sets another. */
export const DEFAULT_ROLE = "authenticated";
/** Written to every row; GoTrue filters on it. */
export const NIL_UUID = "00000000-0000-0000-0000-000000000000";

/** Where this project's auth service is reached from outside, such as `https://<host>/auth/v1`. */
export const externalUrl = ({ project }: AuthContext): string => `${project.publicUrl}/auth/v1`;

/** The caller's address for `inet` columns; null when it is not one. */
export const addressOf = ({ request }: AuthContext): string | null =>
  isIP(request.clientAddress) ? request.clientAddress : null;

/** Where a link of this request ends: `redirect_to` as header, query or body field, then the referer, then the site. */
export function redirectTarget({ request, query, settings }: AuthContext, fromBody?: string): string {
  const { redirect_to: header, referer } = request.headers;
  return chooseRedirect([header, query.get("redirect_to") ?? undefined, fromBody, referer], settings);
}

export function hashPassword(context: AuthContext, password: string): Promise<string> {
  const { parts, project } = context;
  return parts.hasher.hash(project.projectRef, password, givenUp(context)).catch(refuseOverload);
}

/** Of no password: verified against when there is no user, so that unknown addresses take as long as known ones. */
const DUMMY_HASH = "$2b$10$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

/** False for an absent hash too, after the same time. */
export async function verifyPassword(context: AuthContext, password: string, hash: string | null): Promise<boolean> {
  const { parts, project } = context;
  const matches = await parts.hasher
    .verify(project.projectRef, password, hash || DUMMY_HASH, givenUp(context))
    .catch(refuseOverload);
  return matches && Boolean(hash);
}

/** A password whose request is over, or whose sender has gone, is not worth hashing any more. */
const givenUp = ({ signal, request }: AuthContext): AbortSignal => AbortSignal.any([signal, request.signal]);

function refuseOverload(error: unknown): never {
  if (!(error instanceof ThreadQueueFull)) throw error;
  if (error.scope === "own") {
    throw new AuthError("over_request_rate_limit", "Request rate limit reached", { cause: error });
  }
  throw new AuthError("unexpected_failure", "The service is overloaded, please retry after a moment.", {
    status: 503,
    cause: error,
  });
}
