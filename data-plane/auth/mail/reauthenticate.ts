/** GET /reauthenticate: a nonce by mail, for changes that ask for more than a session. */
import type { ServiceResponse } from "../../service.ts";
import { audit } from "../audit/audit.ts";
import type { AuthContext } from "../context.ts";
import { AuthError } from "../errors.ts";
import { json } from "../http/responses.ts";
import { limitMails, limitResend } from "../limits/limits.ts";
import { requireUser } from "../sessions/bearer.ts";
import { smsFailed } from "../signup/signup.ts";
import { createOneTimeToken } from "../tokens/one-time-token.ts";
import { storeOneTimeToken } from "../tokens/one-time-token-queries.ts";
import { saveUser } from "../users/save-user.ts";
import { updateUser } from "../users/user-queries.ts";
import { composeMail, queueMails, sendMails } from "./one-time-mail.ts";

export async function reauthenticate(context: AuthContext): Promise<ServiceResponse> {
  const { now, settings } = context;
  const { user } = await requireUser(context);
  if (!user.email && !user.phone) {
    const message = "Reauthentication requires the user to have an email or a phone number";
    throw new AuthError("validation_failed", message);
  }
  if (!user.email) {
    if (user.phone_confirmed_at === null) {
      throw new AuthError("phone_not_confirmed", "Please verify your phone first.", { status: 422 });
    }
    throw smsFailed();
  }
  if (user.email_confirmed_at === null) {
    throw new AuthError("email_not_confirmed", "Please verify your email first.", { status: 422 });
  }
  limitResend(context, user.reauthentication_sent_at);
  limitMails(context);
  const token = createOneTimeToken(user.email, settings.mailerOtpLength, false);
  const mail = composeMail(context, "reauthentication", user.email, {
    ConfirmationURL: "",
    Email: user.email,
    Token: token.code,
    TokenHash: token.hash,
    RedirectTo: "",
    Data: user.raw_user_meta_data ?? {},
  });
  await saveUser(context, "Reauthentication failed.", user.id, [
    ...audit(context, user, "user_reauthenticate_requested"),
    updateUser(user.id, { reauthentication_token: token.hash, reauthentication_sent_at: now }, now),
    storeOneTimeToken(user.id, "reauthentication_token", token.hash, user.email, now),
    ...queueMails(context, mail),
  ]);
  sendMails(context, mail);
  return json({});
}
