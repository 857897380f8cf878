/** The one-time password of a project's first user: shown once, then gone. */

import { recordAudit } from "../audit/record-audit.ts";
import type { GraphqlContext } from "../context.ts";
import { Conflict } from "../errors.ts";
import { withProjectLocked } from "../projects/locked-project.ts";

export interface AdminPassword {
  readonly email: string;
  readonly password: string;
}

/**
 * Reveals the password and deletes it in one transaction: of two who ask at once one gets it.
 * @throws {Conflict} it was taken already, or the project is still being made (a retry needs the password again).
 */
export async function takeAdminPassword(context: GraphqlContext, ref: string): Promise<AdminPassword> {
  return withProjectLocked(context, ref, "secrets.reveal", async (tx, project) => {
    if (project.state === "CREATING" || project.state === "FAILED")
      throw new Conflict("the project is not complete yet", { state: project.state });
    const email = await context.vault.get(tx, ref, "ADMIN_EMAIL");
    const password = await context.vault.get(tx, ref, "ADMIN_TEMP_PASSWORD");
    if (email === null) throw new Conflict("the project was made without an administrator");
    if (password === null) throw new Conflict("the one-time password was taken already");
    await context.vault.delete(tx, ref, "ADMIN_TEMP_PASSWORD");
    await recordAudit(tx, context, {
      action: "project_user.take_admin_password",
      organizationId: project.organizationId,
      projectRef: ref,
    });
    return { email, password };
  });
}
