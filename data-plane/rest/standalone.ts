/** One database behind an HTTP server of its own, with reloads, in-database configuration and an admin port. */
import { pino } from "pino";
import type { ProjectRef } from "../../control-plane/client/config-snapshot.ts";
import { ConnectionLost, type ProjectDatabases } from "../database/database.ts";
import { WorkerPool } from "../work/worker-pool.ts";
import { adminHandler } from "./admin.ts";
import { readStandaloneConfig } from "./database-config.ts";
import type { StandaloneSettings } from "./environment.ts";
import { createHttpServer, type Handler } from "./http-server.ts";
import { payloadScanner } from "./request/scan-payload.ts";
import { RestDatabase, type RestLogger } from "./rest-database.ts";
import { SchemaWatch } from "./schema-watch.ts";

export interface StandaloneOptions {
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
  reload(): void;
  close(): Promise<void>;
}

/** The layer below knows databases by project; this one has none, so any ref will do. */
const ONLY_PROJECT = "standalone".padEnd(20, "x") as ProjectRef;
/** Requests in flight get this long when the server is closed. */
const CLOSE_MS = 10_000;
const PINO_LEVELS = { crit: "fatal", error: "error", warn: "warn", info: "info", debug: "debug" } as const;

export async function startStandalone(options: StandaloneOptions): Promise<RunningStandalone> {
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
  const { settings } = options;
  const { config, databaseConfig } = settings;
  if (!config.jwtRoleClaimKey.startsWith("$")) {
    logger.warn({ key: config.jwtRoleClaimKey }, "the older form of jwt-role-claim-key; better a JSON path (RFC 9535)");
  }
  const { channel } = config;
  const watch =
    channel === null
      ? null
      : new SchemaWatch({
          listen: (handlers) => databases.listen(ONLY_PROJECT, address, channel, handlers),
          onChange: () => rest.reload(),
          now: Date.now,
          logger,
        });
  const workers = new WorkerPool();
  const rest = new RestDatabase({
    database,
    config,
    readDatabaseConfig: async () => {
      if (databaseConfig === null) return {};
      try {
        return await readStandaloneConfig(database, databaseConfig.preConfig);
      } catch (error) {
        if (error instanceof ConnectionLost) throw error;
        logger.warn({ error: String(error) }, "in-database configuration could not be read");
        return {};
      }
    },
    untilWatched: async () => watch?.settled(),
    scanLarge: payloadScanner(workers, ONLY_PROJECT),
    now: Date.now,
    logger,
  });
  rest.warmUp().catch(() => {}); // told in the log; requests try again

  const handle: Handler = async (request) => {
    watch?.touch();
    const response = await rest.handle(request);
    logResponse(logger, request, response.status);
    return response;
  };
  const server = createHttpServer(handle, (error) => logger.error({ err: error }, "request failed"));
  const port = await server.listen({
    host: config.serverHost,
    port: config.serverPort,
    unixSocket: settings.unixSocket,
  });
  const admin = settings.admin === null ? null : createHttpServer(adminHandler(rest, database), () => {});
  if (admin && settings.admin) await admin.listen(settings.admin);
  logger.info({ port }, "listening");

  return {
    port,
    reload: () => rest.reload(),
    async close() {
      await Promise.all([server.close(CLOSE_MS), admin?.close(0)]);
      rest.close();
      await watch?.close();
      await databases.close();
      await workers.close();
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
