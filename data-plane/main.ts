/** Data-plane services as a process of their own, behind gateways elsewhere. Standalone runs them inside compose/. */
import { pino } from "pino";
import { collectDefaultMetrics, Registry } from "prom-client";
import { createConfigCache } from "../control-plane/client/config-cache.ts";
import { maximaOf } from "../control-plane/client/maxima.ts";
import { isThere, startProcess, stopAtSignal, surviveUnhandled } from "../control-plane/client/process.ts";
import { type Environment, parseEnvironment } from "./environment.ts";
import { HeldBytes } from "./held-bytes.ts";
import { createHttpHost } from "./http-host.ts";
import { watchConfigs } from "./metrics.ts";
import { startServices } from "./running-services.ts";
import { s3StoreOptions } from "./storage/environment.ts";

await startProcess(() => start(parseEnvironment(process.env)));

async function start(environment: Environment): Promise<void> {
  const logger = pino({ level: environment.SUPALOVE_LOG_LEVEL, base: null });
  const configs = createConfigCache({
    audience: "service",
    controlPlaneUrl: environment.CONTROL_PLANE_URL,
    token: environment.SUPALOVE_SERVICE_TOKEN,
    logger,
  });
  const maxima = maximaOf(environment);
  const heldBytes = new HeldBytes(maxima.heldBytes);
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  surviveUnhandled(logger, registry);
  watchConfigs(registry, { service: configs });
  const services = await startServices({
    services: environment.SUPALOVE_SERVICES,
    maxDatabaseConnections: environment.SUPALOVE_MAX_DATABASE_CONNECTIONS,
    storage: { directory: environment.SUPALOVE_STORAGE_DIRECTORY, s3: s3StoreOptions(environment) },
    configs,
    registry,
    logger,
    maxima,
    heldBytes,
  });
  const host = createHttpHost({
    services: services.local,
    heldBytes,
    serviceToken: environment.SUPALOVE_INTERNAL_TOKEN,
    isReady: () => true,
    registry,
    logger,
  });
  stopAtSignal(logger, async () => {
    await host.drain();
    host.close();
    await services.close();
    configs.close();
  });

  // Without the control plane there is nothing to serve yet; afterwards it may go away.
  if (!(await isThere(configs.ready))) return; // told to stop before
  const { port } = await host.listen(environment.SERVICE_PORT, environment.SUPALOVE_HOST);
  logger.info({ port, services: environment.SUPALOVE_SERVICES }, "the services are ready");
}
