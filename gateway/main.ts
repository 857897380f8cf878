/** The gateway as a process of its own: every upstream is remote. Standalone runs it inside compose/ instead. */
import { pino } from "pino";
import { createConfigCache } from "../control-plane/client/config-cache.ts";
import { maximaOf } from "../control-plane/client/maxima.ts";
import { isThere, startProcess, stopAtSignal, surviveUnhandled } from "../control-plane/client/process.ts";
import { createTrafficReports } from "../control-plane/client/traffic-reports.ts";
import { watchConfigs } from "../data-plane/metrics.ts";
import { type Environment, parseEnvironment } from "./environment.ts";
import { createGatewayMetrics } from "./metrics.ts";
import { createGateway } from "./server.ts";

await startProcess(() => start(parseEnvironment(process.env)));

async function start(environment: Environment): Promise<void> {
  const logger = pino({ level: environment.SUPALOVE_LOG_LEVEL, base: null });
  const configs = createConfigCache({
    audience: "gateway",
    controlPlaneUrl: environment.CONTROL_PLANE_URL,
    token: environment.SUPALOVE_GATEWAY_TOKEN,
    logger,
  });
  const metrics = createGatewayMetrics();
  surviveUnhandled(logger, metrics.registry);
  watchConfigs(metrics.registry, { gateway: configs });
  const tlsDirectory = environment.SUPALOVE_TLS_DIRECTORY;
  const internalToken = environment.SUPALOVE_INTERNAL_TOKEN;
  const gateway = createGateway({
    configs,
    localServices: null,
    metrics,
    sendTraffic: createTrafficReports({
      controlPlaneUrl: environment.CONTROL_PLANE_URL,
      token: environment.SUPALOVE_GATEWAY_TOKEN,
    }),
    publicUrl: environment.SUPALOVE_PUBLIC_GATEWAY_URL,
    baseDomains: environment.SUPALOVE_BASE_DOMAIN,
    ownHosts: environment.SUPALOVE_GATEWAY_HOSTS,
    trustedHops: environment.SUPALOVE_TRUSTED_PROXIES,
    metricsReaders: environment.SUPALOVE_METRICS_READERS,
    ...(tlsDirectory !== undefined && { tls: { directory: tlsDirectory } }),
    maxima: maximaOf(environment),
    sharePort: environment.SUPALOVE_SHARE_PORT,
    ...(internalToken !== undefined && { serviceToken: internalToken }),
    ...(environment.SUPALOVE_ACCESS_LOG && { accessLog: (lines: string) => void process.stdout.write(lines) }),
    logger,
  });
  stopAtSignal(logger, async () => {
    await gateway.drain();
    gateway.close();
    configs.close();
  });

  // Without the control plane there is nothing to serve yet; afterwards it may go away.
  if (!(await isThere(configs.ready))) return; // told to stop before
  const { port } = await gateway.listen(environment.GATEWAY_PORT, environment.SUPALOVE_HOST);
  logger.info({ port }, "the gateway is ready");
}
