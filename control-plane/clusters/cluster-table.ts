/** Table `clusters`: where the PostgreSQL servers of shared projects are. Passwords lie sealed under the master key. */
import { randomUUID } from "node:crypto";
import { touchProjectsOfCluster } from "../config-snapshots/touch.ts";
import type { Database, Queryable } from "../database.ts";
import { NotFound } from "../errors.ts";
import { publishEvent } from "../events.ts";
import type { Vault } from "../secrets/vault.ts";
import { type ClusterAddress, isSameAddress } from "./cluster-connections.ts";

export const CLUSTER_STATES = ["active", "draining", "offline"] as const;
export type ClusterState = (typeof CLUSTER_STATES)[number];

export interface ClusterRow {
  readonly id: string;
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly adminUser: string;
  readonly ssl: boolean;
  readonly capacity: number;
  readonly state: ClusterState;
  readonly templateVersion: number | null;
  /** Where people connect to, when it is not `host` and `port`. */
  readonly publicHost: string | null;
  readonly publicPort: number | null;
  readonly createdAt: Date;
}

const COLUMNS = `id, name, host, port, admin_user as "adminUser", ssl, capacity, state,
  template_version as "templateVersion", public_host as "publicHost", public_port as "publicPort",
  created_at as "createdAt"`;

export interface NewCluster {
  readonly name: string;
  readonly address: ClusterAddress;
  readonly capacity: number;
  readonly publicHost: string | null;
  readonly publicPort: number | null;
}

export async function listClusters(db: Queryable): Promise<ClusterRow[]> {
  return db.query<ClusterRow>(`/* listClusters */ select ${COLUMNS} from clusters order by created_at, id`);
}

export async function findCluster(db: Queryable, id: string): Promise<ClusterRow | null> {
  const [row] = await db.query<ClusterRow>(`/* findCluster */ select ${COLUMNS} from clusters where id = $1`, [id]);
  return row ?? null;
}

export async function countClusterProjects(db: Queryable, clusterId: string): Promise<number> {
  const [row] = await db.query<{ projects: number }>(
    "/* countClusterProjects */ select count(*) as projects from projects where cluster_id = $1 and deleted_at is null",
    [clusterId],
  );
  return row?.projects ?? 0;
}

/** With its password opened. @throws {NotFound} */
export async function getClusterAddress(db: Queryable, vault: Vault, clusterId: string): Promise<ClusterAddress> {
  const [row] = await db.query<ClusterRow & { ciphertext: Buffer | null; keyId: string | null }>(
    `/* getClusterAddress */ select ${COLUMNS}, admin_password_ciphertext as ciphertext, admin_password_key_id as "keyId"
     from clusters where id = $1`,
    [clusterId],
  );
  if (!row) throw new NotFound("cluster");
  const { host, port, adminUser: user, ssl, ciphertext, keyId } = row;
  const password = ciphertext && keyId ? vault.openForInstance(passwordPlace(row.id), ciphertext, keyId) : "";
  return { host, port, user, password, ssl };
}

/** @throws pg's unique violation when the name is taken. */
export async function insertCluster(tx: Queryable, vault: Vault, cluster: NewCluster): Promise<ClusterRow> {
  const id = randomUUID();
  const { host, port, user, password, ssl } = cluster.address;
  const { ciphertext, keyId } = vault.sealForInstance(passwordPlace(id), password);
  const [row] = await tx.query<ClusterRow>(
    `/* insertCluster */ insert into clusters (id, name, host, port, admin_user, admin_password_ciphertext,
       admin_password_key_id, ssl, capacity, public_host, public_port)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) returning ${COLUMNS}`,
    [
      id,
      cluster.name,
      host,
      port,
      user,
      ciphertext,
      keyId,
      ssl,
      cluster.capacity,
      cluster.publicHost,
      cluster.publicPort,
    ],
  );
  if (!row) throw new Error("an insert returned no row");
  return row;
}

/** Writes the address, tells the other instances to connect anew, and gives the cluster's projects new snapshots. */
export async function moveCluster(tx: Queryable, vault: Vault, id: string, address: ClusterAddress): Promise<void> {
  const { ciphertext, keyId } = vault.sealForInstance(passwordPlace(id), address.password);
  await tx.query(
    `/* moveCluster */ update clusters set host = $2, port = $3, admin_user = $4, admin_password_ciphertext = $5,
       admin_password_key_id = $6, ssl = $7 where id = $1`,
    [id, address.host, address.port, address.user, ciphertext, keyId, address.ssl],
  );
  await publishEvent(tx, { topic: "cluster", clusterId: id });
  await touchProjectsOfCluster(tx, id);
}

/**
 * Makes the cluster of that name known, or moves it to where it is now (an embedded server that got another port, a new
 * password). Safe when several instances start at once.
 */
export async function ensureCluster(database: Database, vault: Vault, cluster: NewCluster): Promise<ClusterRow> {
  return database.transaction(async (tx) => {
    await tx.query(
      "/* ensureCluster: one at a time */ select pg_advisory_xact_lock(hashtextextended('supalove clusters', 0))",
    );
    const [known] = await tx.query<ClusterRow>(`/* ensureCluster */ select ${COLUMNS} from clusters where name = $1`, [
      cluster.name,
    ]);
    if (!known) return insertCluster(tx, vault, cluster);
    if (cluster.publicHost !== known.publicHost || cluster.publicPort !== known.publicPort) {
      await tx.query(
        "/* ensureCluster: public */ update clusters set public_host = $2, public_port = $3 where id = $1",
        [known.id, cluster.publicHost, cluster.publicPort],
      );
    }
    const before = await getClusterAddress(tx, vault, known.id);
    if (!isSameAddress(before, cluster.address)) await moveCluster(tx, vault, known.id, cluster.address);
    return (await findCluster(tx, known.id)) ?? known;
  });
}

/** Seals passwords again that an older master key has sealed. @returns how many. */
export async function resealClusterPasswords(tx: Queryable, vault: Vault): Promise<number> {
  const rows = await tx.query<{ id: string; ciphertext: Buffer; keyId: string }>(
    `/* resealClusterPasswords */ select id, admin_password_ciphertext as ciphertext, admin_password_key_id as "keyId"
     from clusters where admin_password_key_id <> $1 order by id for no key update`,
    [vault.currentKeyId],
  );
  for (const { id, ciphertext, keyId } of rows) {
    const place = passwordPlace(id);
    const sealed = vault.sealForInstance(place, vault.openForInstance(place, ciphertext, keyId));
    await tx.query(
      `/* resealClusterPassword */ update clusters set admin_password_ciphertext = $2, admin_password_key_id = $3
       where id = $1`,
      [id, sealed.ciphertext, sealed.keyId],
    );
  }
  return rows.length;
}

function passwordPlace(clusterId: string): string {
  return `cluster-password ${clusterId}`;
}
