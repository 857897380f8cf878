/**
 * The services that a process runs, composed in one place: `main.ts` serves them to gateways elsewhere, the standalone
 * stack calls them in its gateway's process. A process loads the code of the services that it runs, and of no other.
 */
import type { Logger } from "pino";
import type { Registry } from "prom-client";
import type { ConfigCache } from "../control-plane/client/config-cache.ts";
import type { ServiceName, ServiceSnapshot } from "../control-plane/client/config-snapshot.ts";
import type { Maxima } from "../control-plane/client/maxima.ts";
import type { ProjectDatabases } from "./database/database.ts";
import { createProjectDatabases } from "./database/project-databases.ts";
import type { HeldBytes } from "./held-bytes.ts";
import { createLocalServices, type LocalServices, type ProbedService } from "./local-services.ts";
import { watchDatabases, watchRealtime, watchRest } from "./metrics.ts";
import type { Service } from "./service.ts";
import type { SocketService } from "./socket-service.ts";
import type { StorageOptions } from "./storage/backend/storage-options.ts";
import { WorkerPool } from "./work/worker-pool.ts";

export interface RunningServices {
  readonly local: LocalServices;
  /** Ends the services, then closes the databases. The config cache stays open: it belongs to the caller. */
  close(): Promise<void>;
}

/** What a service is built from. One that keeps something per project asks `configs` for changes itself. */
export interface ServiceParts {
  readonly databases: ProjectDatabases;
  readonly storage: StorageOptions;
  readonly configs: ConfigCache<"service">;
  readonly registry: Registry;
  readonly logger: Logger;
  /** No project gets more, whatever its settings say. */
  readonly maxima: Maxima;
  /** What the process holds for clients and tenants: take from it before you hold more than a few kilobytes. */
  readonly heldBytes: HeldBytes;
  /** For work on bytes that would hold up the event loop all share. */
  readonly workers: WorkerPool;
}

interface RunningService {
  readonly handle: Service;
  /** Left out: a statement on the project's pool. A service that keeps more than that of a project looks there itself. */
  probe?(project: ServiceSnapshot): Promise<unknown>;
  readonly openSocket?: SocketService;
  close(): Promise<void>;
}

const STARTERS: Partial<Readonly<Record<ServiceName, (parts: ServiceParts) => Promise<RunningService>>>> = {
  async rest({ databases, registry, logger, maxima, workers }) {
    const { createRestService } = await import("./rest/service.ts");
    const rest = createRestService({ databases, workers, maxima, now: Date.now, logger });
    watchRest(registry, rest);
    return rest;
  },
  async auth({ databases, configs, registry, logger, maxima }) {
    const { createAuthService } = await import("./auth/service.ts");
    const auth = createAuthService({ databases, now: () => new Date(), registry, logger, maxima });
    const stopFollowing = configs.onChange(({ projectRef, snapshot }) => auth.configChanged(projectRef, snapshot));
    return {
      handle: auth.handle,
      close() {
        stopFollowing();
        return auth.close();
      },
    };
  },
  async realtime({ databases, configs, registry, logger }) {
    const { createRealtimeService } = await import("./realtime/service.ts");
    const realtime = createRealtimeService({ databases, configs, now: Date.now, logger });
    watchRealtime(registry, realtime);
    return realtime;
  },
  async storage({ databases, storage, configs, heldBytes, logger }) {
    const { createStorageService } = await import("./storage/service.ts");
    const { openBackend } = await import("./storage/backend/open-backend.ts");
    const snapshotOf = (ref: string) => configs.get(ref);
    const opened = await openBackend(storage);
    const service = createStorageService({ ...opened, databases, snapshotOf, heldBytes, logger, now: Date.now });
    const stopErasing = configs.onChange(({ projectRef, snapshot }) => {
      if (snapshot !== null) return;
      service.projectDeleted(projectRef).catch((error) => logger.warn({ err: error, projectRef }, "bytes not erased"));
    });
    return {
      handle: service.handle,
      async close() {
        stopErasing();
        await service.close();
      },
    };
  },
};

const LOOK = { text: "/* probeService */ select 1", values: [], prepare: true };

/** The services that this version has; the others of a project answer that they are not available. */
export const RUNNABLE_SERVICES = Object.keys(STARTERS) as readonly ServiceName[];

/**
 * @param options.maxDatabaseConnections Connections to project databases that all the services may hold together.
 * @param options.services Names out of {@link RUNNABLE_SERVICES}.
 */
export async function startServices(options: {
  readonly services: readonly ServiceName[];
  readonly maxDatabaseConnections: number;
  /** Where the bytes of objects lie. */
  readonly storage: StorageOptions;
  readonly configs: ConfigCache<"service">;
  readonly registry: Registry;
  readonly logger: Logger;
  readonly maxima: Maxima;
  /** Shared with the gateway when it runs in the same process. */
  readonly heldBytes: HeldBytes;
}): Promise<RunningServices> {
  const { storage, configs, registry, logger, maxima, heldBytes } = options;
  const databases = createProjectDatabases({
    maxConnections: options.maxDatabaseConnections,
    maxResponseBytes: maxima.responseBytes,
    maxErrorBytes: maxima.errorBytes,
    heldBytes,
    logger,
  });
  const workers = new WorkerPool();
  watchDatabases(registry, databases);
  const resting = new Set<string>();
  const stopReleasing = configs.onChange(({ projectRef, snapshot }) => {
    // Once more when the project is back: a request that was under way may have opened a pool meanwhile, in vain, and
    // nobody should wait until that one tries again.
    const isBack = snapshot?.state === "active" && resting.delete(projectRef);
    if (snapshot?.state === "active" && !isBack) return;
    if (snapshot === null) resting.delete(projectRef);
    else if (!isBack) resting.add(projectRef);
    databases.release(projectRef).catch((error) => logger.warn({ err: error }, "a database pool did not close"));
  });
  const lookAtDatabase = ({ projectRef, database }: ServiceSnapshot) =>
    databases.get(projectRef, database).pipeline([LOOK]);

  const running: RunningService[] = [];
  const close = async () => {
    for (const service of running) await service.close();
    stopReleasing();
    await databases.close();
    await workers.close();
  };
  const services: Partial<Record<ServiceName, ProbedService>> = {};
  try {
    for (const name of options.services) {
      const start = STARTERS[name];
      if (!start) throw new Error(`the service ${name} cannot run here`);
      const service = await start({ databases, storage, configs, registry, logger, maxima, heldBytes, workers });
      running.push(service);
      services[name] = {
        handle: service.handle,
        probe: (project) => service.probe?.(project) ?? lookAtDatabase(project),
        ...(service.openSocket && { openSocket: service.openSocket }),
      };
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { local: createLocalServices({ configs, services }), close };
}
