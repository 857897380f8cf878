/**
 * The whole stack on one machine: what `npm start` runs. This process is the primary: it runs the control plane, and
 * starts and watches PostgreSQL and the serving processes (serving/), in which the gateway calls the services directly.
 * Nothing that clients of projects send reaches this process: whatever they do to an event loop, this one goes on.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { createAccessToken } from "../control-plane/accounts/access-tokens.ts";
import { ensureInstanceOwner, findInstanceOwnerId } from "../control-plane/accounts/instance-owner.ts";
import { ensureServiceToken } from "../control-plane/accounts/service-tokens.ts";
import { hasAccounts } from "../control-plane/accounts/sign-up.ts";
import { parseProjectRef } from "../control-plane/client/config-snapshot.ts";
import { surviveUnhandled } from "../control-plane/client/process.ts";
import type { ClusterAddress } from "../control-plane/clusters/cluster-connections.ts";
import { readPrivateMemory } from "../control-plane/clusters/watch/process-memory.ts";
import type { Database } from "../control-plane/database.ts";
import { createLogger, type Logger } from "../control-plane/logger.ts";
import { loadMasterKeyFile, parseMasterKeys } from "../control-plane/secrets/master-keys.ts";
import { type ControlPlane, type ControlPlaneOptions, createControlPlane } from "../control-plane/server.ts";
import { eraseProjectStorage } from "../data-plane/storage/backend/open-backend.ts";
import type { Environment } from "./environment.ts";
import {
  findFirstRun,
  findOwnerToken,
  removeLocalInstance,
  writeFirstRun,
  writeLocalInstance,
  writeOwnerToken,
} from "./local-instance.ts";
import { startEmbeddedPostgres } from "./postgres/embedded-postgres.ts";
import { externalPostgres } from "./postgres/external-postgres.ts";
import { endHinderingSessions } from "./postgres/hindering-sessions.ts";
import { findPortHolder, findStartMark } from "./postgres/processes.ts";
import { Workers } from "./serving/workers.ts";
import { VERSION } from "./version.ts";

export interface FirstOwner {
  readonly email: string;
  readonly password: string;
  readonly accessToken: string;
}

export interface Standalone {
  readonly controlPlaneUrl: string;
  readonly gatewayUrl: string;
  /** `host:port`, for people; never with credentials. */
  readonly postgresAddress: string;
  /** On the first start on a data folder, until {@link removeFirstRun} notes that it was shown. */
  readonly owner: FirstOwner | null;
  /** Rejects when the stack cannot go on because PostgreSQL has ended by itself; the caller stops what is left. */
  readonly broken: Promise<never>;
  /** Lets requests in flight end, then stops every part, PostgreSQL last. */
  stop(): Promise<void>;
}

/** Of the data plane's pools; PostgreSQL allows a hundred more for the control plane, psql and replication. */
const MAX_PROJECT_CONNECTIONS = 100;
const DRAIN_MS = 10_000;
const OWNER_EMAIL = "owner@supalove.local";

/** The stack cannot start for a reason that the person who starts it can do something about; the message says it. */
export class StartError extends Error {}

/** @throws {StartError} when the data folder is in use, PostgreSQL cannot be started or reached, or a port is taken. */
export async function startStandalone(environment: Environment): Promise<Standalone> {
  const logger = createLogger(environment.logLevel, (line) => process.stderr.write(line));
  // What was started is stopped in reverse order: at the end, or at once when a later part does not start.
  const running: { stop(): unknown }[] = [];
  const stop = async () => {
    for (const part of running.splice(0).reverse()) await part.stop();
  };
  try {
    // PostgreSQL may run as another user and must get through to its own folder; what is secret here is 0600 by itself.
    mkdirSync(environment.dataDir, { recursive: true, mode: 0o711 });
    const breakage = Promise.withResolvers<never>();
    breakage.promise.catch(() => undefined); // whoever looks later still sees it
    const postgres = await startPostgres(environment, logger, breakage.reject).catch((cause: Error) => {
      throw new StartError(cause.message, { cause });
    });
    running.push(postgres);

    const gatewayPort = await freePort(environment.gatewayPort, environment.host);
    const publicGatewayUrl = environment.publicGatewayUrl ?? `http://localhost:${gatewayPort}`;
    const storage = { directory: join(environment.dataDir, "storage"), s3: environment.s3Store };
    const controlPlane = await createControlPlane({
      databaseUrl: postgres.url,
      masterKeys: environment.masterKeys
        ? parseMasterKeys(environment.masterKeys)
        : loadMasterKeyFile(environment.dataDir),
      publicGatewayUrl,
      // A public address may be one that this machine does not reach itself.
      internalGatewayUrl: `http://${environment.host === "0.0.0.0" ? "127.0.0.1" : environment.host}:${gatewayPort}`,
      baseDomain: environment.baseDomain,
      logger,
      version: VERSION,
      servesDashboard: true,
      eraseStorage: (ref) => eraseProjectStorage(storage, parseProjectRef(ref)),
      clusterWatch: postgres.clusterWatch,
      ...environment.controlPlane,
    });
    running.push({ stop: () => controlPlane.close() });
    const owner = await ensureOwner(controlPlane, environment);
    const { url: controlPlaneUrl } = await controlPlane
      .listen(environment.controlPlanePort, environment.host)
      .catch((cause: Error) => {
        throw new StartError(cause.message, { cause });
      });

    const { database } = controlPlane.services;
    running.push({ stop: surviveUnhandled(logger) });
    const gatewayToken = await ensureServiceToken(database, "gateway", "standalone");
    const serviceToken = await ensureServiceToken(database, "service", "standalone");
    const peerToken = randomBytes(32).toString("hex");
    const slots = Array.from({ length: environment.workers }, (_, index) => `worker-${index}`);
    const workers = new Workers({
      slots,
      settingsOf: (slot) => ({
        slot,
        slots,
        controlPlaneUrl,
        gatewayToken,
        serviceToken,
        peerToken,
        host: environment.host,
        gatewayPort,
        publicGatewayUrl,
        baseDomains: [environment.baseDomain],
        trustedProxies: environment.controlPlane.trustedProxies ?? [],
        maxima: environment.maxima,
        maxDatabaseConnections: Math.max(1, Math.floor(MAX_PROJECT_CONNECTIONS / slots.length)),
        storage,
        logLevel: environment.logLevel,
      }),
      drainMs: DRAIN_MS,
      codeCache: ensureCodeCache(environment.dataDir),
      logger,
    });
    running.push({ stop: () => workers.stop() });
    await workers.start().catch((cause: Error) => {
      throw new StartError(cause.message, { cause });
    });

    const gatewayUrl = `http://localhost:${gatewayPort}`;
    const { pid } = process;
    writeLocalInstance(environment.dataDir, { pid, startMark: findStartMark(pid), controlPlaneUrl, gatewayUrl });
    running.push({ stop: () => removeLocalInstance(environment.dataDir) });
    return { controlPlaneUrl, gatewayUrl, postgresAddress: postgres.address, owner, broken: breakage.promise, stop };
  } catch (error) {
    await stop().catch((cause) => logger.error({ err: cause }, "a part did not stop"));
    throw error;
  }
}

