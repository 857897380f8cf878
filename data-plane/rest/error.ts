/**
 * Everything this service may refuse, in one catalogue: PostgREST's own codes with their texts, and the mapping of the
 * server's SQLSTATEs to HTTP. Client libraries match on these codes and messages, so they are wire format.
 */
import { ConnectionLost, DatabaseError, PoolTimeout } from "../database/database.ts";

export type Header = readonly [name: string, value: string];
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

const CATALOGUE = {
  PGRST000: { status: 503, message: "Database connection error. Retrying the connection." },
  PGRST001: { status: 503, message: "Database client error. Retrying the connection." },
  PGRST002: { status: 503, message: "Could not query the database for the schema cache. Retrying." },
  PGRST003: { status: 504, message: "Timed out acquiring connection from connection pool." },
  PGRST100: { status: 400, message: "" },
  PGRST101: { status: 405, message: "" },
  PGRST102: { status: 400, message: "" },
  PGRST103: { status: 416, message: "Requested range not satisfiable" },
  PGRST105: { status: 405, message: "Filters must include all and only primary key columns with 'eq' operators" },
  PGRST106: { status: 406, message: "" },
  PGRST107: { status: 406, message: "" },
  PGRST108: { status: 400, message: "" },
  PGRST111: {
    status: 500,
    message: "response.headers guc must be a JSON array composed of objects with a single key and a string value",
  },
  PGRST112: { status: 500, message: "response.status guc must be a valid status code" },
  PGRST114: { status: 400, message: "limit/offset querystring parameters are not allowed for PUT" },
  PGRST115: { status: 400, message: "Payload values do not match URL in primary key column(s)" },
  PGRST116: { status: 406, message: "Cannot coerce the result to a single JSON object" },
  PGRST117: { status: 405, message: "" },
  PGRST118: { status: 400, message: "" },
  PGRST120: { status: 400, message: "" },
  PGRST121: { status: 500, message: "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error" },
  PGRST122: { status: 400, message: "Invalid preferences given with handling=strict" },
  PGRST123: { status: 400, message: "Use of aggregate functions is not allowed" },
  PGRST124: { status: 400, message: "Query result exceeds max-affected preference constraint" },
  PGRST125: { status: 404, message: "Invalid path specified in request URL" },
  PGRST126: { status: 404, message: "Root endpoint metadata is disabled" },
  PGRST127: { status: 400, message: "Feature not implemented" },
  PGRST128: {
    status: 400,
    message: "Function must return SETOF or TABLE when max-affected preference is used with handling=strict",
  },
  PGRST200: { status: 400, message: "" },
  PGRST201: { status: 300, message: "" },
  PGRST202: { status: 404, message: "" },
  PGRST203: { status: 300, message: "" },
  PGRST204: { status: 400, message: "" },
  PGRST205: { status: 404, message: "" },
  PGRST300: { status: 500, message: "Server lacks JWT secret" },
  PGRST301: { status: 401, message: "" },
  PGRST302: { status: 401, message: "Anonymous access is disabled" },
  PGRST303: { status: 401, message: "" },
  PGRSTX00: { status: 500, message: "" },
} as const satisfies Record<string, { status: number; message: string }>;

export type RestErrorCode = keyof typeof CATALOGUE;

/** A failure the caller may read: everything but `cause` is sent. */
export class RestError extends Error {
  readonly status: number;
  readonly statusText: string | undefined;
  readonly code: string;
  readonly details: Json;
  readonly hint: string | null;
  readonly headers: readonly Header[];

