/** PostgREST's own configuration, by its environment names, and the part of it that a database may set. */
import { readFileSync } from "node:fs";
import { z } from "zod";
import type { DatabaseAddress } from "../../control-plane/client/config-snapshot.ts";
import { InvalidRoleClaimKey, roleSelector } from "../../control-plane/client/role-claim/role-claim.ts";
import { DEFAULT_ROLE_CLAIM_KEY, type RestConfig, UNBOUNDED_SCHEMA, type VerificationKeys } from "./config.ts";

/** One line a problem; all of them together. */
export class InvalidEnvironment extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`the configuration is not usable:\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
    this.problems = problems;
  }
}

export interface StandaloneSettings {
  readonly config: RestConfig;
  readonly database: DatabaseAddress;
  /** What the login's sessions begin with, from PGOPTIONS and PGTZ. */
  readonly sessionSettings: Readonly<Record<string, string>>;
  readonly pool: {
    readonly size: number;
    readonly acquireTimeoutMs: number;
    readonly idleTimeoutMs: number;
    readonly maxLifetimeMs: number;
  };
  readonly unixSocket: string | undefined;
  readonly admin: { readonly host: string; readonly port: number } | null;
  readonly logLevel: "crit" | "error" | "warn" | "info" | "debug";
  /** In-database configuration is read (db-config), after calling this function when there is one. */
  readonly databaseConfig: { readonly preConfig: string | null } | null;
}

const boolean = z
  .enum(["true", "false", "1", "0", "yes", "no", "on", "off"])
  .transform((text) => ["true", "1", "yes", "on"].includes(text));
const count = z.coerce.number().int().min(0);
const list = z.string().transform(parseList);
const optionalText = z.string().transform((text) => (text === "" ? null : text));

/** Each variable with what it is when left out; `PGRST_` goes before. Times are seconds. */
const SCHEMA = z.object({
  DB_URI: z.string().default("postgresql://"),
  DB_SCHEMAS: list.optional(),
  DB_SCHEMA: list.optional(),
  DB_ANON_ROLE: optionalText.default(null),
  DB_EXTRA_SEARCH_PATH: list.default(["public"]),
  DB_MAX_ROWS: count.optional(),
  DB_PRE_REQUEST: optionalText.default(null),
  DB_ROOT_SPEC: optionalText.default(null),
  DB_AGGREGATES_ENABLED: boolean.default(false),
  DB_PLAN_ENABLED: boolean.default(false),
  DB_PREPARED_STATEMENTS: boolean.default(true),
  DB_TX_END: z.enum(["commit", "commit-allow-override", "rollback", "rollback-allow-override"]).default("commit"),
  DB_HOISTED_TX_SETTINGS: list.default([
    "statement_timeout",
    "plan_filter.statement_cost_limit",
    "default_transaction_isolation",
  ]),
  DB_CONFIG: boolean.default(true),
  DB_PRE_CONFIG: optionalText.default(null),
  DB_CHANNEL: z.string().min(1).default("pgrst"),
  DB_CHANNEL_ENABLED: boolean.default(true),
  DB_POOL: count.min(1).default(10),
  DB_POOL_ACQUISITION_TIMEOUT: count.default(10),
  DB_POOL_MAX_IDLETIME: count.default(30),
  DB_POOL_MAX_LIFETIME: count.default(1800),
  DB_POOL_AUTOMATIC_RECOVERY: boolean.default(true),
  JWT_SECRET: optionalText.default(null),
  JWT_SECRET_IS_BASE64: boolean.default(false),
  JWT_AUD: optionalText.default(null),
  JWT_ROLE_CLAIM_KEY: z.string().default(DEFAULT_ROLE_CLAIM_KEY),
  JWT_CACHE_MAX_ENTRIES: count.default(1000),
  OPENAPI_MODE: z.enum(["follow-privileges", "ignore-privileges", "disabled"]).default("follow-privileges"),
  OPENAPI_SECURITY_ACTIVE: boolean.default(false),
  OPENAPI_SERVER_PROXY_URI: optionalText.default(null),
  SERVER_HOST: z.string().default("!4"),
  SERVER_PORT: count.max(65535).default(3000),
  SERVER_UNIX_SOCKET: z.string().optional(),
  SERVER_CORS_ALLOWED_ORIGINS: list.default([]),
  SERVER_TRACE_HEADER: optionalText.default(null),
  SERVER_TIMING_ENABLED: boolean.default(false),
  ADMIN_SERVER_HOST: z.string().optional(),
  ADMIN_SERVER_PORT: count.max(65535).optional(),
  CLIENT_ERROR_VERBOSITY: z.enum(["verbose", "minimal"]).default("verbose"),
  LOG_LEVEL: z.enum(["crit", "error", "warn", "info", "debug"]).default("error"),
  URL_USE_LEGACY_TARGET_NAMES: boolean.default(true),
  /** Ours: in the original's place stands the server library safeupdate. */
  SAFE_UPDATE: boolean.default(false),
});

const APP_SETTING = /^APP_SETTINGS_(.+)$/;
const SCHEMAS_REFUSED = ["pg_catalog", "information_schema"];
const MIN_SECRET_LENGTH = 32;
const MAX_BODY_BYTES = 1024 * 1024 * 1024;

/** @throws {InvalidEnvironment} */
export function readEnvironment(env: Readonly<Record<string, string | undefined>>): StandaloneSettings {
  const own: Record<string, string> = {};
  const appSettings: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith("PGRST_") || value === undefined) continue;
    const key = name.slice("PGRST_".length);
    const appSetting = APP_SETTING.exec(key)?.[1];
    if (appSetting === undefined) own[key] = value;
    else appSettings[appSetting.toLowerCase()] = value;
  }
  return settingsOf(own, appSettings, env, fromFile);
}

function settingsOf(
  own: Readonly<Record<string, string>>,
  appSettings: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string | undefined>>,
  resolve: (value: string) => string,
): StandaloneSettings {
  const problems: string[] = [];
  const parsed = SCHEMA.safeParse(own);
  if (!parsed.success) {
    throw new InvalidEnvironment(parsed.error.issues.map((issue) => `PGRST_${issue.path.join(".")}: ${issue.message}`));
  }
  const value = parsed.data;
  const schemas = value.DB_SCHEMAS ?? value.DB_SCHEMA ?? ["public"];
  if (schemas.length === 0) problems.push("PGRST_DB_SCHEMAS: names no schema");
  for (const schema of schemas) {
    if (SCHEMAS_REFUSED.includes(schema)) problems.push(`PGRST_DB_SCHEMAS: ${schema} cannot be exposed`);
  }
  const jwtKeys = keysOrProblem(value.JWT_SECRET, value.JWT_SECRET_IS_BASE64, resolve, problems);
  try {
    roleSelector(value.JWT_ROLE_CLAIM_KEY);
  } catch (error) {
    if (!(error instanceof InvalidRoleClaimKey)) throw error;
    problems.push(`PGRST_JWT_ROLE_CLAIM_KEY: ${error.message}`);
  }
  if (value.ADMIN_SERVER_PORT !== undefined && value.ADMIN_SERVER_PORT === value.SERVER_PORT) {
    problems.push("PGRST_ADMIN_SERVER_PORT: cannot be PGRST_SERVER_PORT");
  }
  const database = addressOrProblem(value.DB_URI, env, problems);
  if (problems.length > 0 || database === null) throw new InvalidEnvironment(problems);
  const host = bindAddress(value.SERVER_HOST);
  return {
    database,
    sessionSettings: sessionSettings(env),
    pool: {
      size: value.DB_POOL,
      acquireTimeoutMs: value.DB_POOL_ACQUISITION_TIMEOUT * 1000,
      idleTimeoutMs: value.DB_POOL_MAX_IDLETIME * 1000,
      maxLifetimeMs: value.DB_POOL_MAX_LIFETIME * 1000,
    },
    unixSocket: value.SERVER_UNIX_SOCKET || undefined,
    admin:
      value.ADMIN_SERVER_PORT === undefined
        ? null
        : { host: bindAddress(value.ADMIN_SERVER_HOST ?? value.SERVER_HOST), port: value.ADMIN_SERVER_PORT },
    logLevel: value.LOG_LEVEL,
    databaseConfig: value.DB_CONFIG ? { preConfig: value.DB_PRE_CONFIG } : null,
    config: {
      schemas,
      extraSearchPath: value.DB_EXTRA_SEARCH_PATH,
      anonRole: value.DB_ANON_ROLE,
      preRequest: value.DB_PRE_REQUEST,
      rootSpec: value.DB_ROOT_SPEC,
      maxRows: value.DB_MAX_ROWS ?? null,
      aggregatesEnabled: value.DB_AGGREGATES_ENABLED,
      planEnabled: value.DB_PLAN_ENABLED,
      preparedStatements: value.DB_PREPARED_STATEMENTS,
      txEnd: value.DB_TX_END,
      hoistedTxSettings: value.DB_HOISTED_TX_SETTINGS,
      roleSettings: "catalogue",
      refusesRole: () => false, // the one database is its owner's, and so are the roles the login may become
      jwtKeys,
      jwtAudience: value.JWT_AUD,
      jwtRoleClaimKey: value.JWT_ROLE_CLAIM_KEY,
      jwtCacheMaxEntries: value.JWT_CACHE_MAX_ENTRIES,
      openApiMode: value.OPENAPI_MODE,
      openApiSecurityActive: value.OPENAPI_SECURITY_ACTIVE,
      openApiServerProxyUri: value.OPENAPI_SERVER_PROXY_URI,
      serverHost: host,
      serverPort: value.SERVER_PORT,
      cors: { allowedOrigins: value.SERVER_CORS_ALLOWED_ORIGINS },
      traceHeader: value.SERVER_TRACE_HEADER,
      timingEnabled: value.SERVER_TIMING_ENABLED,
      urlUseLegacyTargetNames: value.URL_USE_LEGACY_TARGET_NAMES,
      safeUpdate: value.SAFE_UPDATE,
      errorVerbosity: value.CLIENT_ERROR_VERBOSITY,
      appSettings,
      channel: value.DB_CHANNEL_ENABLED ? value.DB_CHANNEL : null,
      maxBodyBytes: MAX_BODY_BYTES,
      maxSchema: UNBOUNDED_SCHEMA,
    },
  };
}

/** Fields that the database may set, by the variable that the environment has for them. */
const FIELD_OF = {
  CLIENT_ERROR_VERBOSITY: "errorVerbosity",
  DB_AGGREGATES_ENABLED: "aggregatesEnabled",
  DB_ANON_ROLE: "anonRole",
  DB_EXTRA_SEARCH_PATH: "extraSearchPath",
  DB_HOISTED_TX_SETTINGS: "hoistedTxSettings",
  DB_MAX_ROWS: "maxRows",
  DB_PLAN_ENABLED: "planEnabled",
  DB_PREPARED_STATEMENTS: "preparedStatements",
  DB_PRE_REQUEST: "preRequest",
  DB_ROOT_SPEC: "rootSpec",
  DB_SCHEMAS: "schemas",
  DB_TX_END: "txEnd",
  JWT_AUD: "jwtAudience",
  JWT_CACHE_MAX_ENTRIES: "jwtCacheMaxEntries",
  JWT_ROLE_CLAIM_KEY: "jwtRoleClaimKey",
  JWT_SECRET: "jwtKeys",
  JWT_SECRET_IS_BASE64: "jwtKeys",
  OPENAPI_MODE: "openApiMode",
  OPENAPI_SECURITY_ACTIVE: "openApiSecurityActive",
  OPENAPI_SERVER_PROXY_URI: "openApiServerProxyUri",
  SERVER_CORS_ALLOWED_ORIGINS: "cors",
  SERVER_TIMING_ENABLED: "timingEnabled",
  SERVER_TRACE_HEADER: "traceHeader",
  URL_USE_LEGACY_TARGET_NAMES: "urlUseLegacyTargetNames",
  SAFE_UPDATE: "safeUpdate",
} as const satisfies Partial<Record<keyof typeof SCHEMA.shape, keyof RestConfig>>;

/** Names of settings in the database, such as `pgrst.db_schemas`. */
export const DATABASE_SETTINGS: readonly string[] = Object.keys(FIELD_OF).map((name) => `pgrst.${name.toLowerCase()}`);

/**
 * What `pgrst.…` and `app.settings.…` settings say, as fields of the configuration; others are ignored.
 * @throws {InvalidEnvironment}
 */
export function fieldsFromDatabase(settings: ReadonlyMap<string, string>): Partial<RestConfig> {
  const own: Record<string, string> = {};
  const appSettings: Record<string, string> = {};
  const fields = new Set<keyof RestConfig>();
  for (const [name, value] of settings) {
    const key = name.startsWith("pgrst.") ? name.slice("pgrst.".length).toUpperCase() : "";
    if (Object.hasOwn(FIELD_OF, key)) {
      own[key] = value;
      fields.add(FIELD_OF[key as keyof typeof FIELD_OF]);
    } else if (name.startsWith("app.settings.")) {
      appSettings[name.slice("app.settings.".length)] = value;
      fields.add("appSettings");
    }
  }
  const { config } = settingsOf(own, appSettings, {}, (value) => value);
  return Object.fromEntries(Object.entries(config).filter(([field]) => fields.has(field as keyof RestConfig)));
}

/** Comma-separated; blanks around items do not count. */
function parseList(text: string): string[] {
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

/** `*`, `*4`, `*6`, `!4` and `!6` stand for all interfaces. */
function bindAddress(host: string): string {
  if (host === "*" || host === "*6" || host === "!6") return "::";
  return host === "*4" || host === "!4" ? "0.0.0.0" : host;
}

/** A value may name a file that holds it: `@path`. */
function fromFile(value: string): string {
  return value.startsWith("@") ? readFileSync(value.slice(1), "utf8").trim() : value;
}

function keysOrProblem(
  secret: string | null,
  isBase64: boolean,
  resolve: (value: string) => string,
  problems: string[],
): VerificationKeys {
  if (secret === null) return null;
  try {
    return parseKeys(resolve(secret), isBase64);
  } catch (error) {
    problems.push(`PGRST_JWT_SECRET: ${error instanceof Error ? error.message : String(error)}`);
    return null;
  }
}

/** A secret, a JWK or a set of JWKs. */
function parseKeys(secret: string, isBase64: boolean): VerificationKeys {
  if (secret.trimStart().startsWith("{")) {
    const jwk = JSON.parse(secret) as JsonWebKey & { readonly keys?: readonly JsonWebKey[] };
    return { secrets: [], jwks: jwk.keys ?? [jwk], strictKid: true, revoked: new Set() };
  }
  const key = isBase64 ? Buffer.from(secret.replace(/_/g, "/").replace(/-/g, "+"), "base64") : Buffer.from(secret);
  if (key.length < MIN_SECRET_LENGTH) throw new Error(`needs at least ${MIN_SECRET_LENGTH} characters`);
  return { secrets: [{ key, kid: undefined }], jwks: [], strictKid: true, revoked: new Set() };
}

function addressOrProblem(
  uri: string,
  env: Readonly<Record<string, string | undefined>>,
  problems: string[],
): DatabaseAddress | null {
  try {
    return parseAddress(fromFile(uri), env);
  } catch (error) {
    problems.push(`PGRST_DB_URI: ${error instanceof Error ? error.message : String(error)}`);
    return null;
  }
}

/** A URI, or keywords and values; what it leaves out comes from libpq's variables. */
function parseAddress(text: string, env: Readonly<Record<string, string | undefined>>): DatabaseAddress {
  const given = /^postgres(ql)?:\/\//.test(text) ? partsOfUri(text) : partsOfKeywords(text);
  const user = given.user ?? env.PGUSER ?? env.USER ?? "postgres";
  const sslMode = given.sslmode ?? env.PGSSLMODE ?? "prefer";
  return {
    host: given.host ?? env.PGHOST ?? "localhost",
    port: Number(given.port ?? env.PGPORT ?? 5432),
    user,
    password: given.password ?? env.PGPASSWORD ?? "",
    database: given.dbname ?? env.PGDATABASE ?? user,
    ssl: sslMode.startsWith("verify") || sslMode === "require",
  };
}

type Parts = Partial<Record<"host" | "port" | "user" | "password" | "dbname" | "sslmode", string>>;

function partsOfUri(text: string): Parts {
  if (/^postgres(ql)?:\/\/$/.test(text)) return {};
  const url = new URL(text);
  const parts: Parts = {};
  if (url.hostname !== "") parts.host = decodeURIComponent(url.hostname);
  if (url.port !== "") parts.port = url.port;
  if (url.username !== "") parts.user = decodeURIComponent(url.username);
  if (url.password !== "") parts.password = decodeURIComponent(url.password);
  if (url.pathname.length > 1) parts.dbname = decodeURIComponent(url.pathname.slice(1));
  for (const name of ["host", "port", "user", "password", "dbname", "sslmode"] as const) {
    const value = url.searchParams.get(name);
    if (value !== null) parts[name] = value;
  }
  return parts;
}

function partsOfKeywords(text: string): Parts {
  const parts: Record<string, string> = {};
  for (const [, name = "", quoted, plain] of text.matchAll(/(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|(\S*))/g)) {
    parts[name] = (quoted ?? plain ?? "").replace(/\\(.)/g, "$1");
  }
  return parts;
}

/** `-c name=value` of PGOPTIONS, and PGTZ. */
function sessionSettings(env: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> {
  const settings: Record<string, string> = {};
  for (const [, name = "", value = ""] of (env.PGOPTIONS ?? "").matchAll(/(?:-c\s*|--)([\w.]+)=(\S*)/g)) {
    settings[name] = value;
  }
  if (env.PGTZ) settings.timezone = env.PGTZ;
  return settings;
}
