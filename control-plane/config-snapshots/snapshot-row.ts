/** All that a config snapshot is made of, read in one statement and therefore consistent, for many projects at once. */
import type { ApiKeyEntry, Audience, ProjectRef } from "../client/config-snapshot.ts";
import type { Queryable } from "../database.ts";
import type { StoredSettings } from "../projects/settings.ts";
import type { ProjectState } from "../provisioning/lifecycle.ts";
import type { SystemSecret } from "../secrets/names.ts";
import type { WrappedKey } from "../secrets/vault.ts";

export interface SnapshotRow {
  readonly ref: ProjectRef;
  readonly version: number;
  readonly state: ProjectState;
  /** The cluster's watch has closed it for a while. */
  readonly isClosed: boolean;
  readonly plan: "shared" | "dedicated";
  readonly settings: StoredSettings;
  readonly host: string | null;
  readonly port: number | null;
  readonly ssl: boolean | null;
  /** Of the cluster's replication login; only for services, and null until it has a password. */
  readonly replication: { readonly clusterId: string; readonly ciphertext: string; readonly keyId: string } | null;
  /** Null until provisioning has made the data key. */
  readonly dataKey: WrappedKey | null;
  /** Ciphertexts in base64, by name; only those that the audience may read. */
  readonly secrets: Readonly<Partial<Record<SystemSecret, string>>>;
  readonly apiKeys: readonly ApiKeyEntry[];
  /** Secrets as ciphertexts in base64; none for gateways. */
  readonly s3AccessKeys: readonly { readonly accessKeyId: string; readonly secret: string }[];
  /** API keys of the role anon that are good, as ciphertexts in base64; none for gateways. */
  readonly publicKeys: readonly { readonly id: string; readonly key: string }[];
  readonly customHosts: readonly string[];
}

/** What is never read for an audience can never leak to it. */
export const SECRETS_OF_AUDIENCE: Readonly<Record<Audience, readonly SystemSecret[]>> = {
  gateway: ["GATEWAY_ANON_TOKEN", "GATEWAY_SERVICE_ROLE_TOKEN"],
  service: [
    ...["POSTGRES_DB", "AUTHENTICATOR_USER", "AUTHENTICATOR_PASSWORD", "JWT_SECRET", "JWT_SIGNING_KEYS"],
    ...["GATEWAY_ANON_TOKEN", "GATEWAY_SERVICE_ROLE_TOKEN", "SMTP_PASSWORD"],
  ] as SystemSecret[],
};

/** Projects that do not exist are left out; tombstones are not. In the order of their versions. */
export async function readSnapshotRows(
  db: Queryable,
  audience: Audience,
  refs: readonly string[],
): Promise<SnapshotRow[]> {
  const rows = await db.query<Omit<SnapshotRow, "dataKey"> & { wrappedKey: Buffer | null; masterKeyId: string | null }>(
    `/* readSnapshotRows */
     select projects.ref, projects.config_version as version, projects.state,
       projects.closed_until is not null as "isClosed", projects.plan, projects.settings,
       clusters.host, clusters.port, clusters.ssl,
       case when $3 and replication_password_key_id is not null then jsonb_build_object(
         'clusterId', clusters.id, 'ciphertext', encode(replication_password_ciphertext, 'base64'),
         'keyId', replication_password_key_id) end as replication,
       data_keys.wrapped_key as "wrappedKey", data_keys.master_key_id as "masterKeyId",
       coalesce((
         select jsonb_object_agg(name, encode(ciphertext, 'base64')) from project_secrets
         where project_ref = ref and is_system and name = any ($2)
       ), '{}') as secrets,
       coalesce((
         select jsonb_agg(jsonb_build_object('id', id, 'hash', encode(key_hash, 'hex'), 'role', role, 'kind', kind,
           'revoked', revoked_at is not null) order by created_at, kind, role, id)
         from api_keys
         where project_ref = ref and (revoked_at is null or (
           -- A revoked legacy key is listed as long as its signature is good: until the next JWT secret.
           kind = 'legacy' and created_at >= (
             select updated_at from project_secrets where project_ref = ref and name = 'JWT_SECRET')))
       ), '[]') as "apiKeys",
       case when $3 then coalesce((
         select jsonb_agg(jsonb_build_object('accessKeyId', access_key_id, 'secret', encode(secret_ciphertext, 'base64'))
           order by created_at, access_key_id)
         from s3_access_keys where project_ref = ref
       ), '[]') else '[]' end as "s3AccessKeys",
       case when $3 then coalesce((
         select jsonb_agg(jsonb_build_object('id', id, 'key', encode(key_ciphertext, 'base64')) order by created_at, id)
         from api_keys where project_ref = ref and role = 'anon' and revoked_at is null
       ), '[]') else '[]' end as "publicKeys",
       array(select host from custom_hosts where project_ref = ref and verified_at is not null order by host) as "customHosts"
     from projects
       left join clusters on clusters.id = cluster_id
       left join project_data_keys as data_keys on data_keys.project_ref = ref
     where ref = any ($1)
     order by config_version`,
    [refs, SECRETS_OF_AUDIENCE[audience], audience === "service"],
  );
  return rows.map(({ wrappedKey, masterKeyId, ...row }) => ({
    ...row,
    dataKey: wrappedKey && masterKeyId !== null ? { wrappedKey, masterKeyId } : null,
  }));
}

/** The projects that custom hosts lead to; hosts of nobody, or whose proof was not found yet, are left out. */
export async function findRefsByHosts(
  db: Queryable,
  hosts: readonly string[],
): Promise<{ host: string; ref: string }[]> {
  return db.query(
    `/* findRefsByHosts */ select host, ref from custom_hosts join projects on ref = project_ref
     where host = any ($1) and verified_at is not null and deleted_at is null`,
    [hosts],
  );
}

/** Projects changed after a version, in the order of their versions. */
export async function readChangedRefs(
  db: Queryable,
  after: number,
  limit: number,
): Promise<{ ref: string; version: number }[]> {
  return db.query(
    `/* readChangedRefs */ select ref, config_version as version from projects
     where config_version > $1 order by config_version limit $2`,
    [after, limit],
  );
}

/** The newest version that any project has; 0 when there is no project. */
export async function readNewestVersion(db: Queryable): Promise<number> {
  const [row] = await db.query<{ version: number }>(
    "/* readNewestVersion */ select coalesce(max(config_version), 0) as version from projects",
  );
  return row?.version ?? 0;
}
