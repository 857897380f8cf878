/** From what was read of a project to the snapshot of one audience. No I/O: the secrets in the row are opened here. */
import type {
  Audience,
  GatewaySnapshot,
  ReplicationLogin,
  RoleTokens,
  S3AccessKey,
  ServiceName,
  ServiceSnapshot,
  ServingState,
  SnapshotOf,
  Upstream,
} from "../client/config-snapshot.ts";
import { REPLICATION_ROLE } from "../clusters/names.ts";
import { replicationPasswordPlace } from "../clusters/replication-login.ts";
import { type JwtKeySet, parseSigningKeys } from "../jwt/signing-keys.ts";
import { effectiveSettings, type ProjectSettings, type SettingsPolicy } from "../projects/settings.ts";
import type { ProjectState } from "../provisioning/lifecycle.ts";
import type { PublicUrls } from "../public-urls.ts";
import type { SystemSecret } from "../secrets/names.ts";
import type { Vault } from "../secrets/vault.ts";
import { SECRETS_OF_AUDIENCE, type SnapshotRow } from "./snapshot-row.ts";

/** Where each service of a project is reached from the gateway. */
export type UpstreamsOf = (project: Pick<SnapshotRow, "ref" | "plan">) => Readonly<Record<ServiceName, Upstream>>;

export interface SnapshotParts {
  readonly vault: Vault;
  readonly publicUrls: PublicUrls;
  readonly settingsPolicy: SettingsPolicy;
  readonly upstreamsOf: UpstreamsOf;
}

const SERVING_STATES: Readonly<Record<ProjectState, ServingState>> = {
  ACTIVE: "active",
  PAUSING: "paused",
  PAUSED: "paused",
  CREATING: "unavailable",
  RESUMING: "unavailable",
  RESTARTING: "unavailable",
  DELETING: "unavailable",
  DELETED: "unavailable",
  FAILED: "unavailable",
};

/**
 * A project whose secrets are not all there yet (it is being made) is `unavailable`, with empty credentials.
 * @throws {UnsealError} @throws {MasterKeyError} when its secrets cannot be opened.
 */
export function buildSnapshot<A extends Audience>(parts: SnapshotParts, audience: A, row: SnapshotRow): SnapshotOf<A>;
export function buildSnapshot(parts: SnapshotParts, audience: Audience, row: SnapshotRow) {
  const settings = effectiveSettings(parts.settingsPolicy, row.settings, row.customHosts);
  const secrets = openSecrets(parts.vault, row);
  const complete = SECRETS_OF_AUDIENCE[audience].every((name) => OPTIONAL_SECRETS.has(name) || secrets.has(name));
  const common = {
    projectRef: row.ref,
    version: row.version,
    state: complete ? servingState(row) : "unavailable",
    plan: row.plan,
    limits: settings.limits,
  } as const;
  return audience === "gateway"
    ? { ...common, ...gatewayPart(parts, row, settings, secrets) }
    : { ...common, ...servicePart(parts, row, settings, secrets) };
}

function servingState({ state, isClosed }: SnapshotRow): ServingState {
  const serving = SERVING_STATES[state];
  return isClosed && serving === "active" ? "closed" : serving;
}

type Secrets = ReadonlyMap<SystemSecret, string>;
type PartOf<S> = Omit<S, "projectRef" | "version" | "state" | "plan" | "limits">;

const OPTIONAL_SECRETS: ReadonlySet<SystemSecret> = new Set(["JWT_SIGNING_KEYS", "SMTP_PASSWORD"]);

function gatewayPart(
  parts: SnapshotParts,
  row: SnapshotRow,
  { gateway }: ProjectSettings,
  secrets: Secrets,
): PartOf<GatewaySnapshot> {
  return {
    audience: "gateway",
    upstreams: parts.upstreamsOf(row),
    apiKeys: row.apiKeys,
    roleTokens: roleTokensOf(secrets),
    requireApiKey: gateway.requireApiKey,
    corsOrigins: gateway.corsOrigins,
    customHosts: gateway.customHosts,
  };
}

function roleTokensOf(secrets: Secrets): RoleTokens {
  return {
    anon: secrets.get("GATEWAY_ANON_TOKEN") ?? "",
    service_role: secrets.get("GATEWAY_SERVICE_ROLE_TOKEN") ?? "",
  };
}

function servicePart(
  parts: SnapshotParts,
  row: SnapshotRow,
  { rest, auth, storage, realtime }: ProjectSettings,
  secrets: Secrets,
): PartOf<ServiceSnapshot> {
  const publicUrl = parts.publicUrls.projectUrl(row.ref);
  const signingKeys = secrets.get("JWT_SIGNING_KEYS");
  const keySet: JwtKeySet =
    signingKeys === undefined ? { signingKey: null, verificationKeys: [] } : parseSigningKeys(signingKeys);
  return {
    audience: "service",
    database: {
      host: row.host ?? "",
      port: row.port ?? 0,
      database: secrets.get("POSTGRES_DB") ?? "",
      user: secrets.get("AUTHENTICATOR_USER") ?? "",
      password: secrets.get("AUTHENTICATOR_PASSWORD") ?? "",
      ssl: row.ssl ?? false,
    },
    jwt: {
      secret: secrets.get("JWT_SECRET") ?? "",
      ...keySet,
      revokedTokens: row.apiKeys.filter(({ kind, revoked }) => kind === "legacy" && revoked).map(({ hash }) => hash),
      issuer: `${publicUrl}/auth/v1`,
    },
    roleTokens: roleTokensOf(secrets),
    publicUrl,
    rest,
    auth,
    ...(secrets.has("SMTP_PASSWORD") && { smtpPassword: secrets.get("SMTP_PASSWORD") ?? "" }),
    storage,
    realtime,
    ...openS3Keys(parts.vault, row),
    replication: row.replication && replicationLogin(parts.vault, row.replication),
  };
}

function replicationLogin(vault: Vault, sealed: NonNullable<SnapshotRow["replication"]>): ReplicationLogin {
  const { clusterId, ciphertext, keyId } = sealed;
  const place = replicationPasswordPlace(clusterId);
  return {
    cluster: clusterId,
    user: REPLICATION_ROLE,
    password: vault.openForInstance(place, Buffer.from(ciphertext, "base64"), keyId),
  };
}

function openS3Keys(vault: Vault, row: SnapshotRow): Pick<ServiceSnapshot, "s3AccessKeys" | "s3SessionSecrets"> {
  if (!row.dataKey) return { s3AccessKeys: [], s3SessionSecrets: [] };
  const dataKey = vault.unwrapDataKey(row.ref, row.dataKey);
  const open = (kind: "s3-key" | "api-key", name: string, box: string) =>
    dataKey.open(kind, name, Buffer.from(box, "base64"));
  return {
    s3AccessKeys: row.s3AccessKeys.map(
      ({ accessKeyId, secret }): S3AccessKey => ({
        accessKeyId,
        secretAccessKey: open("s3-key", accessKeyId, secret),
        role: "service_role",
      }),
    ),
    s3SessionSecrets: row.publicKeys.map(({ id, key }) => open("api-key", id, key)),
  };
}

function openSecrets(vault: Vault, row: SnapshotRow): Secrets {
  if (!row.dataKey) return new Map();
  const dataKey = vault.unwrapDataKey(row.ref, row.dataKey);
  return new Map(
    Object.entries(row.secrets).map(([name, box]) => [
      name as SystemSecret,
      dataKey.open("secret", name, Buffer.from(box, "base64")),
    ]),
  );
}