/** Whoever writes there decides what our processes run, so it is nobody else's. */
function ensureCodeCache(dataDir: string): string {
  const folder = join(dataDir, "code-cache");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

async function startPostgres(environment: Environment, logger: Logger, onGivenUp: (reason: Error) => void) {
  if (environment.databaseUrl) {
    const { host } = new URL(environment.databaseUrl);
    await externalPostgres(environment.databaseUrl);
    return { url: environment.databaseUrl, address: host, stop: () => undefined, clusterWatch: {} };
  }
  const dataDir = `${environment.dataDir}/postgres`;
  const port = environment.postgresPort || (await freePort(0, "127.0.0.1"));
  const { url, stop, directory } = await startEmbeddedPostgres({ dataDir, port, logger, onGivenUp });
  // Its processes are on this machine: what they take can be read, and they can be ended without a connection.
  const isOurs = (address: ClusterAddress) => address.host === "127.0.0.1" && address.port === port;
  const clusterWatch: ControlPlaneOptions["clusterWatch"] = {
    memoryOf: (address, pid) => (isOurs(address) ? readPrivateMemory(pid) : null),
    onLoginTrouble: (address, trouble) => (isOurs(address) ? endHinderingSessions(directory, trouble) : []),
  };
  return { url, address: `127.0.0.1:${port}`, stop, clusterWatch };
}

/**
 * On the first start: an owner whose password is told once, and whose token the command line keeps. What is to be told
 * lies in a file until it was, since a later part may fail to start.
 */
async function ensureOwner(controlPlane: ControlPlane, { dataDir }: Environment): Promise<FirstOwner | null> {
  const { database, passwords } = controlPlane.services;
  if (!findFirstRun(dataDir) && !(await hasAccounts(database))) {
    writeFirstRun(dataDir, { email: OWNER_EMAIL, password: randomBytes(12).toString("base64url") });
  }
  const firstRun = findFirstRun(dataDir);
  if (!firstRun) return null;
  const names = { name: "Owner", organizationName: "Default", tokenName: null };
  await ensureInstanceOwner(database, passwords, { ...firstRun, ...names });
  return { ...firstRun, accessToken: findOwnerToken(dataDir) ?? (await createOwnerToken(database, dataDir)) };
}

async function createOwnerToken(database: Database, dataDir: string): Promise<string> {
  const ownerId = await findInstanceOwnerId(database);
  if (ownerId === null) throw new Error("the installation has accounts and no owner");
  const { token } = await createAccessToken(database, ownerId, "command line", null);
  writeOwnerToken(dataDir, token);
  return token;
}

/**
 * A port that is free now, for parts whose address others must know before they listen. The serving processes share
 * theirs, so that it must be made sure here that nobody else has it.
 * @param wanted 0 takes any. @throws {StartError}
 */
async function freePort(wanted: number, host: string): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening, failed) => {
    server.once("error", failed);
    server.listen({ port: wanted, host, exclusive: true }, listening);
  }).catch((cause: NodeJS.ErrnoException) => {
    const holder = cause.code === "EADDRINUSE" ? findPortHolder(wanted) : null;
    const who = holder ? ` by ${JSON.stringify(holder.command)} (pid ${holder.pid})` : ` (${cause.code})`;
    throw new StartError(`port ${wanted} on ${host} cannot be had${holder ? ": it is taken" : ""}${who}`, { cause });
  });
  const { port } = server.address() as { port: number };
  await new Promise((closed) => server.close(closed));
  return port;
}
