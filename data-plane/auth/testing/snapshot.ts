/** A valid project for tests; each call is another project with secrets of its own. */
import { randomBytes } from "node:crypto";
import {
  type AuthSettings,
  type DatabaseAddress,
  parseProjectRef,
  type ServiceSnapshot,
  type StorageSettings,
} from "../../../control-plane/client/config-snapshot.ts";

const LETTERS = "abcdefghijklmnopqrstuvwxyz";

const randomRef = () => parseProjectRef([...randomBytes(20)].map((byte) => LETTERS[byte % LETTERS.length]).join(""));

export const authSettings = (overrides: Partial<AuthSettings> = {}): AuthSettings => ({
  siteUrl: "http://localhost:3000",
  uriAllowList: [],
  disableSignup: false,
  jwtExpSeconds: 3600,
  emailEnabled: true,
  phoneEnabled: false,
  anonymousUsersEnabled: true,
  mailerAutoconfirm: true,
  smsAutoconfirm: false,
  mailerSecureEmailChangeEnabled: true,
  mailerOtpExpSeconds: 3600,
  mailerOtpLength: 6,
  passwordMinLength: 6,
  passwordRequiredCharacters: [],
  refreshTokenRotationEnabled: true,
  refreshTokenReuseIntervalSeconds: 10,
  sessionsTimeboxSeconds: null,
  sessionsInactivityTimeoutSeconds: null,
  sessionsSinglePerUser: false,
  updatePasswordRequireReauthentication: false,
  updatePasswordRequireCurrentPassword: false,
  manualLinkingEnabled: false,
  auditLogEnabled: true,
  rateLimitsEnabled: false,
  rateLimitOtp: 30,
  rateLimitTokenRefresh: 150,
  rateLimitVerify: 30,
  rateLimitAnonymousUsers: 30,
  ...overrides,
});

export const storageSettings = (overrides: Partial<StorageSettings> = {}): StorageSettings => ({
  fileSizeLimitBytes: 52_428_800,
  totalBytesLimit: 2 ** 40,
  allowedMimeTypes: [],
  imageTransformationEnabled: true,
  s3ProtocolEnabled: true,
  trashSeconds: 3600,
  ...overrides,
});

export function projectSnapshot(
  overrides: { database?: DatabaseAddress; auth?: Partial<AuthSettings>; publicUrl?: string } = {},
): ServiceSnapshot {
  const projectRef = randomRef();
  const publicUrl = overrides.publicUrl ?? `http://localhost:8083/projects/${projectRef}`;
  return {
    audience: "service",
    projectRef,
    version: 1,
    state: "active",
    plan: "shared",
    limits: {
      requestsPerSecond: 1000,
      requestBurst: 1000,
      concurrentRequests: 100,
      sockets: 100,
      maxBodyBytes: 1_048_576,
      maxUploadBytes: 1_048_576,
    },
    database: overrides.database ?? {
      host: "127.0.0.1",
      port: 1,
      database: "none",
      user: "none",
      password: "none",
      ssl: false,
    },
    jwt: {
      secret: randomBytes(32).toString("base64url"),
      signingKey: null,
      verificationKeys: [],
      revokedTokens: [],
      issuer: `${publicUrl}/auth/v1`,
    },
    roleTokens: { anon: "the role token of anon", service_role: "the role token of service_role" },
    publicUrl,
    rest: {
      schemas: ["public"],
      extraSearchPath: ["public", "extensions"],
      maxRows: null,
      aggregatesEnabled: false,
      preRequest: null,
      rootSpec: null,
      openApiMode: "follow-privileges",
      openApiSecurityActive: false,
      planEnabled: false,
      txEnd: "commit",
      jwtAudience: null,
      jwtRoleClaimKey: ".role",
      hoistedTxSettings: [],
      serverTimingEnabled: false,
      urlUseLegacyTargetNames: true,
      safeUpdate: true,
      clientErrorVerbosity: "verbose",
      appSettings: {},
    },
    auth: authSettings(overrides.auth),
    realtime: {
      maxConcurrentUsers: 200,
      maxChannelsPerClient: 100,
      maxJoinsPerSecond: 100,
      maxEventsPerSecond: 100,
      maxPresenceEventsPerSecond: 1000,
      maxClientPresenceEventsPerWindow: 5,
      clientPresenceWindowMs: 30_000,
      maxPayloadSizeKb: 3000,
      privateOnly: false,
      presenceEnabled: false,
      suspended: false,
    },
    replication: null,
    storage: storageSettings(),
    s3AccessKeys: [],
    s3SessionSecrets: [],
  };
}
