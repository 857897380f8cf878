/** Access keys of the S3 endpoint as rows. The secret is sealed under the project's data key, bound to the key's id. */
import { randomBytes } from "node:crypto";
import type { Queryable } from "../database.ts";
import type { Vault } from "../secrets/vault.ts";

export interface S3AccessKeyRow {
  /** 32 hex digits; public. */
  readonly accessKeyId: string;
  readonly description: string;
  readonly createdAt: Date;
}

const COLUMNS = `access_key_id as "accessKeyId", description, created_at as "createdAt"`;

/** Oldest first. */
export async function listS3AccessKeys(db: Queryable, ref: string): Promise<S3AccessKeyRow[]> {
  return db.query(
    `/* listS3AccessKeys */ select ${COLUMNS} from s3_access_keys where project_ref = $1 order by created_at, access_key_id`,
    [ref],
  );
}

/** @returns The new key with its secret (64 hex digits), which cannot be read again. */
export async function insertS3AccessKey(
  tx: Queryable,
  vault: Vault,
  ref: string,
  description: string,
): Promise<{ readonly key: S3AccessKeyRow; readonly secretAccessKey: string }> {
  const accessKeyId = randomBytes(16).toString("hex");
  const secretAccessKey = randomBytes(32).toString("hex");
  const dataKey = await vault.dataKey(tx, ref);
  const [key] = await tx.query<S3AccessKeyRow>(
    `/* insertS3AccessKey */ insert into s3_access_keys (access_key_id, project_ref, description, secret_ciphertext)
     values ($1, $2, $3, $4) returning ${COLUMNS}`,
    [accessKeyId, ref, description, dataKey.seal("s3-key", accessKeyId, secretAccessKey)],
  );
  return { key: key as S3AccessKeyRow, secretAccessKey };
}

/** @returns Null when the project has no such key. */
export async function deleteS3AccessKey(
  tx: Queryable,
  ref: string,
  accessKeyId: string,
): Promise<S3AccessKeyRow | null> {
  const [row] = await tx.query<S3AccessKeyRow>(
    `/* deleteS3AccessKey */ delete from s3_access_keys where project_ref = $1 and access_key_id = $2 returning ${COLUMNS}`,
    [ref, accessKeyId],
  );
  return row ?? null;
}
