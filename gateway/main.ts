/** The gateway as a process of its own: every upstream is remote. Standalone runs it inside compose/ instead. */
import { pino } from "pino";
import { createConfigCache } from "../control-plane/client/config-cache.ts";
import { EnvironmentError } from "../control-plane/client/environment-variables.ts";
import { type Environment, parseEnvironment } from "./environment.ts";
import { createGateway } from "./server.ts";

try {
  await start(parseEnvironment(process.env));
} catch (error) {
  if (!(error instanceof EnvironmentError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

async function start(environment: Environment): Promise<void> {
  const logger = pino({ level: environment.SUPALOVE_LOG_LEVEL, base: null });
  const configs = createConfigCache({
    audience: "gateway",
    controlPlaneUrl: environment.CONTROL_PLANE_URL,
    token: environment.SUPALOVE_GATEWAY_TOKEN,
    logger,
  });
  const tlsDirectory = environment.SUPALOVE_TLS_DIRECTORY;
  const internalToken = environment.SUPALOVE_INTERNAL_TOKEN;
  const gateway = createGateway({
    configs,
    localServices: null,
    publicUrl: environment.SUPALOVE_PUBLIC_GATEWAY_URL,
    baseDomains: environment.SUPALOVE_BASE_DOMAIN,
    ownHosts: environment.SUPALOVE_GATEWAY_HOSTS,
    trustedHops: environment.SUPALOVE_TRUSTED_PROXIES,
    metricsReaders: environment.SUPALOVE_METRICS_READERS,
    ...(tlsDirectory !== undefined && { tls: { directory: tlsDirectory } }),
    sharePort: environment.SUPALOVE_SHARE_PORT,
    ...(internalToken !== undefined && { serviceToken: internalToken }),
    ...(environment.SUPALOVE_ACCESS_LOG && { accessLog: (lines: string) => void process.stdout.write(lines) }),
    logger,
  });
  // Without the control plane there is nothing to serve yet; afterwards it may go away.
  await configs.ready;
  const { port } = await gateway.listen(environment.GATEWAY_PORT, environment.SUPALOVE_HOST);
  logger.info({ port }, "the gateway is ready");

  let closing = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (closing) process.exit(1); // asked a second time
      closing = true;
      logger.info({ signal }, "draining");
      void gateway.drain().then(() => {
        gateway.close();
        configs.close();
      });
    });
  }
}
