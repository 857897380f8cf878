/**
 * The settings one database is served with. A project's snapshot and the environment of the standalone form
 * (environment.ts) both become this record; nothing else in the service looks at either.
 */
import type { ServiceSnapshot } from "../../control-plane/client/config-snapshot.ts";
import { DEFAULT_MAXIMA, type Maxima } from "../../control-plane/client/maxima.ts";

export type TxEnd = "commit" | "commit-allow-override" | "rollback" | "rollback-allow-override";
export type OpenApiMode = "follow-privileges" | "ignore-privileges" | "disabled";

/** Keys that verify tokens; null when there are none: sending a token is then an error of the server's set-up. */
export type VerificationKeys = {
  /** HMAC-SHA256 secrets, as bytes. */
  readonly secrets: readonly { readonly key: Buffer; readonly kid: string | undefined }[];
  /** Public keys, tried in order. */
  readonly jwks: readonly JsonWebKey[];
  /** A token that names a `kid` is then only checked with keys of that name; otherwise also with nameless ones. */
  readonly strictKid: boolean;
  /** Tokens that are refused although their signature is good, as {@link hashJwt} gives them. */
  readonly revoked: ReadonlySet<string>;
} | null;

export interface RestConfig {
  /** Exposed schemas, at least one; the first is the default. */
  readonly schemas: readonly string[];
  readonly extraSearchPath: readonly string[];
  /** Role of requests without a token or role claim; null refuses them. */
  readonly anonRole: string | null;
  readonly preRequest: string | null;
  readonly rootSpec: string | null;
  /** Null: no limit. */
  readonly maxRows: number | null;
  readonly aggregatesEnabled: boolean;
  readonly planEnabled: boolean;
  readonly preparedStatements: boolean;
  readonly txEnd: TxEnd;
  readonly hoistedTxSettings: readonly string[];
  /**
   * Where settings of roles are read: the server's catalogue, or the project's own view (sql/project), as on a shared
   * cluster other tenants can write into the catalogue.
   */
  readonly roleSettings: "catalogue" | "project";
  /** Roles a token may never ask for, whatever the login may become. */
  readonly refusesRole: (role: string) => boolean;
  readonly jwtKeys: VerificationKeys;
  readonly jwtAudience: string | null;
  readonly jwtRoleClaimKey: string;
  /** Verified tokens kept; 0 turns the cache off. */
  readonly jwtCacheMaxEntries: number;
  readonly openApiMode: OpenApiMode;
  readonly openApiSecurityActive: boolean;
  /** Public base URL for the OpenAPI document; null describes the listening address. */
  readonly openApiServerProxyUri: string | null;
  readonly serverHost: string;
  readonly serverPort: number;
  /** `off` when somebody in front answers for CORS; an empty list allows every origin. */
  readonly cors: "off" | { readonly allowedOrigins: readonly string[] };
  readonly traceHeader: string | null;
  readonly timingEnabled: boolean;
  readonly urlUseLegacyTargetNames: boolean;
  /** PATCH and DELETE of a relation need a condition. */
  readonly safeUpdate: boolean;
  readonly errorVerbosity: "verbose" | "minimal";
  /** `app.settings.*` without the prefix. */
  readonly appSettings: Readonly<Record<string, string>>;
  /** Channel of reload notifications; null turns the listener off. */
  readonly channel: string | null;
  /** Largest body accepted, in bytes. */
  readonly maxBodyBytes: number;
  /** What the schema cache may hold; a database with more is refused. */
  readonly maxSchema: { readonly relations: number; readonly columns: number; readonly routines: number };
}

export const DEFAULT_ROLE_CLAIM_KEY = "$.role";

/**
 * Logins and owners that exist beside the API roles in a project's cluster. The authenticator may become some of them
 * for the other services; no token of a client ever may. Nor may it be `none`, which is the authenticator itself.
 */
const SERVICE_ROLE_NAME = /^(supabase_.*|project_.*|pg_.*|postgres|authenticator|dashboard_user|pgbouncer|none)$/;

export function isServiceRoleName(role: string): boolean {
  return SERVICE_ROLE_NAME.test(role);
}

/** Of a standalone REST server, whose one database is its operator's own. */
export const UNBOUNDED_SCHEMA = {
  relations: Number.POSITIVE_INFINITY,
  columns: Number.POSITIVE_INFINITY,
  routines: Number.POSITIVE_INFINITY,
};

/** Settings of a hosted project. The gateway in front answers for CORS; `anon` is the anonymous role as everywhere. */
export function configOfProject(snapshot: ServiceSnapshot, maxima: Maxima = DEFAULT_MAXIMA): RestConfig {
  const { rest, jwt } = snapshot;
  return {
    schemas: rest.schemas,
    extraSearchPath: rest.extraSearchPath,
    anonRole: "anon",
    preRequest: rest.preRequest,
    rootSpec: rest.rootSpec,
    maxRows: rest.maxRows === null ? null : Math.min(rest.maxRows, maxima.rows),
    aggregatesEnabled: rest.aggregatesEnabled,
    planEnabled: rest.planEnabled,
    preparedStatements: true,
    txEnd: rest.txEnd,
    hoistedTxSettings: rest.hoistedTxSettings,
    roleSettings: "project",
    refusesRole: isServiceRoleName,
    jwtKeys: {
      secrets: [{ key: Buffer.from(jwt.secret, "utf8"), kid: undefined }],
      jwks: [...(jwt.signingKey ? [jwt.signingKey] : []), ...jwt.verificationKeys],
      strictKid: false,
      revoked: new Set(snapshot.jwt.revokedTokens),
    },
    jwtAudience: rest.jwtAudience,
    jwtRoleClaimKey: rest.jwtRoleClaimKey,
    jwtCacheMaxEntries: 1000,
    openApiMode: rest.openApiMode,
    openApiSecurityActive: rest.openApiSecurityActive,
    openApiServerProxyUri: `${snapshot.publicUrl}/rest/v1`,
    serverHost: "127.0.0.1",
    serverPort: 0,
    cors: "off",
    traceHeader: null,
    timingEnabled: rest.serverTimingEnabled,
    urlUseLegacyTargetNames: rest.urlUseLegacyTargetNames,
    safeUpdate: rest.safeUpdate,
    errorVerbosity: rest.clientErrorVerbosity,
    appSettings: rest.appSettings,
    channel: "pgrst",
    maxBodyBytes: Math.min(snapshot.limits.maxBodyBytes, maxima.bodyBytes),
    maxSchema: {
      relations: maxima.schemaRelations,
      columns: maxima.schemaColumns,
      routines: maxima.schemaRoutines,
    },
  };
}
