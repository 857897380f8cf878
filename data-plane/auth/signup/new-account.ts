/** The rows of a new account with an e-mail address or a phone number, as GoTrue writes them and apps rely on. */
import { DEFAULT_ROLE } from "../context.ts";
import type { Sql } from "../database/sql.ts";
import { deleteOneTimeTokens } from "../tokens/one-time-token-queries.ts";
import { deletedKeys, mergeInto, mergeMetadata } from "../users/metadata.ts";
import type { Metadata, UserRow } from "../users/user.ts";
import {
  insertUser,
  type UserChanges,
  updateUser,
  upsertIdentity,
  verifyEmailIdentity,
} from "../users/user-queries.ts";

export type Contact =
  | { readonly channel: "email"; readonly email: string }
  | { readonly channel: "phone"; readonly phone: string };

export interface NewAccount {
  readonly id: string;
  readonly contact: Contact;
  readonly passwordHash: string | null;
  /** Metadata as the caller sent it. */
  readonly data: Metadata;
  /**
   * True for sign-up, whose user metadata repeats the contact; false for invitations and links made by an
   * administrator, whose user metadata is exactly what was given.
   */
  readonly repeatsContact: boolean;
}

/** Statements for one transaction: the user, its identity, then what triggers are to see as an update. */
export function insertAccount(
  { id, contact, passwordHash, data, repeatsContact }: NewAccount,
  now: Date,
): Sql<never>[] {
  const claims = contactClaims(id, contact);
  const userMetadata = repeatsContact ? mergeMetadata(data, claims) : mergeMetadata(data, undefined);
  const appMetadata = { provider: contact.channel, providers: [contact.channel] };
  return [
    insertUser(
      {
        id,
        email: contact.channel === "email" ? contact.email : null,
        phone: contact.channel === "phone" ? contact.phone : null,
        passwordHash,
        appMetadata,
        userMetadata: data,
        isAnonymous: false,
      },
      now,
    ),
    upsertIdentity(
      { userId: id, provider: contact.channel, data: repeatsContact ? userMetadata : contactClaims(id, contact) },
      now,
    ),
    updateUser(
      id,
      {
        role: DEFAULT_ROLE,
        raw_user_meta_data: mergeInto(data, { ...deletedKeys(data), ...(repeatsContact ? claims : {}) }),
      },
      now,
    ),
  ];
}

function contactClaims(id: string, contact: Contact): Metadata {
  const verification = { email_verified: false, phone_verified: false };
  return contact.channel === "email"
    ? { sub: id, email: contact.email, ...verification }
    : { sub: id, ...verification };
}

/** Confirms the address: all pending tokens of the user are void from then on. */
export function confirmEmail(user: Pick<UserRow, "id" | "email" | "raw_user_meta_data">, now: Date): Sql<never>[] {
  const changes: UserChanges = {
    email_confirmed_at: now,
    confirmation_token: "",
    raw_user_meta_data: mergeInto(user.raw_user_meta_data, { email_verified: true }),
  };
  return [
    updateUser(user.id, changes, now),
    deleteOneTimeTokens(user.id),
    ...(user.email ? [verifyEmailIdentity(user.id, user.email.toLowerCase(), now)] : []),
  ];
}

export function confirmPhone(userId: string, now: Date): Sql<never>[] {
  return [
    updateUser(userId, { phone_confirmed_at: now, confirmation_token: "", is_anonymous: false }, now),
    deleteOneTimeTokens(userId),
  ];
}
