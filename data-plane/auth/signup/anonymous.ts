/** A sign-up without address or phone: a user who can become permanent later. */
import { randomUUID } from "node:crypto";
import type { ServiceResponse } from "../../service.ts";
import { type AuthContext, DEFAULT_ROLE } from "../context.ts";
import { AuthError } from "../errors.ts";
import { json } from "../http/responses.ts";
import { limitByAddress } from "../limits/limits.ts";
import { beginSession, tokenResponse } from "../sessions/session.ts";
import { mergeMetadata } from "../users/metadata.ts";
import { saveUser } from "../users/save-user.ts";
import type { Metadata } from "../users/user.ts";
import { insertUser, updateUser } from "../users/user-queries.ts";

export async function signUpAnonymously(context: AuthContext, data: Metadata): Promise<ServiceResponse> {
  const { settings, now } = context;
  if (!settings.anonymousUsersEnabled) {
    throw new AuthError("anonymous_provider_disabled", "Anonymous sign-ins are disabled");
  }
  if (settings.disableSignup) throw new AuthError("signup_disabled", "Signups not allowed for this instance");
  limitByAddress(context, "anonymous");
  const id = randomUUID();
  const userMetadata = mergeMetadata(data, undefined);
  const session = beginSession(context, id, "anonymous");
  const record = await saveUser(context, "Database error creating anonymous user", id, [
    insertUser(
      { id, email: null, phone: null, passwordHash: null, appMetadata: {}, userMetadata, isAnonymous: true },
      now,
    ),
    updateUser(id, { role: DEFAULT_ROLE }, now),
    ...session.statements,
  ]);
  return json(await tokenResponse(context, record, session));
}
