/**
 * One serving process of the standalone stack: the gateway, and the services that it calls directly. Its primary starts
 * it, tells it everything over the channel between them, and replaces it when it ends or stands still.
 */

import { flushCompileCache } from "node:module";
import { Gauge } from "prom-client";
import { createConfigCache } from "../../control-plane/client/config-cache.ts";
import { surviveUnhandled } from "../../control-plane/client/process.ts";
import { createTrafficReports } from "../../control-plane/client/traffic-reports.ts";
import { createLogger } from "../../control-plane/logger.ts";
import { HeldBytes } from "../../data-plane/held-bytes.ts";
import { createHttpHost } from "../../data-plane/http-host.ts";
import { watchConfigs } from "../../data-plane/metrics.ts";
import { RUNNABLE_SERVICES, startServices } from "../../data-plane/running-services.ts";
import { createGatewayMetrics } from "../../gateway/metrics.ts";
import { createGateway } from "../../gateway/server.ts";
import { ALIVE_MS, type FromWorker, type ToWorker, type WorkerSettings } from "./messages.ts";
import { ServingPeers } from "./peers.ts";

const DRAIN_MS = 10_000;

let peers: ServingPeers | null = null;
let replacements = 0;
let stop: ((isReplaced: boolean) => Promise<void>) | null = null;

process.on("message", (message: ToWorker) => {
  switch (message.kind) {
    case "start":
      start(message.settings).then(
        (stopServing) => {
          stop = stopServing;
        },
        (error: Error) => {
          console.error(error);
          tell({ kind: "failed", message: error.message });
          process.exit(1);
        },
      );
      break;
    case "peers":
      peers?.update(message.origins);
      replacements = message.replacements;
      break;
    case "stop":
      void end(message.isReplaced);
      break;
  }
});
// The primary is gone, and with it PostgreSQL and the control plane: there is nothing left to serve.
process.on("disconnect", () => process.exit(0));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => tell({ kind: "leaving" }));

function tell(message: FromWorker): void {
  if (process.connected) process.send?.(message);
}

async function end(isReplaced: boolean): Promise<void> {
  await stop?.(isReplaced).catch((error: unknown) => console.error(error));
  process.exit(0);
}

async function start(settings: WorkerSettings): Promise<(isReplaced: boolean) => Promise<void>> {
  const logger = createLogger(settings.logLevel, (line) => process.stderr.write(line)).child({ worker: settings.slot });
  const { controlPlaneUrl } = settings;
  const serviceConfigs = createConfigCache({
    controlPlaneUrl,
    token: settings.serviceToken,
    audience: "service",
    logger,
  });
  const gatewayConfigs = createConfigCache({
    controlPlaneUrl,
    token: settings.gatewayToken,
    audience: "gateway",
    logger,
  });
  const metrics = createGatewayMetrics();
  surviveUnhandled(logger, metrics.registry);
  watchConfigs(metrics.registry, { gateway: gatewayConfigs, service: serviceConfigs });
  const { maxima } = settings;
  const heldBytes = new HeldBytes(maxima.heldBytes / settings.slots.length);
  const services = await startServices({
    services: RUNNABLE_SERVICES,
    maxDatabaseConnections: settings.maxDatabaseConnections,
    storage: settings.storage,
    configs: serviceConfigs,
    registry: metrics.registry,
    logger,
    maxima,
    heldBytes,
  });
  const isAlone = settings.slots.length === 1;
  if (!isAlone) {
    peers = new ServingPeers(settings.slot, settings.slots);
    metrics.registry.setDefaultLabels({ worker: settings.slot });
  }
  new Gauge({
    name: "supalove_serving_processes_replaced",
    help: "Serving processes that were replaced since the start, whether they died, stood still or were told to end.",
    registers: isAlone || settings.slot === settings.slots[0] ? [metrics.registry] : [],
    collect() {
      this.set(replacements);
    },
  });
  const gateway = createGateway({
    configs: gatewayConfigs,
    localServices: services.local,
    ...(peers && { peers, serviceToken: settings.peerToken }),
    publicUrl: settings.publicGatewayUrl,
    baseDomains: settings.baseDomains,
    trustedHops: settings.trustedProxies,
    maxima,
    heldBytes,
    sharePort: true,
    metrics,
    sendTraffic: createTrafficReports({ controlPlaneUrl, token: settings.gatewayToken }),
    logger,
    ...(["debug", "info"].includes(settings.logLevel)
      ? { accessLog: (lines: string) => void process.stderr.write(lines) }
      : {}),
  });
  // What the others hand over: they have judged it, it goes to the services.
  const host = createHttpHost({
    services: services.local,
    heldBytes,
    serviceToken: settings.peerToken,
    isReady: () => true,
    registry: metrics.registry,
    logger,
  });
  const peerOrigin = isAlone ? null : `http://127.0.0.1:${(await host.listen(0, "127.0.0.1")).port}`;
  await gateway.listen(settings.gatewayPort, settings.host);
  const alive = setInterval(() => tell({ kind: "alive" }), ALIVE_MS);
  tell({ kind: "ready", peerOrigin });
  flushCompileCache(); // Node would write it at the end, and a process that is killed has none

  return async (isReplaced) => {
    await Promise.all([gateway.drain(DRAIN_MS, isReplaced), host.drain(DRAIN_MS)]);
    gateway.close();
    host.close();
    await services.close();
    gatewayConfigs.close();
    serviceConfigs.close();
    clearInterval(alive);
  };
}
