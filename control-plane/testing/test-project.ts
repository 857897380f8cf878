/** For tests: a project with all that provisioning would have left in the control plane's database, without a database. */
import { randomBytes, randomUUID } from "node:crypto";
import { issueInitialKeys } from "../api-keys/issue.ts";
import { type ProjectRef, parseProjectRef } from "../client/config-snapshot.ts";
import { touchProject } from "../config-snapshots/touch.ts";
import type { Database } from "../database.ts";
import type { Role } from "../permissions.ts";
import type { ProjectState } from "../provisioning/lifecycle.ts";
import type { Vault } from "../secrets/vault.ts";

export interface TestProject {
  readonly ref: ProjectRef;
  readonly organizationId: string;
}

export interface TestProjectOptions {
  readonly organizationId?: string;
  readonly state?: ProjectState;
  /** False: as it is before provisioning has made its secrets. */
  readonly hasSecrets?: boolean;
}

/** The database password and the JWT secret are unlike any other text, so that a test can search for them. */
export async function insertTestProject(
  database: Database,
  vault: Vault,
  { organizationId, state = "ACTIVE", hasSecrets = true }: TestProjectOptions = {},
): Promise<TestProject> {
  const ref = parseProjectRef([...randomBytes(20)].map((byte) => String.fromCharCode(97 + (byte % 26))).join(""));
  return database.transaction(async (tx) => {
    const organization = organizationId ?? (await insertTestOrganization(tx));
    await tx.query(
      `insert into clusters (id, name, host, port, admin_user) values ($1, 'test', 'db.internal', 5432, 'supabase_admin')
       on conflict do nothing`,
      [TEST_CLUSTER_ID],
    );
    await tx.query(
      `insert into projects (ref, organization_id, name, plan, state, cluster_id) values ($1, $2, 'test', 'shared', $3, $4)`,
      [ref, organization, state, TEST_CLUSTER_ID],
    );
    if (hasSecrets) {
      await vault.createDataKey(tx, ref);
      const secrets = {
        POSTGRES_DB: `project_${ref}`,
        POSTGRES_USER: `project_${ref}_user`,
        POSTGRES_PASSWORD: randomBytes(16).toString("hex"),
        AUTHENTICATOR_USER: `project_${ref}_authenticator`,
        AUTHENTICATOR_PASSWORD: randomBytes(16).toString("hex"),
      };
      await vault.putAll(tx, ref, secrets, { system: true });
      await issueInitialKeys(tx, vault, ref, Date.now());
    }
    await touchProject(tx, ref);
    return { ref, organizationId: organization };
  });
}

export const TEST_CLUSTER_ID = "00000000-0000-4000-8000-000000000001";

export async function insertTestOrganization(db: Pick<Database, "query">): Promise<string> {
  const slug = `test-${randomUUID().slice(0, 8)}`;
  const [row] = await db.query<{ id: string }>("insert into organizations (name, slug) values ($1, $1) returning id", [
    slug,
  ]);
  return row?.id ?? "";
}

export async function insertTestMembership(
  db: Pick<Database, "query">,
  organizationId: string,
  accountId: string,
  role: Role,
): Promise<void> {
  await db.query("insert into memberships (organization_id, account_id, role) values ($1, $2, $3)", [
    organizationId,
    accountId,
    role,
  ]);
}
