/** Opens a project's users to a resolver: authorizes, connects, and says in words what went wrong over there. */
import pg from "pg";
import { withAuthenticatorSession } from "../clusters/authenticator-session.ts";
import type { GraphqlContext } from "../context.ts";
import { Conflict, UserError } from "../errors.ts";
import { type Action, requireProject } from "../permissions.ts";
import type { ProjectRow } from "../projects/project-row.ts";
import { findAuthenticatorLogin } from "../projects/running-project.ts";

/**
 * @throws {NotFound} @throws {Forbidden} @throws {Conflict} the project does not run, or its database cannot be reached.
 * @throws {UserError} SQL_ERROR: what the tenant's own triggers or constraints said.
 */
export async function withProjectUsers<T>(
  context: GraphqlContext,
  ref: string,
  action: Action,
  work: (session: pg.Client, project: ProjectRow) => Promise<T>,
): Promise<T> {
  const project = await requireProject(context, ref, action);
  const login = await findAuthenticatorLogin(context, project);
  try {
    return await withAuthenticatorSession({ ...login, role: "supabase_auth_admin", searchPath: "auth" }, (session) =>
      work(session, project),
    );
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (error instanceof pg.DatabaseError)
      throw new UserError("SQL_ERROR", error.message, { sqlState: error.code ?? null, hint: error.hint ?? null });
    throw new Conflict("the project's database does not answer", {
      cause: (error as NodeJS.ErrnoException).code ?? null,
    });
  }
}
