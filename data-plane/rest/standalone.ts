/** One database behind an HTTP server of its own, with reloads, in-database configuration and an admin port. */
import type { Server } from "node:http";
import { pino } from "pino";
import type { ProjectRef } from "../../control-plane/client/config-snapshot.ts";
import type { ProjectDatabase, ProjectDatabases } from "../database/database.ts";
import { adminHandler } from "./admin.ts";
import { overrideFromDatabase, type StandaloneSettings } from "./environment.ts";
import { createHttpServer, type Handler, listen } from "./http-server.ts";
import { RestDatabase, type RestLogger } from "./rest-database.ts";

export interface StandaloneOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly settings: StandaloneSettings;
  readonly createDatabases: (options: {
    maxConnections: number;
    maxConnectionsPerProject: number;
    pipelineConnections: number;
    acquireTimeoutMs: number;
    idleTimeoutMs: number;
    maxLifetimeMs: number;
    sessionSettings: Readonly<Record<string, string>>;
  }) => ProjectDatabases;
}

export interface RunningStandalone {
  readonly port: number;
  reloadSchema(): void;
  reloadConfig(): Promise<void>;
  close(): Promise<void>;
}

/** The layer below knows databases by project; this one has none, so any ref will do. */
const ONLY_PROJECT = "standalone".padEnd(20, "x") as ProjectRef;
const PINO_LEVELS = { crit: "fatal", error: "error", warn: "warn", info: "info", debug: "debug" } as const;

export async function startStandalone(options: StandaloneOptions): Promise<RunningStandalone> {
  const { env } = options;
  const { pool, database: address } = options.settings;
  const logger = pino({ level: PINO_LEVELS[options.settings.logLevel] });
  const databases = options.createDatabases({
    maxConnections: pool.size + 1, // one more to listen
    maxConnectionsPerProject: pool.size,
    pipelineConnections: pool.size,
    acquireTimeoutMs: pool.acquireTimeoutMs,
    idleTimeoutMs: pool.idleTimeoutMs,
    maxLifetimeMs: pool.maxLifetimeMs,
    sessionSettings: { client_min_messages: "error", ...options.settings.sessionSettings },
  });
  const database = databases.get(ONLY_PROJECT, address);
  const settings = await configured(env, options.settings, database, logger);
  const { config } = settings;
  const rest = new RestDatabase({ database, config, now: Date.now, logger });

  const reloadConfig = async () => {
    const next = await configured(env, options.settings, database, logger);
    rest.configure(next.config);
  };
  const listener =
    config.channel === null
      ? null
      : await databases
          .listen(ONLY_PROJECT, address, config.channel, {
            onNotification: (payload) => {
              if (payload === "" || payload === "reload config") void reloadConfig();
              if (payload === "" || payload === "reload schema") rest.reload();
            },
            onReconnect: () => rest.reload(),
          })
          .catch((error: unknown) => {
            logger.warn({ error: String(error) }, "cannot listen for reloads");
            return null;
          });
  rest.warmUp().catch(() => {}); // told in the log; requests try again

  const handle: Handler = async (request) => {
    const response = await rest.handle(request);
    logResponse(logger, request, response.status);
    return response;
  };
  const server = createHttpServer(handle, (error) => logger.error({ err: error }, "request failed"));
  const port = await listen(server, {
    host: config.serverHost,
    port: config.serverPort,
    unixSocket: settings.unixSocket,
  });
  const admin = settings.admin === null ? null : createHttpServer(adminHandler(rest, database), () => {});
  if (admin && settings.admin) await listen(admin, settings.admin);
  logger.info({ port }, "listening");

  return {
    port,
    reloadSchema: () => rest.reload(),
    reloadConfig,
    async close() {
      await Promise.all([closeServer(server), admin ? closeServer(admin) : undefined]);
      rest.close();
      await listener?.close();
      await databases.close();
    },
  };
}

function logResponse(
  logger: RestLogger & { error: RestLogger["warn"] },
  request: { method: string; path: string },
  status: number,
) {
  const fields = { method: request.method, path: request.path, status };
  if (status >= 500) logger.error(fields, "request");
  else if (status >= 400) logger.warn(fields, "request");
  else logger.info(fields, "request");
}

/** With what the database itself says, which may be nothing; a failure leaves the environment's word. */
async function configured(
  env: Readonly<Record<string, string | undefined>>,
  settings: StandaloneSettings,
  database: ProjectDatabase,
  logger: RestLogger,
): Promise<StandaloneSettings> {
  if (settings.databaseConfig === null) return settings;
  try {
    return overrideFromDatabase(env, await readDatabaseConfig(database, settings.databaseConfig.preConfig));
  } catch (error) {
    logger.warn({ error: String(error) }, "in-database configuration could not be read");
    return settings;
  }
}

/** Settings of the login, of all databases and then of this one, and what the pre-config function sets. */
async function readDatabaseConfig(
  database: ProjectDatabase,
  preConfig: string | null,
): Promise<ReadonlyMap<string, string>> {
  return database.withTransaction(async (transaction) => {
    const found = new Map<string, string>();
    const ofRole = await transaction.query<{ setting: string }>(
      `/* readDatabaseConfig */ select unnest(setting.setconfig) as setting
       from pg_catalog.pg_db_role_setting setting
       where setting.setrole = current_user::regrole
         and setting.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = current_database()))
       order by setting.setdatabase`,
    );
    for (const { setting } of ofRole) {
      const equals = setting.indexOf("=");
      found.set(setting.slice(0, equals), setting.slice(equals + 1));
    }
    if (preConfig !== null) {
      const name = preConfig
        .split(".")
        .map((part) => `"${part.replaceAll('"', '""')}"`)
        .join(".");
      await transaction.query(`/* callPreConfig */ select ${name}()`);
      for (const key of PRE_CONFIG_NAMES) {
        const [row] = await transaction.query<{ value: string | null }>(
          "/* readPreConfig */ select nullif(current_setting($1, true), '') as value",
          [key],
        );
        if (row?.value) found.set(key, row.value);
      }
    }
    return found;
  });
}

/** Placeholder settings are not listed anywhere, so a pre-config function's are asked for one by one. */
const PRE_CONFIG_NAMES = [
  "client_error_verbosity",
  "db_aggregates_enabled",
  "db_anon_role",
  "db_extra_search_path",
  "db_hoisted_tx_settings",
  "db_max_rows",
  "db_plan_enabled",
  "db_pre_request",
  "db_prepared_statements",
  "db_root_spec",
  "db_schemas",
  "db_tx_end",
  "jwt_aud",
  "jwt_cache_max_entries",
  "jwt_role_claim_key",
  "jwt_secret",
  "jwt_secret_is_base64",
  "openapi_mode",
  "openapi_security_active",
  "openapi_server_proxy_uri",
  "server_cors_allowed_origins",
  "server_timing_enabled",
  "server_trace_header",
].map((name) => `pgrst.${name}`);

function closeServer(server: Server): Promise<void> {
  return new Promise((closed) => {
    server.close(() => closed());
    server.closeIdleConnections();
  });
}
