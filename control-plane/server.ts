/** One control-plane instance: everything it needs comes in as options, everything it opened is closed by close(). */

import type { Registry } from "prom-client";
import { createPasswordHashing } from "./accounts/password-hashing.ts";
import { createSignInLimits } from "./accounts/sign-in-limits.ts";
import { TrustedHops } from "./client/client-address.ts";
import type { Maxima } from "./client/maxima.ts";
import { ClusterConnections, parseClusterUrl } from "./clusters/cluster-connections.ts";
import { createClusterStatusReader } from "./clusters/cluster-status.ts";
import { ensureCluster, getClusterAddress } from "./clusters/cluster-table.ts";
import { ensureReplicationLogins } from "./clusters/replication-login.ts";
import type { WatchBounds } from "./clusters/watch/bounds.ts";
import { type ClusterWatchesOptions, startClusterWatches } from "./clusters/watch/cluster-watches.ts";
import type { UpstreamsOf } from "./config-snapshots/build-snapshot.ts";
import { createConfigSnapshots } from "./config-snapshots/config-snapshots.ts";
import type { InstanceSettings, Services } from "./context.ts";
import { createHostChecks, createResolver } from "./custom-hosts/host-checks.ts";
import { ensureDashboardBuild } from "./dashboard/build.ts";
import { createDashboardPages, type DashboardBuild } from "./dashboard/pages.ts";
import { createPool, Database } from "./database.ts";
import { createEvents, type EventStream, type PostgresEvents } from "./events.ts";
import { createGraphqlHandler } from "./graphql-handler.ts";
import { createHealthChecks } from "./health/health-checks.ts";
import { createHttpServer } from "./http-server.ts";
import type { Logger } from "./logger.ts";
import { createMetrics } from "./metrics.ts";
import { migrate } from "./migrations.ts";
import { createSettingsPolicy } from "./projects/settings.ts";
import { createLoginResets } from "./provisioning/login-resets.ts";
import { createProvisioner, type ProvisionerOptions } from "./provisioning/provisioner.ts";
import { createSharedRuntime } from "./provisioning/shared/shared-runtime.ts";
import { createPublicUrls } from "./public-urls.ts";
import { buildSchema } from "./schema.ts";
import type { MasterKeys } from "./secrets/master-keys.ts";
import { moveToCurrentMasterKey } from "./secrets/rotate-master-key.ts";
import { createVault } from "./secrets/vault.ts";
import { createRunPlaces } from "./sql-editor/run-places.ts";
import { createUsageMeasuring } from "./usage/usage-measuring.ts";

export interface ControlPlaneOptions {
  /** Superuser on the PostgreSQL server that holds the control plane's schema and is the first cluster. */
  readonly databaseUrl: string;
  readonly masterKeys: MasterKeys;
  /** Where clients reach the gateway: `http://localhost:8083`. */
  readonly publicGatewayUrl: string;
  /** Where the control plane itself reaches it; there too when left out. */
  readonly internalGatewayUrl?: string | undefined;
  /** Projects are also reached as `<ref>.<base domain>`. */
  readonly baseDomain: string;
  readonly logger: Logger;
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  readonly openSignUp?: boolean;
  readonly maxOrganizationsPerAccount?: number;
  readonly maxProjectsPerOrganization?: number;
  readonly secureCookies?: boolean;
  readonly dashboardOrigins?: readonly string[];
  /** Whether the dashboard is served, and built first when its sources have changed. */
  readonly servesDashboard?: boolean;
  /** Addresses or CIDR ranges of proxies whose X-Forwarded-For is believed; none when left out. */
  readonly trustedProxies?: readonly string[];
  /** Bearer token for /metrics; without one only this machine may read them. */
  readonly metricsToken?: string | undefined;
  /** The server of `databaseUrl` as a cluster for projects; null when projects only go to registered clusters. */
  readonly firstCluster?: {
    readonly name: string;
    readonly capacity: number;
    readonly publicHost: string | null;
    readonly publicPort: number | null;
  } | null;
  /** Where the gateway finds each service of a project; calls in its own process when left out. */
  readonly upstreamsOf?: UpstreamsOf;
  /** Removes the bytes of a deleted project's objects; may run again. Left out where the services see to it themselves. */
  readonly eraseStorage?: (ref: string) => Promise<void>;
  /** The most that projects of this installation may ask for by their settings. */
  readonly maxima?: Maxima;
  /** Name servers that are asked for the proofs of custom hosts; the machine's own when empty. */
  readonly dnsServers?: readonly string[];
  /** Of the pool to the control plane's own database. */
  readonly maxDatabaseConnections?: number;
  readonly passwordThreads?: number;
  readonly provisioning?: Partial<
    Pick<ProvisionerOptions, "concurrency" | "leaseMs" | "pollMs" | "retry" | "wrapStep">
  >;
  /** How clusters are watched for sessions that endanger others; null: by somebody else. */
  readonly clusterWatch?: Pick<ClusterWatchesOptions, "memoryOf" | "onLoginTrouble"> | null;
  readonly watchBounds?: Partial<WatchBounds>;
  /** Metrics of the process itself are collected by one instance a process. */
  readonly collectProcessMetrics?: boolean;
}

