/** GET /user. */
import type { ServiceResponse } from "../../service.ts";
import { AUDIENCE, type AuthContext } from "../context.ts";
import { AuthError } from "../errors.ts";
import { json } from "../http/responses.ts";
import { requireUser } from "../sessions/bearer.ts";
import { userJson } from "./user.ts";

export async function getUser(context: AuthContext): Promise<ServiceResponse> {
  const bearer = await requireUser(context);
  const audience = Array.isArray(bearer.claims.aud) ? bearer.claims.aud[0] : bearer.claims.aud;
  if (audience !== AUDIENCE) {
    throw new AuthError("validation_failed", "Token audience doesn't match request audience");
  }
  return json(userJson(bearer));
}
