/** The limits of a project: by client address, by mailbox, and by hour for the mails of all its users. */
import type { AuthContext } from "../context.ts";
import { AuthError } from "../errors.ts";
import type { Allowance } from "./rate-limiter.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const BURST = 30;

/** Each names a bucket of its own for every client address. */
export type AddressLimit =
  | "signup"
  | "recover"
  | "resend"
  | "magiclink"
  | "otp"
  | "update_user"
  | "token"
  | "verify"
  | "anonymous"
  | "factor_verify"
  | "factor_challenge";

function allowanceOf(limit: AddressLimit, { settings }: AuthContext): Allowance {
  switch (limit) {
    case "token":
      return { burst: BURST, refill: settings.rateLimitTokenRefresh, perMs: 5 * MINUTE_MS };
    case "verify":
      return { burst: BURST, refill: settings.rateLimitVerify, perMs: 5 * MINUTE_MS };
    case "anonymous":
      return { burst: settings.rateLimitAnonymousUsers, refill: settings.rateLimitAnonymousUsers, perMs: HOUR_MS };
    case "factor_verify":
    case "factor_challenge":
      return { burst: BURST, refill: 15, perMs: MINUTE_MS };
    default:
      return { burst: BURST, refill: settings.rateLimitOtp, perMs: 5 * MINUTE_MS };
  }
}

/** @throws {AuthError} `over_request_rate_limit`. */
export function limitByAddress(context: AuthContext, limit: AddressLimit): void {
  take(context, `${limit} ${context.request.clientAddress}`, allowanceOf(limit, context));
}

/**
 * Wrong codes for one mailbox or phone, from any address: a six-digit code must not be guessed by many machines together.
 * @throws {AuthError} `over_request_rate_limit`.
 */
export function limitCodeGuesses(context: AuthContext, mailbox: string): void {
  take(context, `code ${mailbox}`, { burst: 10, refill: 20, perMs: HOUR_MS });
}

function take({ parts, project, settings, now }: AuthContext, key: string, allowance: Allowance): void {
  if (!settings.rateLimitsEnabled) return;
  if (!parts.limiter.take(`${project.projectRef} ${key}`, allowance, now)) {
    throw new AuthError("over_request_rate_limit", "Request rate limit reached");
  }
}

/** One mail of the project's hour; those of a project that confirms by itself do not count. @throws {AuthError} */
export function limitMails({ parts, project, settings, now }: AuthContext): void {
  if (!settings.rateLimitsEnabled || settings.mailerAutoconfirm) return;
  const perHour = settings.rateLimitEmailSent ?? 30;
  const hour = Math.floor(now.getTime() / HOUR_MS);
  const key = `${project.projectRef} mails ${hour}`; // a fixed window: each hour is another bucket, which never refills
  if (!parts.limiter.take(key, { burst: perHour, refill: 0, perMs: HOUR_MS }, now)) {
    throw new AuthError("over_email_send_rate_limit", "email rate limit exceeded");
  }
}

/** @param sentAt when the last mail of that kind went to this user. @throws {AuthError} `over_email_send_rate_limit`. */
export function limitResend({ settings, now }: AuthContext, sentAt: string | null): void {
  if (sentAt === null) return;
  const waitMs = Date.parse(sentAt) + (settings.smtpMaxFrequencySeconds ?? 60) * 1000 - now.getTime();
  if (waitMs <= 0) return;
  const seconds = Math.ceil(waitMs / 1000);
  throw new AuthError(
    "over_email_send_rate_limit",
    `For security purposes, you can only request this after ${seconds} seconds.`,
  );
}
