/** Every failure the auth service answers with, and the shapes a client may ask for it in. */
import { DatabaseError } from "../database/database.ts";
import type { ServiceResponse } from "../service.ts";

/**
 * The codes that client libraries match on, each with the status it usually has. Where one code goes out with several
 * statuses (`email_provider_disabled` is 400 on sign-up, 422 on sign-in), the thrower names the other one.
 */
export const ERROR_STATUS = {
  anonymous_provider_disabled: 422,
  bad_code_verifier: 400,
  bad_json: 400,
  bad_jwt: 403,
  bad_oauth_callback: 400,
  bad_oauth_state: 400,
  conflict: 409,
  current_password_invalid: 400,
  current_password_required: 400,
  email_conflict_identity_not_deletable: 422,
  email_exists: 422,
  email_not_confirmed: 400,
  email_provider_disabled: 400,
  feature_disabled: 404,
  flow_state_expired: 422,
  flow_state_not_found: 404,
  identity_not_found: 422,
  insufficient_aal: 401,
  invalid_credentials: 400,
  manual_linking_disabled: 404,
  mfa_challenge_expired: 422,
  mfa_factor_name_conflict: 422,
  mfa_factor_not_found: 404,
  mfa_ip_address_mismatch: 422,
  mfa_phone_enroll_not_enabled: 422,
  mfa_verification_failed: 422,
  mfa_webauthn_enroll_not_enabled: 422,
  no_authorization: 401,
  not_admin: 403,
  otp_disabled: 422,
  otp_expired: 403,
  over_email_send_rate_limit: 429,
  over_request_rate_limit: 429,
  passkey_disabled: 404,
  phone_exists: 422,
  phone_not_confirmed: 400,
  phone_provider_disabled: 400,
  provider_disabled: 400,
  reauthentication_needed: 400,
  reauthentication_not_valid: 422,
  refresh_token_already_used: 400,
  refresh_token_not_found: 400,
  request_entity_too_large: 413,
  request_timeout: 504,
  same_password: 422,
  saml_provider_disabled: 404,
  session_expired: 400,
  session_not_found: 403,
  signup_disabled: 422,
  single_identity_not_deletable: 422,
  sms_send_failed: 422,
  too_many_enrolled_mfa_factors: 422,
  unexpected_failure: 500,
  user_already_exists: 422,
  user_banned: 403,
  user_not_found: 404,
  user_sso_managed: 422,
  validation_failed: 400,
  weak_password: 422,
  web3_provider_disabled: 422,
  web3_unsupported_chain: 400,
} as const satisfies Record<string, number>;

export type ErrorCode = keyof typeof ERROR_STATUS;

/** A failure the caller may read: status, code and message are sent. What must stay private goes in `cause`, which is only logged. */
export class AuthError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  /** Sent beside the code, such as `weak_password: {reasons}`. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: ErrorOptions & { status?: number; details?: Record<string, unknown> } = {},
  ) {
    super(message, options);
    this.code = code;
    this.status = options.status ?? ERROR_STATUS[code];
    this.details = options.details ?? {};
  }
}

/** OAuth's own error shape: always 400, whatever version of the API the client asks for. */
export class OAuthError extends Error {
  readonly error: string;
  constructor(error: string, description: string) {
    super(description);
    this.error = error;
  }
}

/** What a client is told when nothing better is known. */
export const unexpectedFailure = (message: string, cause?: unknown): AuthError =>
  new AuthError("unexpected_failure", message, { cause });

/** The one answer to a wrong password, an unknown user and a user without a password. */
export const invalidCredentials = (): AuthError => new AuthError("invalid_credentials", "Invalid login credentials");

const API_VERSION_HEADER = "X-Supabase-Api-Version";
const FIRST_VERSION = "2024-01-01";

/** True when the client asked, by date, for errors of the form `{code: "<code>", message}`; absent or unreadable is the older form. */
export function wantsCodedErrors(versionHeader: string | undefined): boolean {
  if (!versionHeader || !/^\d{4}-\d{2}-\d{2}$/.test(versionHeader)) return false;
  return !Number.isNaN(Date.parse(versionHeader)) && versionHeader >= FIRST_VERSION;
}

/**
 * The response for a failure. `versionHeader` is the request's `x-supabase-api-version`; auth-js takes `code` for an
 * error code only if the response repeats that header.
 */
export function errorResponse(
  error: AuthError | OAuthError,
  versionHeader: string | undefined,
  requestId: string,
): ServiceResponse {
  if (error instanceof OAuthError) return send(400, { error: error.error, error_description: error.message });
  if (wantsCodedErrors(versionHeader)) {
    const body = { code: error.code, message: error.message, ...error.details };
    return send(error.status, body, [API_VERSION_HEADER, FIRST_VERSION], ["x-sb-error-code", error.code]);
  }
  const raised = raisedByDatabase(error);
  if (raised) return raised;
  const body = { code: error.status, error_code: error.code, msg: error.message, ...error.details };
  return send(error.status, error.status >= 500 ? { ...body, error_id: requestId } : body, [
    "x-sb-error-code",
    error.code,
  ]);
}

/** SQLSTATEs by which a project's own triggers and constraints speak to its clients. */
const EXPOSED_SQLSTATES = new Set(["P0001", "23000", "23001", "23502", "23503", "23505", "23514", "23P01"]);

/** Older clients are shown what a trigger of the project raised; SQLSTATE `PTnnn` chooses the HTTP status. */
function raisedByDatabase(error: AuthError): ServiceResponse | null {
  const { cause } = error;
  if (error.code !== "unexpected_failure" || !(cause instanceof DatabaseError)) return null;
  const chosenStatus = /^PT([1-5]\d\d)$/.exec(cause.code)?.[1];
  if (!chosenStatus && !EXPOSED_SQLSTATES.has(cause.code)) return null;
  const { code, message, hint, detail } = cause;
  return send(chosenStatus ? Number(chosenStatus) : 500, { code, message, hint, detail });
}

function send(
  status: number,
  body: object,
  ...headers: readonly (readonly [name: string, value: string])[]
): ServiceResponse {
  return { status, headers: [["Content-Type", "application/json"], ...headers], body: JSON.stringify(body) };
}
