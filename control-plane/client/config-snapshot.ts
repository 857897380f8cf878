/**
 * The contract between the control plane and everything that serves a project: one immutable record a project and
 * audience, always replaced whole. The control plane builds it; gateways and data-plane services cache it
 * (config-cache.ts beside this file). Nothing else of the control plane may be imported by them.
 */

/** The public name of a project: 20 lower-case letters, also its host label. Made only by {@link parseProjectRef}. */
export type ProjectRef = string & { readonly __brand: "ProjectRef" };

const REF_PATTERN = /^[a-z]{20}$/;

/** True for a string of the shape of a project ref; says nothing about whether the project exists. */
export function isProjectRef(text: string): text is ProjectRef {
  return REF_PATTERN.test(text);
}

/** @throws {TypeError} when the text is not 20 lower-case letters. */
export function parseProjectRef(text: string): ProjectRef {
  if (!isProjectRef(text)) throw new TypeError("a project ref is 20 lower-case letters");
  return text;
}

export const SERVICES = ["rest", "auth", "storage", "realtime"] as const;
export type ServiceName = (typeof SERVICES)[number];

/** Who a snapshot is for: a gateway never receives database credentials or JWT signing keys. */
export type Audience = "gateway" | "service";

/** Only `active` projects are served; the others answer 503 with a code of their own. */
export type ServingState = "active" | "paused" | "unavailable" | "closed";

/** Where requests of one service go: a call in this process, or a proxied HTTP origin such as `http://rest:3000`. */
export type Upstream = { readonly kind: "local" } | { readonly kind: "http"; readonly origin: string };

export type ApiKeyRole = "anon" | "service_role";

export interface ApiKeyEntry {
  readonly id: string;
  /** SHA-256 of the whole key text, lower-case hex. */
  readonly hash: string;
  readonly role: ApiKeyRole;
  /** `legacy` keys are JWTs and may also arrive as a bearer token; the others are opaque `sb_…` strings. */
  readonly kind: "legacy" | "publishable" | "secret";
  /** A revoked legacy key stays listed: its signature is still good, so the gateway refuses it as apikey and as bearer. */
  readonly revoked: boolean;
}

export interface ProjectLimits {
  /** Sustained requests per second and the burst above it, per route class. */
  readonly requestsPerSecond: number;
  readonly requestBurst: number;
  readonly concurrentRequests: number;
  readonly sockets: number;
  /** Largest REST or auth request body, in bytes. */
  readonly maxBodyBytes: number;
  /** Largest storage upload, in bytes. */
  readonly maxUploadBytes: number;
}

interface Snapshot {
  readonly projectRef: ProjectRef;
  /** Grows with each change of the project; a snapshot older than the cached one is dropped. */
  readonly version: number;
  readonly state: ServingState;
  readonly plan: "shared" | "dedicated";
  readonly limits: ProjectLimits;
}

/**
 * What stands for an opaque key between gateways and our services: random texts that mean nothing to anybody else, and
 * are refused from outside. A service turns one into a JWT of minutes that never leaves its process (role-token.ts).
 */
export type RoleTokens = Readonly<Record<ApiKeyRole, string>>;

export interface GatewaySnapshot extends Snapshot {
  readonly audience: "gateway";
  readonly upstreams: Readonly<Record<ServiceName, Upstream>>;
  readonly apiKeys: readonly ApiKeyEntry[];
  readonly roleTokens: RoleTokens;
  /** A request without an API key is 401 when true (as hosted), anonymous when false (as the CLI's local gateway). */
  readonly requireApiKey: boolean;
  /** Origins allowed by CORS; `["*"]` allows all. */
  readonly corsOrigins: readonly string[];
  readonly customHosts: readonly string[];
}

export interface DatabaseAddress {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  /** The project's authenticator login: NOINHERIT, may become the API roles and the service owners of its database. */
  readonly user: string;
  readonly password: string;
  readonly ssl: boolean;
}

