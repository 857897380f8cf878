/**
 * The auth service of all projects: GoTrue's wire protocol over schema `auth` of each project's own database. Which
 * project a request is for is the caller's knowledge (its snapshot); nothing of a token decides it.
 */
import { availableParallelism } from "node:os";
import type { Logger } from "pino";
import type { Registry } from "prom-client";
import type { ProjectRef, ServiceSnapshot } from "../../control-plane/client/config-snapshot.ts";
import { DEFAULT_MAXIMA, type Maxima } from "../../control-plane/client/maxima.ts";
import type { ProjectDatabases } from "../database/database.ts";
import { AddressGuard } from "../outgoing/address-guard.ts";
import { BodyAborted, type Service, type ServiceRequest, type ServiceResponse } from "../service.ts";
import type { AuthContext, AuthParts, Handler } from "./context.ts";
import { databaseFailure, TIMEOUT_MESSAGE } from "./database/failures.ts";
import { createAuthDatabase } from "./database/sql.ts";
import { AuthError, errorResponse, OAuthError, unexpectedFailure } from "./errors.ts";
import { methodNotAllowed, notFound } from "./http/responses.ts";
import { createRouter } from "./http/router.ts";
import { createRateLimiter } from "./limits/rate-limiter.ts";
import type { Mailer } from "./mail/mailer.ts";
import { MailOutbox } from "./mail/outbox.ts";
import { sendBySmtp } from "./mail/smtp.ts";
import { createHashPool, DEFAULT_HASH_POOL, type HashPoolOptions } from "./passwords/hash-pool.ts";
import { ROUTES } from "./routes.ts";
import { createAccessTokens } from "./tokens/access-token.ts";

export interface AuthServiceOptions {
  readonly databases: ProjectDatabases;
  readonly now: () => Date;
  readonly logger: Logger;
  /** Left out: one thread for each core. */
  readonly hashing?: Partial<HashPoolOptions>;
  /** Left out: each project's outbox, and from there its mail server. */
  readonly mailer?: Mailer;
  /** Left out: nobody counts. */
  readonly registry?: Registry;
  /** A request that takes longer is answered 504. */
  readonly requestTimeoutMs?: number;
  readonly maxima?: Maxima;
}

export interface AuthService {
  readonly handle: Service;
  /** A project has changed, or is gone. */
  configChanged(ref: ProjectRef, project: ServiceSnapshot | null): void;
  /** Ends the hashing threads; what waits for them fails. The databases stay open: they belong to the caller. */
  close(): Promise<void>;
}

const DEFAULT_REQUEST_TIMEOUT_MS = 10_000;

export function createAuthService(options: AuthServiceOptions): AuthService {
  const { databases, now, logger, maxima = DEFAULT_MAXIMA } = options;
  const hasher = createHashPool({ threads: availableParallelism(), ...DEFAULT_HASH_POOL, ...options.hashing });
  const guard = new AddressGuard(maxima.allowedTargets);
  const outbox = new MailOutbox({
    databases,
    send: (project, mail) => sendBySmtp(guard, project, mail),
    logger,
    ...(options.registry && { registry: options.registry }),
  });
  const parts: AuthParts = {
    tokens: createAccessTokens(maxima.tokenCacheBytes),
    hasher,
    limiter: createRateLimiter(),
    mailer: options.mailer ?? outbox,
    sendTestMail: (project, mail) => sendBySmtp(guard, project, mail),
    logger,
  };
  const findRoute = createRouter(ROUTES);
  const timeoutMs = options.requestTimeoutMs ?? DEFAULT_REQUEST_TIMEOUT_MS;

  async function handle(request: ServiceRequest, project: ServiceSnapshot): Promise<ServiceResponse> {
    const route = findRoute(request.method, request.path);
    if (route.kind === "unknown") return notFound;
    if (route.kind === "wrong_method") return methodNotAllowed(route.methods);
    // A process that has ended may have left mails; nobody looks after a project that nobody uses.
    if (options.mailer === undefined && !outbox.knows(project.projectRef)) outbox.wake(project);
    const given = new AbortController();
    const context: AuthContext = {
      request,
      project,
      settings: project.auth,
      params: route.params,
      query: new URLSearchParams(request.query),
      now: now(),
      database: createAuthDatabase(databases.get(project.projectRef, project.database), maxima.metadataBytes),
      parts,
      signal: given.signal,
    };
    try {
      return await withTimeout(route.handler, context, given, timeoutMs);
    } catch (error) {
      return answerFailure(error, request, project, logger);
    }
  }

  return {
    handle,
    configChanged: (ref, project) => outbox.configChanged(ref, project),
    close() {
      outbox.close();
      return hasher.close();
    },
  };
}

/** Work that waits for a hashing thread is given up when the time is over or the client has gone. */
async function withTimeout(
  handler: Handler,
  context: AuthContext,
  controller: AbortController,
  timeoutMs: number,
): Promise<ServiceResponse> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new AuthError("request_timeout", TIMEOUT_MESSAGE);
      controller.abort(error);
      reject(error);
    }, timeoutMs);
  });
  try {
    return await Promise.race([handler(context), timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/** What is not an answer by itself is logged with its cause and told without it. */
function answerFailure(
  error: unknown,
  { headers, requestId, method, path }: ServiceRequest,
  { projectRef }: ServiceSnapshot,
  logger: Logger,
): ServiceResponse {
  if (error instanceof BodyAborted) throw error; // nobody is left to answer
  const failure =
    error instanceof AuthError || error instanceof OAuthError
      ? error
      : (databaseFailure(error) ??
        unexpectedFailure("Unexpected failure, please check server logs for more information", error));
  if (failure instanceof AuthError && failure.status >= 500) {
    logger.error({ projectRef, requestId, method, path, reason: describeCause(failure) }, failure.message);
  }
  return errorResponse(failure, headers["x-supabase-api-version"], requestId);
}

/** Type, code and place of a failure. Its message can quote values (`Key (email)=(…) already exists`), so it is left out. */
function describeCause({ cause }: AuthError): Record<string, unknown> | undefined {
  if (!(cause instanceof Error)) return undefined;
  const { code } = cause as { code?: unknown };
  return { name: cause.constructor.name, code, stack: cause.stack?.split("\n").slice(1, 6).join("\n") };
}
