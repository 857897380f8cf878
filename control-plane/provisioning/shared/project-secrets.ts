/** The secrets of a shared project: made once, read by the later steps and by whoever shows them. */
import { randomBytes } from "node:crypto";
import { issueInitialKeys } from "../../api-keys/issue.ts";
import { projectAuthenticatorName, projectDatabaseName, projectUserName } from "../../clusters/names.ts";
import type { Queryable } from "../../database.ts";
import { generatePassword } from "../../project-users/generate-password.ts";
import type { SystemSecret } from "../../secrets/names.ts";
import type { Vault } from "../../secrets/vault.ts";
import { ProvisioningFailure } from "../failure.ts";

/** 24 random bytes: 32 characters of the alphabet that needs no escaping in a URL. */
const DATABASE_PASSWORD_BYTES = 24;

/** What a new project's secrets are when it has none yet. */
export const NEW_PROJECT_SECRETS = [
  "POSTGRES_DB",
  "POSTGRES_USER",
  "POSTGRES_PASSWORD",
  "AUTHENTICATOR_USER",
  "AUTHENTICATOR_PASSWORD",
] as const satisfies readonly SystemSecret[];

/** Further ones of a project that begins with a first user. */
const ADMINISTRATOR_SECRETS = ["ADMIN_EMAIL", "ADMIN_TEMP_PASSWORD"] as const satisfies readonly SystemSecret[];

export type ProjectSecrets = Readonly<Record<(typeof NEW_PROJECT_SECRETS)[number], string>> &
  Readonly<Partial<Record<(typeof ADMINISTRATOR_SECRETS)[number], string>>>;

/** Makes what is missing and keeps what is there, API keys and JWT secret included. @param now milliseconds since the epoch. */
export async function ensureProjectSecrets(
  tx: Queryable,
  vault: Vault,
  ref: string,
  now: number,
): Promise<ProjectSecrets> {
  await vault.createDataKey(tx, ref);
  const existing = await vault.getAll(tx, ref);
  const hasAdministrator = await findHasAdministrator(tx, ref);
  const fresh: ProjectSecrets = {
    POSTGRES_DB: projectDatabaseName(ref),
    POSTGRES_USER: projectUserName(ref),
    POSTGRES_PASSWORD: newDatabasePassword(),
    AUTHENTICATOR_USER: projectAuthenticatorName(ref),
    AUTHENTICATOR_PASSWORD: newDatabasePassword(),
    ...(hasAdministrator && {
      ADMIN_EMAIL: existing.get("ADMIN_EMAIL") ?? (await findAdminEmail(tx, ref)),
      ADMIN_TEMP_PASSWORD: generatePassword(),
    }),
  };
  const missing = Object.entries(fresh).filter(([name]) => !existing.has(name));
  if (missing.length > 0) {
    const secrets = Object.fromEntries(missing);
    await vault.putAll(tx, ref, secrets, { system: true });
  }
  await issueInitialKeys(tx, vault, ref, now);
  return { ...fresh, ...Object.fromEntries(existing) };
}

/** The secrets that {@link ensureProjectSecrets} has made. @throws when one is missing. */
export async function readProjectSecrets(db: Queryable, vault: Vault, ref: string): Promise<ProjectSecrets> {
  const all = await vault.getAll(db, ref);
  const missing = NEW_PROJECT_SECRETS.filter((name) => !all.has(name));
  if (missing.length > 0) throw new Error(`project ${ref} lacks the secrets ${missing.join(", ")}`);
  return Object.fromEntries(all) as ProjectSecrets;
}

/** Random, and in need of no escaping in a URL. */
export function newDatabasePassword(): string {
  return randomBytes(DATABASE_PASSWORD_BYTES).toString("base64url");
}

async function findHasAdministrator(tx: Queryable, ref: string): Promise<boolean> {
  const [row] = await tx.query<{ has: boolean }>(
    "/* findHasAdministrator */ select has_administrator as has from projects where ref = $1",
    [ref],
  );
  return row?.has ?? true;
}

/** The organization's first owner; where it has none, who made the project. */
async function findAdminEmail(tx: Queryable, ref: string): Promise<string> {
  const [row] = await tx.query<{ email: string }>(
    `/* findAdminEmail */ select a.email
     from projects p
       left join memberships m on m.organization_id = p.organization_id and m.role = 'owner'
       join accounts a on a.id = coalesce(m.account_id, p.created_by)
     where p.ref = $1 order by m.created_at, a.created_at limit 1`,
    [ref],
  );
  if (!row) throw new ProvisioningFailure("The organization has no owner whose e-mail the first user could have.");
  return row.email;
}
