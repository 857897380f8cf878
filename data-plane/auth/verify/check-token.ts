/** Finds whose one-time token was presented, and for what; the user's row stays locked until the transaction ends. */
import { AUDIENCE, type AuthContext, NIL_UUID } from "../context.ts";
import { type Executor, type Sql, sql } from "../database/sql.ts";
import { AuthError } from "../errors.ts";
import { isWithinLifetime, matchesStoredToken } from "../tokens/one-time-token.ts";
import { consumeOneTimeToken, lockUserByToken, type OneTimeTokenKind } from "../tokens/one-time-token-queries.ts";
import { USER_RECORD, type UserRecord, type UserRow } from "../users/user.ts";

const VERIFY_TYPES = [
  "signup",
  "invite",
  "recovery",
  "magiclink",
  "email_change",
  "email",
  "sms",
  "phone_change",
] as const;
export type VerifyType = (typeof VERIFY_TYPES)[number];

export const isVerifyType = (text: string): text is VerifyType => VERIFY_TYPES.some((type) => type === text);

/** Token kinds that a type of verification accepts, in order of preference. */
const KINDS: Readonly<Record<VerifyType, readonly OneTimeTokenKind[]>> = {
  signup: ["confirmation_token"],
  invite: ["confirmation_token"],
  recovery: ["recovery_token"],
  magiclink: ["recovery_token"],
  email: ["confirmation_token", "recovery_token"],
  email_change: ["email_change_token_current", "email_change_token_new"],
  sms: ["confirmation_token"],
  phone_change: ["phone_change_token"],
};

export interface PresentedToken {
  readonly record: UserRecord;
  readonly kind: OneTimeTokenKind;
  /** `email` has become `signup` or `magiclink`. */
  readonly type: Exclude<VerifyType, "email">;
  /** As it is stored, with `pkce_` where the flow is PKCE. */
  readonly storedHash: string;
}

const codeExpired = (): AuthError => new AuthError("otp_expired", "Token has expired or is invalid");
const linkExpired = (): AuthError => new AuthError("otp_expired", "Email link is invalid or has expired");

/** @throws {AuthError} `otp_expired` for anything but the code that was sent to this address for this purpose. */
export async function checkCode(
  context: AuthContext,
  transaction: Executor,
  type: VerifyType,
  address: string,
  code: string,
): Promise<PresentedToken> {
  const candidates = await transaction.run(lockUsersByAddress(type, address));
  for (const record of candidates) {
    for (const kind of KINDS[type]) {
      const stored = storedToken(record.user, kind);
      if (
        isAddressOf(record.user, type, kind, address) &&
        stored &&
        matchesStoredToken(code, address, stored, context.settings.mailerOtpLength) &&
        isFresh(context, record.user, kind) &&
        (await isConsumed(transaction, record.user, kind, stored))
      ) {
        return { record, kind, type: resolveType(type, kind), storedHash: stored };
      }
    }
  }
  throw codeExpired();
}

/** As {@link checkCode} for the hash that a link carries. */
export async function checkHash(
  context: AuthContext,
  transaction: Executor,
  type: VerifyType,
  hash: string,
): Promise<PresentedToken> {
  const [holder] = hash ? await transaction.run(lockUserByToken(hash, KINDS[type])) : [];
  if (!holder || !isFresh(context, holder.record.user, holder.kind)) throw linkExpired();
  if (!(await isConsumed(transaction, holder.record.user, holder.kind, hash))) throw linkExpired();
  return { record: holder.record, kind: holder.kind, type: resolveType(type, holder.kind), storedHash: hash };
}

/** True for one of all who present the token; what follows may fail, and then it is as if nobody had. */
async function isConsumed(
  transaction: Executor,
  user: UserRow,
  kind: OneTimeTokenKind,
  stored: string,
): Promise<boolean> {
  return (await transaction.run(consumeOneTimeToken(user.id, kind, stored))).length === 1;
}

function resolveType(type: VerifyType, kind: OneTimeTokenKind): PresentedToken["type"] {
  if (type !== "email") return type;
  return kind === "confirmation_token" ? "signup" : "magiclink";
}

function storedToken(user: UserRow, kind: OneTimeTokenKind): string | null {
  return user[kind];
}

/** A code for an address change belongs to the mailbox it was sent to, not to the user's other one. */
function isAddressOf(user: UserRow, type: VerifyType, kind: OneTimeTokenKind, address: string): boolean {
  if (type === "sms") return user.phone === address;
  if (type === "phone_change") return user.phone_change === address;
  const mailbox = kind === "email_change_token_new" ? user.email_change : user.email;
  return mailbox?.toLowerCase() === address;
}

function isFresh({ settings, now }: AuthContext, user: UserRow, kind: OneTimeTokenKind): boolean {
  return isWithinLifetime(sentAt(user, kind), settings.mailerOtpExpSeconds, now);
}

function sentAt(user: UserRow, kind: OneTimeTokenKind): string | null {
  switch (kind) {
    case "confirmation_token":
      return user.confirmation_sent_at;
    case "recovery_token":
      return user.recovery_sent_at;
    case "reauthentication_token":
      return user.reauthentication_sent_at;
    case "phone_change_token":
      return user.phone_change_sent_at;
    case "email_change_token_new":
    case "email_change_token_current":
      return user.email_change_sent_at;
  }
}

/**
 * Who may have been sent a code to the address: its owner, or for a change whoever has a token that relates to it (there
 * is an index on that, none on the address a user wants to change to).
 */
function lockUsersByAddress(type: VerifyType, address: string): Sql<UserRecord> {
  return sql(
    `/* lockUsersByAddress */ select ${USER_RECORD} as row from auth.users u
     where (u.instance_id = '${NIL_UUID}' or u.instance_id is null) and u.aud = '${AUDIENCE}'
       and not u.is_sso_user and ${matchOf(type)} limit 10 for update of u`,
    [address],
  );
}

function matchOf(type: VerifyType): string {
  switch (type) {
    case "email_change":
    case "phone_change":
      return "u.id in (select t.user_id from auth.one_time_tokens t where t.relates_to = $1)";
    case "sms":
      return "u.phone = $1";
    default:
      return "lower(u.email) = $1";
  }
}
