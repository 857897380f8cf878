/** Through whose eyes a project's data are read and changed: the claims are made here, never by the browser. */
import { builder } from "../builder.ts";
import type { GraphqlContext } from "../context.ts";
import { InvalidInput, NotFound } from "../errors.ts";
import { findUserDetails } from "../project-users/user-details.ts";
import { findProjectUser } from "../project-users/user-table.ts";
import { withProjectUsers } from "../project-users/users-session.ts";
import type { SqlRole } from "../sql-editor/run-sql.ts";
import { SqlRoleEnum } from "../sql-editor/sql-role.ts";
import { isUuid } from "../uuid.ts";

export interface Identity {
  readonly role: SqlRole;
  /** What `auth.jwt()` answers; empty for the owner of the database. */
  readonly claims: Readonly<Record<string, unknown>>;
}

export interface ActAs {
  readonly role?: SqlRole | null | undefined;
  readonly userId?: string | null | undefined;
  readonly claims?: unknown;
}

export const OWNER: Identity = { role: "user", claims: {} };

export const ActAsInput = builder.inputType("ActAs", {
  description: "Through whose eyes: a role, or a user of the project as the role that he signs in with.",
  fields: (t) => ({
    role: t.field({ type: SqlRoleEnum, defaultValue: "user" }),
    userId: t.id({ required: false, description: "Of a user of the project: the server makes his claims." }),
    claims: t.field({ type: "JSON", required: false, description: "JWT claims of your own; over those of a user." }),
  }),
});

/** @throws {InvalidInput} claims that are no object. @throws {NotFound} no such user. */
export async function resolveIdentity(
  context: GraphqlContext,
  ref: string,
  actAs: ActAs | null | undefined,
): Promise<Identity> {
  const own = parseClaims(actAs?.claims);
  const role = actAs?.role ?? "user";
  if (actAs?.userId == null) return { role, claims: own };
  const claims = { ...(await claimsOfUser(context, ref, actAs.userId)), ...own };
  return { role: role === "user" ? "authenticated" : role, claims };
}

/** As the auth service would issue them to this user now, but for the session, which he has not opened. */
async function claimsOfUser(context: GraphqlContext, ref: string, id: string): Promise<Record<string, unknown>> {
  if (!isUuid(id)) throw new NotFound("user");
  return withProjectUsers(context, ref, "sql.run", async (session) => {
    const user = await findProjectUser(session, id);
    const details = user && (await findUserDetails(session, id));
    if (!user || !details) throw new NotFound("user");
    return {
      aud: "authenticated",
      role: "authenticated",
      sub: user.id,
      email: user.email ?? "",
      phone: user.phone ?? "",
      app_metadata: details.appMetadata ?? {},
      user_metadata: details.userMetadata ?? {},
      is_anonymous: user.isAnonymous,
      aal: "aal1",
    };
  });
}

export function parseClaims(claims: unknown): Readonly<Record<string, unknown>> {
  if (claims === null || claims === undefined) return {};
  if (typeof claims !== "object" || Array.isArray(claims)) throw new InvalidInput("claims", "claims are a JSON object");
  return claims as Record<string, unknown>;
}
