/**
 * The login by which the realtime service reads logical replication. Its password is made here, set on the server and
 * kept sealed in table `clusters`; service snapshots carry it, a gateway's never do.
 */
import { randomBytes } from "node:crypto";
import { touchProjectsOfCluster } from "../config-snapshots/touch.ts";
import type { Database, Queryable } from "../database.ts";
import type { Vault } from "../secrets/vault.ts";
import type { ClusterConnections } from "./cluster-connections.ts";
import { REPLICATION_ROLE } from "./names.ts";
import { scramVerifier } from "./scram.ts";

interface SealedPassword {
  readonly ciphertext: Buffer;
  readonly keyId: string;
}

/** Where the password lies under the master key. */
export function replicationPasswordPlace(clusterId: string): string {
  return `cluster-replication-password ${clusterId}`;
}

/** Sets a password on a cluster that has none, and gives its projects new snapshots. @returns whether it did. */
export async function ensureReplicationLogin(
  database: Database,
  vault: Vault,
  clusters: ClusterConnections,
  clusterId: string,
): Promise<boolean> {
  if (await hasPassword(database, clusterId)) return false;
  return database.transaction(async (tx) => {
    await lockCluster(tx, clusterId);
    if (await hasPassword(tx, clusterId)) return false;
    await setPassword(tx, vault, clusters, clusterId);
    return true;
  });
}

/**
 * The same for every cluster that has projects from a version before there was a password. One that cannot be reached
 * gets it with its next project.
 */
export async function ensureReplicationLogins(
  database: Database,
  vault: Vault,
  clusters: ClusterConnections,
): Promise<void> {
  const lacking = await database.query<{ id: string }>(
    `/* ensureReplicationLogins */ select id from clusters where replication_password_key_id is null
       and exists (select from projects where cluster_id = clusters.id and deleted_at is null)`,
  );
  for (const { id } of lacking) await ensureReplicationLogin(database, vault, clusters, id);
}

/**
 * Replaces the password. Streams that are open go on; every new one needs the new password, which services are told
 * within a moment.
 */
export async function rotateReplicationPassword(
  tx: Queryable,
  vault: Vault,
  clusters: ClusterConnections,
  clusterId: string,
): Promise<void> {
  await lockCluster(tx, clusterId);
  await setPassword(tx, vault, clusters, clusterId);
}

/** Seals passwords again that an older master key has sealed. @returns how many. */
export async function resealReplicationPasswords(tx: Queryable, vault: Vault): Promise<number> {
  const rows = await tx.query<SealedPassword & { id: string }>(
    `/* resealReplicationPasswords */ select id, replication_password_ciphertext as ciphertext,
       replication_password_key_id as "keyId"
     from clusters where replication_password_key_id <> $1 order by id for no key update`,
    [vault.currentKeyId],
  );
  for (const { id, ciphertext, keyId } of rows) {
    const place = replicationPasswordPlace(id);
    await store(tx, id, vault.sealForInstance(place, vault.openForInstance(place, ciphertext, keyId)));
  }
  return rows.length;
}

async function hasPassword(db: Queryable, clusterId: string): Promise<boolean> {
  const [row] = await db.query<{ known: boolean }>(
    "/* hasReplicationPassword */ select replication_password_key_id is not null as known from clusters where id = $1",
    [clusterId],
  );
  return row?.known ?? true; // a cluster that is gone needs none
}

async function lockCluster(tx: Queryable, clusterId: string): Promise<void> {
  await tx.query("/* lockReplicationLogin */ select from clusters where id = $1 for no key update", [clusterId]);
}

async function setPassword(
  tx: Queryable,
  vault: Vault,
  clusters: ClusterConnections,
  clusterId: string,
): Promise<void> {
  const password = randomBytes(24).toString("base64url");
  const verifier = await scramVerifier(password);
  await store(tx, clusterId, vault.sealForInstance(replicationPasswordPlace(clusterId), password));
  await touchProjectsOfCluster(tx, clusterId);
  // Last: when the server refuses, nothing was stored; when the commit fails, the next rotation sets both anew.
  await clusters.withAdmin(clusterId, (client) =>
    client.query(`/* setReplicationPassword */ alter role ${REPLICATION_ROLE} password '${verifier}'`),
  );
}

async function store(tx: Queryable, clusterId: string, { ciphertext, keyId }: SealedPassword): Promise<void> {
  await tx.query(
    `/* storeReplicationPassword */ update clusters
     set replication_password_ciphertext = $2, replication_password_key_id = $3 where id = $1`,
    [clusterId, ciphertext, keyId],
  );
}