  constructor(fields: {
    status: number;
    statusText?: string | undefined;
    code: string;
    message: string;
    details?: Json;
    hint?: string | null;
    headers?: readonly Header[];
    cause?: unknown;
  }) {
    super(fields.message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.status = fields.status;
    this.statusText = fields.statusText;
    this.code = fields.code;
    this.details = fields.details ?? null;
    this.hint = fields.hint ?? null;
    this.headers = fields.headers ?? [];
  }
}

/** An error of PostgREST's own catalogue; `message` is needed where the catalogue has none of its own. */
export function restError(
  code: RestErrorCode,
  fields: { message?: string; details?: Json; hint?: string | null; headers?: readonly Header[]; cause?: unknown } = {},
): RestError {
  const entry = CATALOGUE[code];
  return new RestError({ ...fields, status: entry.status, code, message: fields.message ?? entry.message });
}

/** PGRST301 and PGRST303 tell the client what is wrong with its token in the challenge too (RFC 6750). */
export function tokenError(code: "PGRST301" | "PGRST303", message: string, details: Json = null): RestError {
  const challenge = `Bearer error="invalid_token", error_description="${message}"`;
  return restError(code, { message, details, headers: [["WWW-Authenticate", challenge]] });
}

export interface FailureContext {
  /** True when the request carried a token: insufficient privileges are then 403, not a call to sign in. */
  readonly authenticated: boolean;
  /** Index of the statement that sets the request's role and settings. */
  readonly settingsIndex: number;
}

/** Turns whatever a request's execution threw into what its client may read; bugs are passed on as they are. */
export function errorOf(failure: unknown, context: FailureContext): unknown {
  if (failure instanceof RestError) return failure;
  if (failure instanceof DatabaseError) return fromDatabaseError(failure, context);
  if (failure instanceof PoolTimeout) return restError("PGRST003", { cause: failure });
  if (failure instanceof ConnectionLost) {
    return restError("PGRST001", { cause: failure, headers: [["Retry-After", "1"]] });
  }
  return failure;
}

function fromDatabaseError(error: DatabaseError, context: FailureContext): RestError {
  if (error.code === "PGRST") return raisedError(error);
  const status = statusOf(error, context);
  return new RestError({
    status,
    code: error.code,
    message: error.message,
    details: error.detail ?? null,
    hint: error.hint ?? null,
    headers: status === 401 ? [["WWW-Authenticate", "Bearer"]] : [],
    cause: error,
  });
}

/** Whole classes of SQLSTATE (first two characters); single codes are decided before. */
const STATUS_BY_CLASS: Readonly<Record<string, number>> = {
  "08": 503,
  "09": 500,
  "0L": 403,
  "0P": 403,
  "25": 500,
  "28": 403,
  "2D": 500,
  "38": 500,
  "39": 500,
  "3B": 500,
  "40": 500,
  "53": 503,
  "54": 500,
  "55": 500,
  "57": 500,
  "58": 500,
  F0: 500,
  HV: 500,
  P0: 500,
  XX: 500,
};
const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  "23503": 409,
  "23505": 409,
  "25006": 405,
  "42883": 404,
  "42P01": 404,
  "42P17": 500,
  "53400": 500,
  P0001: 400,
};

function statusOf(error: DatabaseError, context: FailureContext): number {
  const { code } = error;
  if (code.startsWith("PT")) {
    const status = /^\d{3}$/.test(code.slice(2)) ? Number(code.slice(2)) : 500;
    return status >= 200 && status <= 599 ? status : 500;
  }
  if (code === "42501") return context.authenticated ? 403 : 401;
  if (code === "22023" && error.statementIndex === context.settingsIndex && error.message.startsWith("role "))
    return 401;
  // pg-safeupdate raises 21000 for a missing WHERE, which the client can mend; a bad subquery in a view it cannot.
  if (code.startsWith("21")) return error.message.endsWith("requires a WHERE clause") ? 400 : 500;
  return STATUS_BY_CODE[code] ?? STATUS_BY_CLASS[code.slice(0, 2)] ?? 400;
}

const MESSAGE_HINT =
  "MESSAGE must be a JSON object with obligatory keys: 'code', 'message' and optional keys: 'details', 'hint'.";
const DETAIL_HINT =
  "DETAIL must be a JSON object with obligatory keys: 'status', 'headers' and optional key: 'status_text'.";

/** `RAISE SQLSTATE 'PGRST'`: the function describes the whole response in its MESSAGE and DETAIL. */
function raisedError(error: DatabaseError): RestError {
  const bad = (details: string, hint: string) => restError("PGRST121", { details, hint, cause: error });
  const message = parseObject(error.message);
  const { code, message: text, details, hint } = message ?? {};
  const optionalText = (value: Json | undefined) => value === undefined || value === null || typeof value === "string";
  if (typeof code !== "string" || typeof text !== "string" || !optionalText(details) || !optionalText(hint)) {
    return bad(`Invalid JSON value for MESSAGE: '${error.message}'`, MESSAGE_HINT);
  }
  if (error.detail === undefined) return bad("DETAIL is missing in the RAISE statement", DETAIL_HINT);
  const detail = parseObject(error.detail);
  const { status, headers, status_text: statusText } = detail ?? {};
  const validHeaders =
    typeof headers === "object" &&
    headers !== null &&
    !Array.isArray(headers) &&
    Object.values(headers).every((value) => typeof value === "string");
  if (typeof status !== "number" || !Number.isInteger(status) || status < 100 || status > 999 || !validHeaders) {
    return bad(`Invalid JSON value for DETAIL: '${error.detail}'`, DETAIL_HINT);
  }
  return new RestError({
    status,
    statusText: typeof statusText === "string" ? statusText : undefined,
    code,
    message: text,
    details: details ?? null,
    hint: typeof hint === "string" ? hint : null,
    headers: Object.entries(headers as Record<string, string>),
    cause: error,
  });
}

function parseObject(text: string): { readonly [key: string]: Json } | undefined {
  try {
    const value = JSON.parse(text) as Json;
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as { readonly [key: string]: Json })
      : undefined;
  } catch {
    return undefined;
  }
}
