/** POST /logout. */
import type { ServiceResponse } from "../../service.ts";
import { audit } from "../audit/audit.ts";
import type { AuthContext } from "../context.ts";
import { databaseStep } from "../database/failures.ts";
import { type Sql, sql } from "../database/sql.ts";
import { AuthError } from "../errors.ts";
import { noContent } from "../http/responses.ts";
import { requireUser } from "./bearer.ts";
import { deleteSession } from "./refresh-queries.ts";

export async function logOut(context: AuthContext): Promise<ServiceResponse> {
  const scope = context.query.get("scope") || "global";
  if (scope !== "global" && scope !== "local" && scope !== "others") {
    throw new AuthError("validation_failed", `Unsupported logout scope "${scope}"`);
  }
  const { user, session } = await requireUser(context);
  const statement =
    session === null || scope === "global"
      ? deleteSessions(user.id)
      : scope === "local"
        ? deleteSession(session.id)
        : deleteOtherSessions(user.id, session.id);
  await databaseStep("Error logging out user", context.database.batch([...audit(context, user, "logout"), statement]));
  return noContent;
}

/** Refresh tokens and proofs go with their session. */
export const deleteSessions = (userId: string): Sql<never> =>
  sql(`/* deleteSessions */ delete from auth.sessions where user_id = $1`, [userId]);

export const deleteOtherSessions = (userId: string, sessionId: string): Sql<never> =>
  sql(`/* deleteOtherSessions */ delete from auth.sessions where user_id = $1 and id <> $2`, [userId, sessionId]);
