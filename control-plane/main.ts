/** The control plane as a process of its own. Standalone runs it inside compose/ instead. */
import { mkdirSync, readFileSync } from "node:fs";
import { ensureInstanceOwner } from "./accounts/instance-owner.ts";
import { ensureServiceToken } from "./accounts/service-tokens.ts";
import type { Upstream } from "./client/config-snapshot.ts";
import { startProcess, stopAtSignal, surviveUnhandled } from "./client/process.ts";
import { type Environment, parseEnvironment } from "./environment.ts";
import { createLogger } from "./logger.ts";
import { operatorOptions } from "./operator-variables.ts";
import { loadMasterKeyFile, type MasterKeys, parseMasterKeys } from "./secrets/master-keys.ts";
import { type ControlPlane, createControlPlane } from "./server.ts";

await startProcess(() => start(parseEnvironment(process.env)));

async function start(environment: Environment): Promise<void> {
  const logger = createLogger(environment.SUPALOVE_LOG_LEVEL);
  const controlPlane = await createControlPlane({
    databaseUrl: environment.DATABASE_URL,
    masterKeys: readMasterKeys(environment),
    publicGatewayUrl: environment.SUPALOVE_PUBLIC_GATEWAY_URL,
    internalGatewayUrl: environment.SUPALOVE_INTERNAL_GATEWAY_URL,
    baseDomain: environment.SUPALOVE_BASE_DOMAIN,
    logger,
    version: readVersion(),
    ...operatorOptions(environment),
    servesDashboard: true,
    firstCluster: {
      name: "first",
      capacity: 10_000,
      publicHost: environment.SUPALOVE_PUBLIC_DATABASE_HOST ?? null,
      publicPort: environment.SUPALOVE_PUBLIC_DATABASE_PORT ?? null,
    },
    upstreamsOf: () => ({
      rest: upstream(environment.SUPALOVE_UPSTREAM_REST),
      auth: upstream(environment.SUPALOVE_UPSTREAM_AUTH),
      storage: upstream(environment.SUPALOVE_UPSTREAM_STORAGE),
      realtime: upstream(environment.SUPALOVE_UPSTREAM_REALTIME),
    }),
    collectProcessMetrics: true,
  });
  surviveUnhandled(logger, controlPlane.registry);
  stopAtSignal(logger, () => controlPlane.close());
  await ensureConfigured(controlPlane, environment);
  const { url } = await controlPlane.listen(environment.CONTROL_PLANE_PORT, environment.SUPALOVE_HOST);
  logger.info({ url: `${url}/graphql` }, "the control plane is ready");
}

/** What the operator has given in the environment besides settings: the owner, and the tokens of other processes. */
async function ensureConfigured({ services }: ControlPlane, environment: Environment): Promise<void> {
  const { SUPALOVE_OWNER_EMAIL: email, SUPALOVE_OWNER_PASSWORD: password } = environment;
  if (email && password) {
    const owner = { email, password, name: "", organizationName: "My organization", tokenName: null };
    await ensureInstanceOwner(services.database, services.passwords, owner);
  }
  const { SUPALOVE_GATEWAY_TOKEN: gateway, SUPALOVE_SERVICE_TOKEN: service } = environment;
  if (gateway) await ensureServiceToken(services.database, "gateway", "from the environment", gateway);
  if (service) await ensureServiceToken(services.database, "service", "from the environment", service);
}

function readMasterKeys({ SUPALOVE_MASTER_KEYS: keys, SUPALOVE_DATA_DIR: directory }: Environment): MasterKeys {
  if (keys !== undefined) return parseMasterKeys(keys);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return loadMasterKeyFile(directory);
}

function upstream(url: string | undefined): Upstream {
  return url === undefined ? { kind: "local" } : { kind: "http", origin: new URL(url).origin };
}

function readVersion(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
