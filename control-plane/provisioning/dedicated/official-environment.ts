/**
 * What the official Supabase images are configured with, by the names of Supabase's own docker-compose.yml (September
 * 2026). Hosts are the aliases of a project's network: db, auth, rest, storage, realtime.
 * Untried: the images themselves could not be had where this was written.
 */
export interface OfficialSettings {
  readonly ref: string;
  /** Base URL of the project, without a slash at the end. */
  readonly gatewayUrl: string;
  readonly siteUrl: string;
  readonly redirectUrls: readonly string[];
  readonly jwtSecret: string;
  readonly jwtExpirySeconds: number;
  readonly anonKey: string;
  readonly serviceRoleKey: string;
  readonly isSignUpDisabled: boolean;
  /** Of every login of the image. */
  readonly databasePassword: string;
  readonly schemas: readonly string[];
  readonly maxRows: number;
  readonly maxUploadBytes: number;
  readonly smtp: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly password: string;
    readonly adminEmail: string;
    readonly senderName: string;
  } | null;
  readonly realtime: {
    /** 16 characters. */
    readonly encryptionKey: string;
    /** 64 characters. */
    readonly secretKeyBase: string;
    readonly metricsSecret: string;
  };
  readonly s3: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

export type OfficialService = "db" | "auth" | "rest" | "storage" | "realtime";
type Variables = Readonly<Record<string, string>>;

export function officialEnvironment(service: OfficialService, settings: OfficialSettings): Variables {
  return ENVIRONMENTS[service](settings);
}

const ENVIRONMENTS: Readonly<Record<OfficialService, (settings: OfficialSettings) => Variables>> = {
  db: ({ databasePassword, jwtExpirySeconds }) => ({
    POSTGRES_HOST: "/var/run/postgresql",
    PGPORT: "5432",
    POSTGRES_PORT: "5432",
    PGPASSWORD: databasePassword,
    POSTGRES_PASSWORD: databasePassword,
    PGDATABASE: "postgres",
    POSTGRES_DB: "postgres",
    JWT_EXP: String(jwtExpirySeconds),
  }),
  auth: (settings) => ({
    GOTRUE_API_HOST: "0.0.0.0",
    GOTRUE_API_PORT: "9999",
    API_EXTERNAL_URL: `${settings.gatewayUrl}/auth/v1`,
    GOTRUE_DB_DRIVER: "postgres",
    GOTRUE_DB_DATABASE_URL: databaseUrl("supabase_auth_admin", settings),
    GOTRUE_SITE_URL: settings.siteUrl,
    GOTRUE_URI_ALLOW_LIST: settings.redirectUrls.join(","),
    GOTRUE_DISABLE_SIGNUP: String(settings.isSignUpDisabled),
    GOTRUE_JWT_ADMIN_ROLES: "service_role",
    GOTRUE_JWT_AUD: "authenticated",
    GOTRUE_JWT_DEFAULT_GROUP_NAME: "authenticated",
    GOTRUE_JWT_EXP: String(settings.jwtExpirySeconds),
    GOTRUE_JWT_SECRET: settings.jwtSecret,
    GOTRUE_JWT_ISSUER: `${settings.gatewayUrl}/auth/v1`,
    GOTRUE_EXTERNAL_EMAIL_ENABLED: "true",
    GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED: "false",
    GOTRUE_EXTERNAL_PHONE_ENABLED: "false",
    GOTRUE_MAILER_AUTOCONFIRM: String(settings.smtp === null),
    GOTRUE_SMS_AUTOCONFIRM: "false",
    GOTRUE_SMTP_HOST: settings.smtp?.host ?? "",
    GOTRUE_SMTP_PORT: String(settings.smtp?.port ?? 587),
    GOTRUE_SMTP_USER: settings.smtp?.user ?? "",
    GOTRUE_SMTP_PASS: settings.smtp?.password ?? "",
    GOTRUE_SMTP_ADMIN_EMAIL: settings.smtp?.adminEmail ?? "",
    GOTRUE_SMTP_SENDER_NAME: settings.smtp?.senderName ?? "",
    GOTRUE_MAILER_URLPATHS_INVITE: "/auth/v1/verify",
    GOTRUE_MAILER_URLPATHS_CONFIRMATION: "/auth/v1/verify",
    GOTRUE_MAILER_URLPATHS_RECOVERY: "/auth/v1/verify",
    GOTRUE_MAILER_URLPATHS_EMAIL_CHANGE: "/auth/v1/verify",
  }),
  rest: (settings) => ({
    PGRST_DB_URI: databaseUrl("authenticator", settings),
    PGRST_DB_SCHEMAS: settings.schemas.join(","),
    PGRST_DB_MAX_ROWS: String(settings.maxRows),
    PGRST_DB_EXTRA_SEARCH_PATH: "public",
    PGRST_DB_ANON_ROLE: "anon",
    PGRST_JWT_SECRET: settings.jwtSecret,
    PGRST_DB_USE_LEGACY_GUCS: "false",
    PGRST_APP_SETTINGS_JWT_EXP: String(settings.jwtExpirySeconds),
    PGRST_ADMIN_SERVER_PORT: "3001",
    PGRST_ADMIN_SERVER_HOST: "localhost",
  }),
  storage: (settings) => ({
    ANON_KEY: settings.anonKey,
    SERVICE_KEY: settings.serviceRoleKey,
    POSTGREST_URL: "http://rest:3000",
    AUTH_JWT_SECRET: settings.jwtSecret,
    DATABASE_URL: databaseUrl("supabase_storage_admin", settings),
    STORAGE_PUBLIC_URL: settings.gatewayUrl,
    REQUEST_ALLOW_X_FORWARDED_PATH: "true",
    FILE_SIZE_LIMIT: String(settings.maxUploadBytes),
    STORAGE_BACKEND: "file",
    FILE_STORAGE_BACKEND_PATH: "/var/lib/storage",
    GLOBAL_S3_BUCKET: "stub",
    TENANT_ID: settings.ref,
    REGION: "local",
    ENABLE_IMAGE_TRANSFORMATION: "false",
    IMGPROXY_URL: "",
    S3_PROTOCOL_ACCESS_KEY_ID: settings.s3.accessKeyId,
    S3_PROTOCOL_ACCESS_KEY_SECRET: settings.s3.secretAccessKey,
  }),
  realtime: (settings) => ({
    PORT: "4000",
    DB_HOST: "db",
    DB_PORT: "5432",
    DB_USER: "supabase_admin",
    DB_PASSWORD: settings.databasePassword,
    DB_NAME: "postgres",
    DB_AFTER_CONNECT_QUERY: "SET search_path TO _realtime",
    DB_ENC_KEY: settings.realtime.encryptionKey,
    API_JWT_SECRET: settings.jwtSecret,
    SECRET_KEY_BASE: settings.realtime.secretKeyBase,
    METRICS_JWT_SECRET: settings.realtime.metricsSecret,
    ERL_AFLAGS: "-proto_dist inet_tcp",
    DNS_NODES: "''",
    RLIMIT_NOFILE: "10000",
    APP_NAME: "realtime",
    SEED_SELF_HOST: "true",
    RUN_JANITOR: "true",
    // Its tenant is the first label of Host.
    SELF_HOST_TENANT_NAME: settings.ref,
  }),
};

function databaseUrl(login: string, { databasePassword }: OfficialSettings): string {
  return `postgresql://${login}:${encodeURIComponent(databasePassword)}@db:5432/postgres`;
}
