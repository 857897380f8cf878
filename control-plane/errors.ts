/**
 * Every failure that a caller may read. It travels as a GraphQL error whose `extensions.code` is one of the catalogue;
 * that is the one pattern for all operations, so a form and a script tell failures apart in the same way. Anything else
 * that is thrown is masked as INTERNAL and logged with the request id.
 */

/** The codes and what they mean: the schema's enum `ErrorCode` is made from this. */
export const ERROR_CODES = {
  UNAUTHENTICATED: "No credential, or one that is wrong, expired or revoked.",
  FORBIDDEN: "The viewer's role is too low for this.",
  NOT_FOUND: "There is no such thing, or it is not the viewer's to see.",
  INVALID_INPUT: "An argument was refused; `extensions.field` names it.",
  CONFLICT: "The present state does not allow it, or the name is taken.",
  PROJECT_BUSY: "Another operation runs on the project; try again when it has ended.",
  RATE_LIMITED: "Too many attempts; `extensions.retryAfterSeconds` says when to try again.",
  TOO_MANY_REQUESTS:
    "Too many operations of the viewer or its address are under way, or too many of its subscriptions open; `extensions.retryAfterSeconds`, and `Retry-After` with status 429 where nothing has run.",
  UNSUPPORTED: "This installation cannot do it (yet).",
  QUERY_TOO_LARGE: "The document is too deep, too wide or too complex.",
  SQL_ERROR: "The statement failed; PostgreSQL's own fields are in `extensions`.",
  INTERNAL: "A fault of the server; `extensions.requestId` finds it in the log.",
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** A failure whose message and extensions may be shown. What must stay private goes in `cause`, which is only logged. */
export class UserError extends Error {
  readonly code: ErrorCode;
  /** Further fields of the GraphQL error's `extensions`. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
    this.details = details;
  }
}

export class Unauthenticated extends UserError {
  constructor(message = "sign in, or send a valid access token") {
    super("UNAUTHENTICATED", message);
  }
}

export class Forbidden extends UserError {
  constructor(message = "your role does not allow this") {
    super("FORBIDDEN", message);
  }
}

/** Also the answer for what exists but belongs to an organization the viewer is no member of: no existence oracle. */
export class NotFound extends UserError {
  constructor(what: string) {
    super("NOT_FOUND", `${what} not found`);
  }
}

export class InvalidInput extends UserError {
  /** @param field Name of the argument or input field, dotted when nested: `settings.maxRows`. */
  constructor(field: string, message: string) {
    super("INVALID_INPUT", message, { field });
  }
}

export class Conflict extends UserError {
  constructor(message: string, details: Readonly<Record<string, unknown>> = {}) {
    super("CONFLICT", message, details);
  }
}

export class ProjectBusy extends UserError {
  constructor(message = "another operation runs on this project") {
    super("PROJECT_BUSY", message);
  }
}

export class RateLimited extends UserError {
  constructor(retryAfterSeconds: number, message = "too many attempts, try again later") {
    super("RATE_LIMITED", message, { retryAfterSeconds });
  }
}

export class TooManyRequests extends UserError {
  constructor(message = "too many operations are under way", retryAfterSeconds = 1) {
    super("TOO_MANY_REQUESTS", message, { retryAfterSeconds });
  }
}

export class Unsupported extends UserError {
  constructor(message: string) {
    super("UNSUPPORTED", message);
  }
}
