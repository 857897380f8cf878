/** API keys as rows of table `api_keys`. The key itself is sealed under the project's data key, bound to the row's id. */
import type { ApiKeyRole } from "../client/config-snapshot.ts";
import type { Queryable } from "../database.ts";
import type { DataKey } from "../secrets/vault.ts";
import { isUuid } from "../uuid.ts";
import type { ApiKeyKind } from "./issue.ts";

export interface ApiKeyRow {
  readonly id: string;
  readonly projectRef: string;
  readonly name: string;
  readonly kind: ApiKeyKind;
  readonly role: ApiKeyRole;
  readonly prefix: string;
  readonly createdAt: Date;
  readonly revokedAt: Date | null;
  readonly ciphertext: Buffer;
}

const COLUMNS = `id, project_ref as "projectRef", name, kind, role, prefix, created_at as "createdAt",
  revoked_at as "revokedAt", key_ciphertext as ciphertext`;

/** Oldest first, revoked ones too. */
export async function listApiKeys(db: Queryable, ref: string): Promise<ApiKeyRow[]> {
  return db.query<ApiKeyRow>(
    `/* listApiKeys */ select ${COLUMNS} from api_keys where project_ref = $1 order by created_at, kind, role, id`,
    [ref],
  );
}

/** @param id any text: what is no UUID finds nothing. */
export async function findApiKey(db: Queryable, ref: string, id: string): Promise<ApiKeyRow | null> {
  if (!isUuid(id)) return null;
  const [row] = await db.query<ApiKeyRow>(
    `/* findApiKey */ select ${COLUMNS} from api_keys where project_ref = $1 and id = $2`,
    [ref, id],
  );
  return row ?? null;
}

export async function countUsableApiKeys(tx: Queryable, ref: string): Promise<number> {
  const [row] = await tx.query<{ count: number }>(
    "/* countUsableApiKeys */ select count(*) from api_keys where project_ref = $1 and revoked_at is null",
    [ref],
  );
  return row?.count ?? 0;
}

/** @returns whether the key was usable until now. */
export async function markApiKeyRevoked(tx: Queryable, ref: string, id: string): Promise<boolean> {
  const rows = await tx.query(
    `/* markApiKeyRevoked */ update api_keys set revoked_at = now()
     where project_ref = $1 and id = $2 and revoked_at is null returning id`,
    [ref, id],
  );
  return rows.length > 0;
}

/** What a rotated JWT secret has signed. */
export async function markLegacyKeysRevoked(tx: Queryable, ref: string): Promise<void> {
  await tx.query(
    `/* markLegacyKeysRevoked */ update api_keys set revoked_at = now()
     where project_ref = $1 and kind = 'legacy' and revoked_at is null`,
    [ref],
  );
}

export function openApiKey(dataKey: DataKey, { id, ciphertext }: ApiKeyRow): string {
  return dataKey.open("api-key", id, ciphertext);
}
