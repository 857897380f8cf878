/** What is taken back from somebody who loses a role: the logins he could set by SQL, the passwords he has revealed. */
import { recordAudit } from "../audit/record-audit.ts";
import type { GraphqlContext } from "../context.ts";
import type { Queryable } from "../database.ts";
import { type Role, roleAllows } from "../permissions.ts";
import { requestLoginResets } from "../provisioning/login-resets.ts";
import { newDatabasePassword } from "../provisioning/shared/project-secrets.ts";

export interface EndedAccess {
  readonly organizationId: string;
  readonly accountId: string;
  readonly email: string;
  readonly from: Role;
  /** Null: no member any more. */
  readonly to: Role | null;
}

/** Secrets that somebody has revealed and that are still in use, of one project. */
interface KnownSecrets {
  readonly ref: string;
  readonly knowsPassword: boolean;
  readonly names: readonly string[];
}

/**
 * Called in the transaction that takes or lowers a role, before the account is gone.
 * - Who loses `sql.run` may have given the logins of every project of the organization passwords of his own, and may
 *   have sessions open: the stored passwords are set again and all sessions ended.
 * - Who loses `secrets.reveal` and has revealed the database password in use: the project gets a new one.
 * - API keys, the JWT secret and people's own secrets are not changed, applications would break. Which of them he has
 *   revealed is noted in the audit log, so that an owner can rotate them.
 * @returns Whether resets were wished for: `context.loginResets.settle()` after the commit carries them out.
 */
export async function endAccess(
  tx: Queryable,
  context: Pick<GraphqlContext, "vault" | "viewer" | "clientAddress">,
  { organizationId, accountId, email, from, to }: EndedAccess,
): Promise<boolean> {
  const loses = (action: "sql.run" | "secrets.reveal") =>
    roleAllows(from, action) && !(to !== null && roleAllows(to, action));
  if (!loses("sql.run") && !loses("secrets.reveal")) return false;
  const projects = await listProjects(tx, organizationId);
  if (projects.length === 0) return false;
  const known = loses("secrets.reveal") ? await findKnownSecrets(tx, accountId, projects) : [];
  const newPasswords = known.filter(({ knowsPassword }) => knowsPassword).map(({ ref }) => ref);
  for (const ref of newPasswords) {
    await context.vault.put(tx, ref, "POSTGRES_PASSWORD", newDatabasePassword(), { system: true });
  }
  const resets = loses("sql.run") ? projects : newPasswords;
  await requestLoginResets(tx, resets);
  const stillKnown = known.filter(({ names }) => names.length > 0).map(({ ref, names }) => ({ ref, names }));
  await recordAudit(tx, context, {
    action: "member.access_end",
    organizationId,
    details: { email, loginsReset: resets.length, newPasswords, stillKnown },
  });
  return resets.length > 0;
}

async function listProjects(tx: Queryable, organizationId: string): Promise<string[]> {
  const rows = await tx.query<{ ref: string }>(
    "/* endAccess: projects */ select ref from projects where organization_id = $1 and deleted_at is null order by ref",
    [organizationId],
  );
  return rows.map(({ ref }) => ref);
}

/** By the audit log: what was revealed to the account and has not been changed since. */
async function findKnownSecrets(tx: Queryable, accountId: string, refs: readonly string[]): Promise<KnownSecrets[]> {
  return tx.query<KnownSecrets>(
    `/* findKnownSecrets */
     with revealed as (
       select project_ref, action, details ->> 'name' as name, max(at) as at from audit_log
       where account_id = $1 and project_ref = any ($2)
         and action in ('secret.reveal', 'project.reveal_database_url', 'api_key.reveal')
       group by 1, 2, 3
     ), known as (
       select revealed.project_ref, s.name from revealed
         join project_secrets s on s.project_ref = revealed.project_ref
           and s.name = case action when 'project.reveal_database_url' then 'POSTGRES_PASSWORD' else revealed.name end
       where action <> 'api_key.reveal' and s.updated_at <= revealed.at
         and s.name not in ('POSTGRES_DB', 'POSTGRES_USER', 'AUTHENTICATOR_USER', 'ADMIN_EMAIL')
       union
       select revealed.project_ref, 'API key ' || k.name from revealed
         join api_keys k on k.project_ref = revealed.project_ref and k.name = revealed.name
       where action = 'api_key.reveal' and k.revoked_at is null and k.created_at <= revealed.at
     )
     select project_ref as ref, bool_or(name = 'POSTGRES_PASSWORD') as "knowsPassword",
       coalesce(array_agg(name order by name) filter (where name <> 'POSTGRES_PASSWORD'), '{}') as names
     from known group by project_ref order by project_ref`,
    [accountId, refs],
  );
}
