/** DELETE /user/identities/:id: one way to sign in less; the last one stays. */
import type { ServiceResponse } from "../../service.ts";
import { audit } from "../audit/audit.ts";
import type { AuthContext } from "../context.ts";
import { databaseStep, isUniqueViolation } from "../database/failures.ts";
import type { Sql } from "../database/sql.ts";
import { AuthError } from "../errors.ts";
import { json } from "../http/responses.ts";
import { requireUser } from "../sessions/bearer.ts";
import { deleteOneTimeTokens } from "../tokens/one-time-token-queries.ts";
import { parsePathId } from "../users/identifiers.ts";
import { mergeInto } from "../users/metadata.ts";
import { NO_PENDING_TOKENS } from "../users/password-change.ts";
import { saveUserWithin } from "../users/save-user.ts";
import type { IdentityRow, UserRecord } from "../users/user.ts";
import { deleteIdentity, lockUser, providerMetadata, type UserChanges, updateUser } from "../users/user-queries.ts";

export function manualLinkingDisabled(): never {
  throw new AuthError("manual_linking_disabled", "Manual linking is disabled");
}

export async function unlinkIdentity(context: AuthContext): Promise<ServiceResponse> {
  const { user } = await requireUser(context);
  if (!context.settings.manualLinkingEnabled) manualLinkingDisabled();
  const identityId = parsePathId(context.params.identityId, "identity_id");
  const unlink = context.database.transaction(async (transaction) => {
    const [locked] = await transaction.run(lockUser(user.id));
    if (!locked) throw new AuthError("user_not_found", "User from sub claim in JWT does not exist", { status: 403 });
    await saveUserWithin(transaction, user.id, [
      ...removeIdentity(context, locked, identityId),
      ...audit(context, user, "identity_unlinked", { identity_id: identityId }),
    ]);
  });
  await databaseStep("Database error deleting identity", unlink).catch((error: AuthError) => {
    if (!isUniqueViolation(error.cause)) throw error;
    const text = "Unable to unlink identity due to email conflict";
    throw new AuthError("email_conflict_identity_not_deletable", text, { cause: error });
  });
  return json({});
}

function removeIdentity({ now }: AuthContext, record: UserRecord, identityId: string): readonly Sql<never>[] {
  const { user, identities } = record;
  if (identities.length <= 1) {
    throw new AuthError("single_identity_not_deletable", "User must have at least 1 identity after unlinking");
  }
  const removed = identities.find(({ id }) => id === identityId);
  if (!removed) throw new AuthError("identity_not_found", "Identity doesn't exist");
  const left = identities.filter(({ id }) => id !== identityId);
  const contact: UserChanges =
    removed.provider === "phone" ? { phone: null, phone_confirmed_at: null } : moveEmail(record, left);
  const appMetadata = mergeInto(user.raw_app_meta_data, providerMetadata(left));
  return [
    deleteIdentity(identityId),
    updateUser(user.id, { ...contact, raw_app_meta_data: appMetadata }, now),
    ...("email" in contact ? [deleteOneTimeTokens(user.id)] : []),
  ];
}

/** The user's address becomes that of an identity that is left: a verified one before others, then the oldest. */
function moveEmail({ user }: UserRecord, left: readonly IdentityRow[]): UserChanges {
  const isVerified = ({ identity_data }: IdentityRow): boolean => identity_data.email_verified === true;
  const withEmail = left.filter(({ email }) => email);
  const next = withEmail.find(isVerified) ?? withEmail[0];
  if (next?.email === user.email) return {};
  const confirmedAt = next && isVerified(next) ? user.email_confirmed_at : null;
  return { email: next?.email ?? null, email_confirmed_at: confirmedAt, ...NO_PENDING_TOKENS, email_change: "" };
}
