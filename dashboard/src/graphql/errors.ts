/** What went wrong, as pages tell it. Decided in one place by `extensions.code`, the API's one catalogue. */
import type { CombinedError } from "@urql/core";

export interface AppError {
  /** A code of the API, or NETWORK when no answer came. */
  readonly code: string;
  /** A whole sentence. */
  readonly message: string;
  /** The argument that was refused: `settings.maxRows`. */
  readonly field: string | null;
  readonly retryAfterSeconds: number | null;
  readonly requestId: string | null;
  /** Everything else that the API said: PostgreSQL's fields for SQL_ERROR. */
  readonly details: Readonly<Record<string, unknown>>;
}

/** Pure. */
export function toAppError(error: CombinedError): AppError {
  const [first] = error.graphQLErrors;
  if (!first) {
    return {
      ...NOTHING_MORE,
      code: "NETWORK",
      message: "The server does not answer. Check the connection and try again.",
    };
  }
  const { code = "INTERNAL", field, retryAfterSeconds, requestId, ...details } = first.extensions ?? {};
  return {
    code: String(code),
    message: asSentence(code === "INTERNAL" ? "Something failed on our side." : first.message),
    field: typeof field === "string" ? field : null,
    retryAfterSeconds: typeof retryAfterSeconds === "number" ? retryAfterSeconds : null,
    requestId: typeof requestId === "string" ? requestId : null,
    details,
  };
}

/** For failures that are the page's own. */
export function localError(message: string, field: string | null = null): AppError {
  return { ...NOTHING_MORE, code: "INVALID_INPUT", message, field };
}

/** The message for a field, when it is the one that was refused; input objects put their name before it. */
export function fieldError(error: AppError | null, field: string): string | null {
  return error?.field?.split(".").at(-1) === field ? error.message : null;
}

/** The failure, unless it stands at one of these fields already. */
export function errorBeside(error: AppError | null, ...fields: readonly string[]): AppError | null {
  return fields.some((field) => fieldError(error, field)) ? null : error;
}

const NOTHING_MORE = { field: null, retryAfterSeconds: null, requestId: null, details: {} };

/** The API's messages begin small and have no full stop, for they are used within sentences as well. */
function asSentence(message: string): string {
  const text = message.charAt(0).toUpperCase() + message.slice(1);
  return /[.!?…:]$/.test(text) ? text : `${text}.`;
}