export interface ControlPlane {
  readonly services: Services;
  /** What /metrics tells; for those of the process itself. */
  readonly registry: Registry;
  /** @param port 0 takes a free one. */
  listen(port: number, host: string): Promise<{ url: string; port: number }>;
  /** Ends subscriptions, lets requests and provisioning steps under way end, and closes all connections. */
  close(): Promise<void>;
}

const DEFAULT_FIRST_CLUSTER = { name: "first", capacity: 10_000, publicHost: null, publicPort: null };
const DEFAULT_MAX_ORGANIZATIONS = 20;
const DEFAULT_MAX_PROJECTS = 1_000;
/** Above what one viewer may have under way at once (operation-limits.ts). */
const DEFAULT_DATABASE_CONNECTIONS = 24;
/** Lookups are batched and share their reads: few are ever busy. */
const CONFIG_DATABASE_CONNECTIONS = 3;
const CLOSE_GRACE_MS = 5_000;

/**
 * Migrates the database, registers the first cluster and begins to provision; requests are served after `listen`.
 * @throws when the database cannot be reached. @throws {MigrationMismatch}
 */
export async function createControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { databaseUrl, logger } = options;
  const applied = await migrate(databaseUrl);
  if (applied.length > 0) logger.info({ applied }, "the control plane's database was migrated");

  const events = createEvents({ databaseUrl, logger });
  // Connections that end while everything ends are no news.
  let isClosing = false;
  const onBrokenConnection = (details: object, message: string) => {
    if (!isClosing) logger.warn(details, message);
  };
  const services = createServices(options, events, onBrokenConnection);
  try {
    await events.start();
    const moved = await moveToCurrentMasterKey(services.database, services.vault);
    if (moved.dataKeys + moved.clusterPasswords > 0) logger.info(moved, "keys were wrapped under the new master key");
    const firstCluster = options.firstCluster === undefined ? DEFAULT_FIRST_CLUSTER : options.firstCluster;
    if (firstCluster) {
      const address = parseClusterUrl(databaseUrl);
      await ensureCluster(services.database, services.vault, { ...firstCluster, address });
    }
    await services.provisioner.start();
    services.loginResets.start();
    services.hostChecks.start();
    services.usageMeasuring.start();
    ensureReplicationLogins(services.database, services.vault, services.clusters).catch((error) =>
      onBrokenConnection({ err: error }, "a cluster's replication login has no password yet"),
    );
  } catch (error) {
    await closeServices(services, events);
    throw error;
  }

  const clusterMoves = events.subscribe(({ topic }) => topic === "cluster");
  const forgetting = forgetMovedClusters(services.clusters, clusterMoves);
  const dashboardOrigins = options.dashboardOrigins ?? [];
  const metrics = createMetrics({ defaults: options.collectProcessMetrics ?? false });
  const dashboard = options.servesDashboard ? startDashboard(options) : null;
  const watches =
    options.clusterWatch === null
      ? null
      : startClusterWatches({
          database: services.configDatabase, // people's requests do not delay it
          clusters: services.clusters,
          logger,
          onEnded: metrics.sessionsEnded,
          onClosed: metrics.projectClosed,
          bounds: options.watchBounds ?? {},
          ...options.clusterWatch,
        });
  const http = createHttpServer({
    dashboard: dashboard?.pages ?? null,
    graphql: createGraphqlHandler({ schema: buildSchema(), services, metrics, logger, dashboardOrigins }),
    metrics,
    logger,
    dashboardOrigins,
    trustedProxies: new TrustedHops(options.trustedProxies ?? []),
    metricsToken: options.metricsToken ?? null,
    isReady: () => isReady(services, events),
  });

  let closing: Promise<void> | undefined;
  return {
    services,
    registry: metrics.registry,
    async listen(port, host) {
      const address = await http.listen(port, host);
      dashboard?.build(); // readiness does not wait for it
      return address;
    },
    close() {
      closing ??= close();
      return closing;
    },
  };

  async function close(): Promise<void> {
    isClosing = true;
    dashboard?.stop();
    const served = http.close(CLOSE_GRACE_MS); // no new requests; those under way go on
    await events.close(); // subscriptions end, and with them their responses
    await served;
    await forgetting;
    await watches?.stop();
    await closeServices(services, events);
  }
}