export interface JwtKeys {
  /** HS256 secret of the project, raw text (at least 32 characters). */
  readonly secret: string;
  /** Asymmetric signing key as a private JWK with `kid` and `alg`, or null when tokens are signed with the secret. */
  readonly signingKey: JsonWebKey | null;
  /** Further public JWKs that still verify (rotation). */
  readonly verificationKeys: readonly JsonWebKey[];
  /** Legacy API keys that were revoked while their signature is still good: SHA-256 of their text, lower-case hex. */
  readonly revokedTokens: readonly string[];
  /** Claim `iss` of new tokens; the public auth URL of the project unless set otherwise. */
  readonly issuer: string;
}

/** PostgREST's settings that a project may change; names follow its configuration keys. Defaults in rest-settings.ts. */
export interface RestSettings {
  readonly schemas: readonly string[];
  readonly extraSearchPath: readonly string[];
  /** Null: no limit. */
  readonly maxRows: number | null;
  readonly aggregatesEnabled: boolean;
  readonly preRequest: string | null;
  readonly rootSpec: string | null;
  readonly openApiMode: "follow-privileges" | "ignore-privileges" | "disabled";
  readonly openApiSecurityActive: boolean;
  readonly planEnabled: boolean;
  readonly txEnd: "commit" | "commit-allow-override" | "rollback" | "rollback-allow-override";
  readonly jwtAudience: string | null;
  readonly jwtRoleClaimKey: string;
  readonly hoistedTxSettings: readonly string[];
  readonly serverTimingEnabled: boolean;
  readonly urlUseLegacyTargetNames: boolean;
  /** PATCH and DELETE without a condition are refused, as by Supabase's API (the library safeupdate). */
  readonly safeUpdate: boolean;
  readonly clientErrorVerbosity: "verbose" | "minimal";
  /** Settings `app.settings.*` given to each request, without the prefix. */
  readonly appSettings: Readonly<Record<string, string>>;
}

/** Kinds of mail that have texts of their own. */
export const MAIL_TEXTS = [
  "Confirmation",
  "Invite",
  "Recovery",
  "MagicLink",
  "EmailChange",
  "Reauthentication",
] as const;
export type MailTextName = (typeof MAIL_TEXTS)[number];

/** Templates of subjects and of HTML texts (mail-template.ts); null or left out: ours. */
export type MailTexts = { readonly [Name in MailTextName as `mailerSubjects${Name}`]?: string | null } & {
  readonly [Name in MailTextName as `mailerTemplates${Name}Content`]?: string | null;
};

/** GoTrue's settings that a project may change, camel-cased from its environment names; spans in seconds. */
export interface AuthSettings extends MailTexts {
  readonly siteUrl: string;
  readonly uriAllowList: readonly string[];
  readonly disableSignup: boolean;
  readonly jwtExpSeconds: number;
  readonly emailEnabled: boolean;
  readonly phoneEnabled: boolean;
  readonly anonymousUsersEnabled: boolean;
  readonly mailerAutoconfirm: boolean;
  readonly smsAutoconfirm: boolean;
  readonly mailerSecureEmailChangeEnabled: boolean;
  readonly mailerOtpExpSeconds: number;
  readonly mailerOtpLength: number;
  readonly passwordMinLength: number;
  /** Sets of characters of which each must occur, as GoTrue's PASSWORD_REQUIRED_CHARACTERS split on `:`. */
  readonly passwordRequiredCharacters: readonly string[];
  readonly refreshTokenRotationEnabled: boolean;
  readonly refreshTokenReuseIntervalSeconds: number;
  readonly sessionsTimeboxSeconds: number | null;
  readonly sessionsInactivityTimeoutSeconds: number | null;
  readonly sessionsSinglePerUser: boolean;
  readonly updatePasswordRequireReauthentication: boolean;
  readonly updatePasswordRequireCurrentPassword: boolean;
  readonly manualLinkingEnabled: boolean;
  readonly auditLogEnabled: boolean;
  /** Off: no limit by address. */
  readonly rateLimitsEnabled: boolean;
  readonly rateLimitOtp: number;
  readonly rateLimitTokenRefresh: number;
  readonly rateLimitVerify: number;
  readonly rateLimitAnonymousUsers: number;
  /** Mails of the whole project in an hour; left out: 30. */
  readonly rateLimitEmailSent?: number;
  /** Least time between two mails of one kind to one user; left out: 60. */
  readonly smtpMaxFrequencySeconds?: number;
  /** Mail server; null or left out: mails are kept in the project's outbox, where they can be read. */
  readonly smtpHost?: string | null;
  /** 465 speaks TLS from the first byte, all others by STARTTLS. */
  readonly smtpPort?: number;
  readonly smtpUser?: string | null;
  /** Address that mails come from. */
  readonly smtpAdminEmail?: string | null;
  readonly smtpSenderName?: string | null;
}

