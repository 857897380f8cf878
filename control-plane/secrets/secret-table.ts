/** Reading the names in table `project_secrets`; vault.ts keeps the values. */
import type { Queryable } from "../database.ts";
import { INTERNAL_SECRETS } from "./names.ts";

export interface SecretRow {
  readonly name: string;
  readonly isSystem: boolean;
  readonly updatedAt: Date;
}

/** By name; without those that are nobody's to see. */
export async function listSecrets(db: Queryable, ref: string): Promise<SecretRow[]> {
  return db.query<SecretRow>(
    `/* listSecrets */ select name, is_system as "isSystem", updated_at as "updatedAt" from project_secrets
     where project_ref = $1 and name <> all ($2) order by name`,
    [ref, INTERNAL_SECRETS],
  );
}
