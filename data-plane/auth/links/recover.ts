/** POST /recover. */
import { z } from "zod";
import type { ServiceResponse } from "../../service.ts";
import type { AuthContext } from "../context.ts";
import { AuthError } from "../errors.ts";
import { pkceFields, readBody, text } from "../http/body.ts";
import { json } from "../http/responses.ts";
import { limitByAddress, limitMailRequests, withoutTelling } from "../limits/limits.ts";
import { parseChallenge } from "../sessions/pkce.ts";
import { parseEmail } from "../users/identifiers.ts";
import { findUserByEmail } from "../users/user-queries.ts";
import { receiverOf, requestLink } from "./request-link.ts";

const Body = z.object({ email: text, ...pkceFields });

/** The answer is the same whether or not there is such a user. */
export async function recover(context: AuthContext): Promise<ServiceResponse> {
  limitByAddress(context, "recover");
  const body = await readBody(context.request, Body);
  if (!context.settings.emailEnabled) {
    throw new AuthError("email_provider_disabled", "Email logins are disabled");
  }
  if (!body.email) throw new AuthError("validation_failed", "Password recovery requires an email");
  const email = parseEmail(body.email);
  const pkce = parseChallenge(body);
  limitMailRequests(context, email, "recovery");
  const [record] = await context.database.run(findUserByEmail(email));
  if (record) {
    await withoutTelling(
      requestLink(context, "recovery", receiverOf(record, email), { pkce, actor: record.user, isCounted: true }),
    );
  }
  return json({});
}