export interface StorageSettings {
  readonly fileSizeLimitBytes: number;
  /** All objects of the project together. */
  readonly totalBytesLimit: number;
  /** Media types of which all buckets allow only these; empty allows all. As a bucket's `allowed_mime_types`. */
  readonly allowedMimeTypes: readonly string[];
  readonly imageTransformationEnabled: boolean;
  readonly s3ProtocolEnabled: boolean;
  /** How long the bytes of deleted and replaced objects are kept, so that a backup can read them. */
  readonly trashSeconds: number;
}

/** An access key of the S3 endpoint. */
export interface S3AccessKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly role: "service_role";
}

/** Limits of Supabase Realtime that a project may change, camel-cased from its tenant columns. */
export interface RealtimeSettings {
  /** Sockets that have joined a channel, at a time. */
  readonly maxConcurrentUsers: number;
  readonly maxChannelsPerClient: number;
  readonly maxJoinsPerSecond: number;
  /** Broadcasts received and delivered together; database changes are counted apart, against the same number. */
  readonly maxEventsPerSecond: number;
  readonly maxPresenceEventsPerSecond: number;
  /** Presence calls of one channel within {@link clientPresenceWindowMs}. */
  readonly maxClientPresenceEventsPerWindow: number;
  readonly clientPresenceWindowMs: number;
  /** Largest broadcast or presence payload, in thousands of bytes. */
  readonly maxPayloadSizeKb: number;
  /** Only private channels may be joined. */
  readonly privateOnly: boolean;
  /** Presence is on for every channel, whether its client asks for it or not. */
  readonly presenceEnabled: boolean;
  /** Realtime refuses every connection of the project. */
  readonly suspended: boolean;
}

/** Login that reads logical replication of any database of the project's cluster. For the realtime service alone. */
export interface ReplicationLogin {
  /** Id of the cluster: slots are counted by it. */
  readonly cluster: string;
  readonly user: string;
  readonly password: string;
}

/** What a multi-tenant service knows of a project. */
export interface ServiceSnapshot extends Snapshot {
  readonly audience: "service";
  readonly database: DatabaseAddress;
  readonly jwt: JwtKeys;
  readonly roleTokens: RoleTokens;
  /** Public base URL of the project without a trailing slash, such as `http://localhost:8083/projects/<ref>`. */
  readonly publicUrl: string;
  readonly rest: RestSettings;
  readonly auth: AuthSettings;
  /** Of the project's mail server; left out: none is set. */
  readonly smtpPassword?: string;
  readonly storage: StorageSettings;
  readonly realtime: RealtimeSettings;
  /** Null while the cluster's replication login has no password yet. */
  readonly replication: ReplicationLogin | null;
  /** Keys that open the project's S3 endpoint. */
  readonly s3AccessKeys: readonly S3AccessKey[];
  /** The project's public API keys: what a user signs S3 requests with, beside his own token. */
  readonly s3SessionSecrets: readonly string[];
}

export type SnapshotOf<A extends Audience> = A extends "gateway" ? GatewaySnapshot : ServiceSnapshot;

/** In place of the snapshot of a project that is gone. */
export interface DeletedProject {
  readonly projectRef: ProjectRef;
  readonly version: number;
  readonly deleted: true;
}

/** One message of the feed of changes. */
export interface ConfigChanges<A extends Audience> {
  /** The reader has everything up to this version; it goes on from here after a break. */
  readonly cursor: number;
  /** In the order of their versions. A version may lie above the cursor: the project has changed again meanwhile. */
  readonly snapshots: readonly (SnapshotOf<A> | DeletedProject)[];
  /** No replay leads from the reader's cursor to this one: whatever it holds is to be read again. */
  readonly resync: boolean;
}
