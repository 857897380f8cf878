/** Who did what, written in the transaction of the deed. */
import { isIP } from "node:net";
import type { Queryable } from "../database.ts";
import type { Viewer } from "../viewer.ts";

export interface AuditEntry {
  /** What was done: `project.create`, `member.remove`. */
  readonly action: string;
  readonly organizationId?: string | null;
  readonly projectRef?: string | null;
  /** Names and settings, never a secret value. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** Who did it when the viewer is not yet signed in: the account that signs up or in. */
  readonly account?: { readonly id: string; readonly email: string };
}

/** The organization of a project is looked up when it is not given. */
export async function recordAudit(
  tx: Queryable,
  context: { readonly viewer: Viewer | null; readonly clientAddress: string },
  entry: AuditEntry,
): Promise<void> {
  const { viewer, clientAddress } = context;
  const account = entry.account ?? (viewer?.kind === "account" ? { id: viewer.accountId, email: viewer.email } : null);
  const actor = account?.email ?? (viewer?.kind === "service" ? `service ${viewer.name}` : "system");
  await tx.query(
    `/* recordAudit */ insert into audit_log (account_id, actor, organization_id, project_ref, action, details, ip_address)
     values ($1, $2, coalesce($3, (select organization_id from projects where ref = $4)), $4, $5, $6, $7)`,
    [
      account?.id ?? null,
      actor,
      entry.organizationId ?? null,
      entry.projectRef ?? null,
      entry.action,
      JSON.stringify(entry.details ?? {}),
      isIP(clientAddress) ? clientAddress : null,
    ],
  );
}
