/** Data-plane services as a process of their own, behind gateways elsewhere. Standalone runs them inside compose/. */
import { pino } from "pino";
import { collectDefaultMetrics, Registry } from "prom-client";
import { createConfigCache } from "../control-plane/client/config-cache.ts";
import type { ServiceName } from "../control-plane/client/config-snapshot.ts";
import { EnvironmentError } from "../control-plane/client/environment-variables.ts";
import { startProcess, stopAtSignal } from "../control-plane/client/process.ts";
import { createProjectDatabases } from "./database/project-databases.ts";
import { type Environment, parseEnvironment } from "./environment.ts";
import { createHttpHost } from "./http-host.ts";
import { createLocalServices } from "./local-services.ts";
import { watchDatabases, watchRest } from "./metrics.ts";
import type { Service } from "./service.ts";

interface RunningService {
  readonly handle: Service;
  close(): Promise<void>;
}

await startProcess(() => start(parseEnvironment(process.env)));

async function start(environment: Environment): Promise<void> {
  const logger = pino({ level: environment.SUPALOVE_LOG_LEVEL, base: null });
  const configs = createConfigCache({
    audience: "service",
    controlPlaneUrl: environment.CONTROL_PLANE_URL,
    token: environment.SUPALOVE_SERVICE_TOKEN,
    logger,
  });
  const databases = createProjectDatabases({ maxConnections: environment.SUPALOVE_MAX_DATABASE_CONNECTIONS, logger });
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  watchDatabases(registry, databases);
  const stopReleasing = configs.onChange(({ projectRef, snapshot }) => {
    if (snapshot?.state === "active") return;
    databases.release(projectRef).catch((error) => logger.warn({ err: error }, "a database pool did not close"));
  });

  const running: RunningService[] = [];
  const services: Partial<Record<ServiceName, Service>> = {};
  for (const name of environment.SUPALOVE_SERVICES) {
    const service = await createService(name);
    running.push(service);
    services[name] = service.handle;
  }

  /** A process loads the code of the services that it runs, and no other. */
  async function createService(name: ServiceName): Promise<RunningService> {
    switch (name) {
      case "rest": {
        const rest = (await import("./rest/service.ts")).createRestService({ databases, now: Date.now, logger });
        watchRest(registry, rest);
        return rest;
      }
      case "auth":
        return (await import("./auth/service.ts")).createAuthService({ databases, now: () => new Date(), logger });
      default:
        throw new EnvironmentError(`The environment cannot be used:\n  SUPALOVE_SERVICES: ${name} cannot run here`);
    }
  }

  const host = createHttpHost({
    services: createLocalServices({ configs, services }),
    serviceToken: environment.SUPALOVE_INTERNAL_TOKEN,
    isReady: () => true,
    registry,
    logger,
  });
  // Without the control plane there is nothing to serve yet; afterwards it may go away.
  await configs.ready;
  const { port } = await host.listen(environment.SERVICE_PORT, environment.SUPALOVE_HOST);
  logger.info({ port, services: environment.SUPALOVE_SERVICES }, "the services are ready");

  stopAtSignal(logger, async () => {
    await host.drain();
    host.close();
    for (const service of running) await service.close();
    stopReleasing();
    configs.close();
    await databases.close();
  });
}
