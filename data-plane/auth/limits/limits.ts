/**
 * The limits of a project: by client address, by what is guessed at (mailbox, account, factor), and by hour for the mails
 * of all its users.
 */
import { addressBlockOf } from "../../../control-plane/client/client-address.ts";
import type { AuthContext } from "../context.ts";
import { AuthError } from "../errors.ts";
import { remainingMs } from "../users/times.ts";
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
  if (!context.settings.rateLimitsEnabled) return;
  take(context, `${limit} ${addressBlockOf(context.request.clientAddress)}`, allowanceOf(limit, context));
}

/** One try at something that can be guessed; a right one does not count. No setting of a project turns these limits off. */
export interface Guess {
  wasRight(): void;
}

/**
 * Codes for one mailbox, phone or account, from any address: six digits must not be guessed by many machines together.
 * @throws {AuthError} `over_request_rate_limit`.
 */
export function limitCodeGuesses(context: AuthContext, target: string): Guess {
  return guess(context, `code ${target}`, { burst: 10, refill: 20, perMs: HOUR_MS });
}

/** As {@link limitCodeGuesses} for the codes of one second factor. */
export function limitFactorGuesses(context: AuthContext, factorId: string): Guess {
  return guess(context, `factor ${factorId}`, { burst: 5, refill: 5, perMs: MINUTE_MS });
}

/**
 * As {@link limitCodeGuesses} for the password of one account, whether or not there is one. Generous, since whoever tries
 * wrong ones on purpose keeps the right one out for as long.
 */
export function limitPasswordGuesses(context: AuthContext, login: string): Guess {
  return guess(context, `password ${login}`, { burst: 100, refill: 100, perMs: HOUR_MS });
}

function guess(context: AuthContext, key: string, allowance: Allowance): Guess {
  take(context, key, allowance);
  const { parts, project } = context;
  return { wasRight: () => parts.limiter.giveBack(project.projectRef, key) };
}

function take({ parts, project, now }: AuthContext, key: string, allowance: Allowance): void {
  if (!parts.limiter.take(project.projectRef, key, allowance, now)) {
    throw new AuthError("over_request_rate_limit", "Request rate limit reached");
  }
}

/** One mail of the project's hour; those of a project that confirms by itself do not count. @throws {AuthError} */
export function limitMails(context: AuthContext): void {
  const { parts, project, now } = context;
  const { key, allowance } = mailsOfHour(context);
  if (countsMails(context) && !parts.limiter.take(project.projectRef, key, allowance, now)) throw tooManyMails();
}

const countsMails = ({ settings }: AuthContext): boolean => settings.rateLimitsEnabled && !settings.mailerAutoconfirm;

const tooManyMails = (): AuthError => new AuthError("over_email_send_rate_limit", "email rate limit exceeded");

/** A fixed window: each hour is another bucket, which never refills. */
function mailsOfHour({ settings, now }: AuthContext): { key: string; allowance: Allowance } {
  const allowance = { burst: settings.rateLimitEmailSent ?? 30, refill: 0, perMs: HOUR_MS };
  return { key: `mails ${Math.floor(now.getTime() / HOUR_MS)}`, allowance };
}

/** What a mail is asked for; asking bars the next request of the kind for a while. */
export type MailRequest = "confirmation" | "recovery" | "magiclink" | "email_change";

/**
 * Whether another mail may be asked for, for this mailbox and of the project: judged and counted before anybody looks
 * whether there is such a user, so that the answer does not tell.
 * @throws {AuthError} `over_email_send_rate_limit`.
 */
export function limitMailRequests(context: AuthContext, email: string, kind: MailRequest): void {
  const waitMs = mailBucket(context, email, kind)?.waitMs() ?? 0;
  if (waitMs > 0) throw tooSoon(waitMs);
  limitMails(context); // also where no mail will leave: else the hour's last one would tell who got it
  noteMail(context, email, kind);
}

/** A mail of this kind was asked for, in a way that is not refused. */
export function noteMail(context: AuthContext, email: string, kind: MailRequest): void {
  mailBucket(context, email, kind)?.take();
}

/** Null where the project sets no time between two mails. */
function mailBucket({ parts, project, settings, now }: AuthContext, email: string, kind: MailRequest) {
  const perMs = (settings.smtpMaxFrequencySeconds ?? 60) * 1000;
  if (perMs <= 0) return null;
  const of = [project.projectRef, `mail ${kind} ${email}`, { burst: 1, refill: 1, perMs }, now] as const;
  return { take: () => parts.limiter.take(...of), waitMs: () => parts.limiter.waitMs(...of) };
}

/**
 * After {@link limitMailRequests} has let a request pass: a limit that only a known user can meet now is kept without a
 * word. The mail stays away, and the answer is that for an unknown one.
 */
export async function withoutTelling(request: Promise<unknown>): Promise<void> {
  await request.catch((error: unknown) => {
    if (!(error instanceof AuthError) || error.code !== "over_email_send_rate_limit") throw error;
  });
}

/** @param sentAt when the last mail of that kind went to this user. @throws {AuthError} `over_email_send_rate_limit`. */
export function limitResend({ settings, now }: AuthContext, sentAt: string | null): void {
  if (sentAt === null) return;
  const waitMs = remainingMs(sentAt, (settings.smtpMaxFrequencySeconds ?? 60) * 1000, now);
  if (waitMs > 0) throw tooSoon(waitMs);
}

const tooSoon = (waitMs: number): AuthError =>
  new AuthError(
    "over_email_send_rate_limit",
    `For security purposes, you can only request this after ${Math.ceil(waitMs / 1000)} seconds.`,
  );
