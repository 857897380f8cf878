/** POST /invite. */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { ServiceResponse } from "../../service.ts";
import type { AuthContext } from "../context.ts";
import { metadata, readBody, text } from "../http/body.ts";
import { json } from "../http/responses.ts";
import { newReceiver, receiverOf, requestLink } from "../links/request-link.ts";
import { requireAdmin } from "../sessions/bearer.ts";
import { insertAccount } from "../signup/new-account.ts";
import { parseEmail } from "../users/identifiers.ts";
import { checkMetadataSize } from "../users/metadata.ts";
import { emailTaken } from "../users/save-user.ts";
import { userJson } from "../users/user.ts";
import { findUserWithAddress } from "../users/user-queries.ts";

const Body = z.object({ email: text, data: metadata });

/** Works with sign-ups switched off: that is what invitations are for. */
export async function invite(context: AuthContext): Promise<ServiceResponse> {
  const admin = await requireAdmin(context);
  const body = await readBody(context.request, Body);
  const email = parseEmail(body.email);
  const data = body.data ?? {};
  checkMetadataSize(data);
  const [existing] = await context.database.run(findUserWithAddress(email));
  if (existing?.user.email_confirmed_at) throw emailTaken();
  if (existing) {
    const record = await requestLink(context, "invite", receiverOf(existing, email), { pkce: null, actor: admin });
    return json(userJson(record));
  }
  const id = randomUUID();
  const contact = { channel: "email", email } as const;
  const record = await requestLink(context, "invite", newReceiver(id, email, data), {
    pkce: null,
    actor: admin,
    before: insertAccount({ id, contact, passwordHash: null, data, repeatsContact: false }, context.now),
  });
  return json(userJson(record));
}
