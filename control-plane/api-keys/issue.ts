/** The credentials a project begins with, and what its JWT secret signs. */
import { randomBytes, randomUUID } from "node:crypto";
import type { ApiKeyRole } from "../client/config-snapshot.ts";
import type { Queryable } from "../database.ts";
import { generateRoleToken, JWT_SECRET_BYTES, signLegacyKey } from "../jwt/project-tokens.ts";
import type { Vault } from "../secrets/vault.ts";
import { generateOpaqueKey, hashKey, keyPrefix, type OpaqueKeyKind } from "./key-format.ts";

export type ApiKeyKind = "legacy" | OpaqueKeyKind;

interface NewApiKey {
  readonly name: string;
  readonly kind: ApiKeyKind;
  readonly role: ApiKeyRole;
  readonly text: string;
}

/**
 * Gives a new project its JWT secret, the legacy key pair, one publishable and one secret key and the gateway's role
 * tokens. Does nothing when the project has a JWT secret. The data key must exist; the caller touches the project.
 * @param now Milliseconds since the epoch.
 */
export async function issueInitialKeys(tx: Queryable, vault: Vault, ref: string, now: number): Promise<void> {
  if ((await vault.get(tx, ref, "JWT_SECRET")) !== null) return;
  const roleTokens = { GATEWAY_ANON_TOKEN: generateRoleToken(), GATEWAY_SERVICE_ROLE_TOKEN: generateRoleToken() };
  await vault.putAll(tx, ref, roleTokens, { system: true });
  await issueJwtSecret(tx, vault, ref, now);
  await insertApiKeys(tx, vault, ref, [
    { name: "default", kind: "publishable", role: "anon", text: generateOpaqueKey("publishable") },
    { name: "default", kind: "secret", role: "service_role", text: generateOpaqueKey("secret") },
  ]);
}

/** A new JWT secret with all that it signs. What the previous one signed stops working. */
export async function issueJwtSecret(tx: Queryable, vault: Vault, ref: string, now: number): Promise<void> {
  const secret = randomBytes(JWT_SECRET_BYTES).toString("base64url");
  await vault.put(tx, ref, "JWT_SECRET", secret, { system: true });
  const roles: readonly ApiKeyRole[] = ["anon", "service_role"];
  const pair = roles.map(async (role): Promise<NewApiKey> => {
    return { name: role, kind: "legacy", role, text: await signLegacyKey(secret, ref, role, now) };
  });
  await insertApiKeys(tx, vault, ref, await Promise.all(pair));
}

/** @returns the ids, in the order of the keys. */
export async function insertApiKeys(
  tx: Queryable,
  vault: Vault,
  ref: string,
  keys: readonly NewApiKey[],
): Promise<string[]> {
  const dataKey = await vault.dataKey(tx, ref);
  const rows = keys.map((key) => {
    const id = randomUUID();
    return { ...key, id, ciphertext: dataKey.seal("api-key", id, key.text) };
  });
  await tx.query(
    `/* insertApiKeys */ insert into api_keys (id, project_ref, name, kind, role, key_hash, key_ciphertext, prefix)
     select id, $1, name, kind, role, key_hash, key_ciphertext, prefix
     from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::bytea[], $8::text[])
       as key (id, name, kind, role, key_hash, key_ciphertext, prefix)`,
    [
      ref,
      rows.map(({ id }) => id),
      rows.map(({ name }) => name),
      rows.map(({ kind }) => kind),
      rows.map(({ role }) => role),
      rows.map(({ text }) => hashKey(text)),
      rows.map(({ ciphertext }) => ciphertext),
      rows.map(({ text }) => keyPrefix(text)),
    ],
  );
  return rows.map(({ id }) => id);
}