/** The build takes seconds of CPU and runs beside the API; until it is done, pages say so. */
function startDashboard({ publicGatewayUrl, baseDomain, logger }: ControlPlaneOptions) {
  let build: DashboardBuild = { kind: "building" };
  const stopping = new AbortController();
  return {
    pages: createDashboardPages({ build: () => build, publicGatewayUrl, baseDomain }),
    build() {
      ensureDashboardBuild(stopping.signal).then(
        (folder) => {
          build = { kind: "ready", folder };
        },
        (error) => {
          build = { kind: "failed" };
          if (!stopping.signal.aborted) logger.error({ err: error }, "the dashboard was not built");
        },
      );
    },
    stop: () => stopping.abort(),
  };
}

function createServices(
  options: ControlPlaneOptions,
  events: PostgresEvents,
  onBrokenConnection: (details: object, message: string) => void,
): Services {
  const { databaseUrl, logger, now = Date.now } = options;
  const onIdleError = (error: Error) => onBrokenConnection({ err: error }, "an idle database connection broke");
  const connect = (maxConnections: number) => new Database(createPool({ databaseUrl, maxConnections, onIdleError }));
  const database = connect(options.maxDatabaseConnections ?? DEFAULT_DATABASE_CONNECTIONS);
  const configDatabase = connect(CONFIG_DATABASE_CONNECTIONS);
  const vault = createVault(options.masterKeys);
  const clusters = new ClusterConnections({
    getAddress: (clusterId) => getClusterAddress(database, vault, clusterId),
    onIdleError: (error, clusterId) =>
      onBrokenConnection({ err: error, clusterId }, "an idle cluster connection broke"),
  });
  const passwords = createPasswordHashing(options.passwordThreads);
  const publicUrls = createPublicUrls(options.publicGatewayUrl, options.baseDomain, options.internalGatewayUrl);
  const settingsPolicy = createSettingsPolicy(options.maxima);
  const settings: InstanceSettings = {
    version: options.version,
    openSignUp: options.openSignUp ?? false,
    maxOrganizationsPerAccount: options.maxOrganizationsPerAccount ?? DEFAULT_MAX_ORGANIZATIONS,
    maxProjectsPerOrganization: options.maxProjectsPerOrganization ?? DEFAULT_MAX_PROJECTS,
    secureCookies: options.secureCookies ?? false,
  };
  const shared = createSharedRuntime({ database, vault, clusters, eraseStorage: options.eraseStorage, now });
  return {
    database,
    configDatabase,
    events,
    vault,
    clusters,
    clusterStatus: createClusterStatusReader({ clusters, now }),
    publicUrls,
    passwords,
    settings,
    settingsPolicy,
    now,
    healthChecks: createHealthChecks({ database, vault, clusters, publicUrls, now }),
    usageMeasuring: createUsageMeasuring({ database: configDatabase, vault, clusters, logger, now }),
    signInLimits: createSignInLimits(now),
    sqlRuns: createRunPlaces(),
    dataSessions: createRunPlaces(),
    configSnapshots: createConfigSnapshots({
      database: configDatabase,
      events,
      logger,
      vault,
      publicUrls,
      settingsPolicy,
      upstreamsOf: options.upstreamsOf ?? allLocal,
    }),
    loginResets: createLoginResets({ database, vault, clusters, logger }),
    hostChecks: createHostChecks({ database, publicUrls, resolver: createResolver(options.dnsServers), logger, now }),
    provisioner: createProvisioner({ database, events, logger, runtimes: { shared }, ...options.provisioning }),
  };
}

const LOCAL = { kind: "local" } as const;
const allLocal: UpstreamsOf = () => ({ rest: LOCAL, auth: LOCAL, storage: LOCAL, realtime: LOCAL });

async function isReady({ database }: Services, events: PostgresEvents): Promise<boolean> {
  if (!events.connected) return false;
  return database.query("/* isReady */ select 1").then(
    () => true,
    () => false,
  );
}

/** A pool to where a cluster was before would write to the wrong server. After a resync nobody knows which have moved. */
async function forgetMovedClusters(clusters: ClusterConnections, moves: EventStream): Promise<void> {
  for await (const event of moves) {
    if (event.topic === "cluster") await clusters.forget(event.clusterId);
    else await clusters.close(); // opened anew on the next use
  }
}

async function closeServices(services: Services, events: PostgresEvents): Promise<void> {
  await events.close();
  services.configSnapshots.close();
  await services.provisioner.stop();
  await services.loginResets.stop();
  await services.hostChecks.stop();
  await services.usageMeasuring.stop();
  await services.passwords.close();
  await services.clusters.close();
  await services.configDatabase.close();
  await services.database.close();
}
