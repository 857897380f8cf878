/**
 * A process under test, with production code and snapshots in memory: the gateway with realtime in it (`all`), each of
 * the two alone (`gateway`, `realtime`), or a bare server of the library that publishes (`publish`). Settings are its first
 * message. Tells its port when it listens, and its memory and processor time when it is asked.
 */
import { hash } from "node:crypto";
import { once } from "node:events";
import { pino } from "pino";
import { Registry } from "prom-client";
import type { GatewaySnapshot, ServiceSnapshot } from "../../control-plane/client/config-snapshot.ts";
import { createProjectDatabases } from "../../data-plane/database/project-databases.ts";
import { HeldBytes } from "../../data-plane/held-bytes.ts";
import { openPort } from "../../data-plane/http/listen.ts";
import { App, localPort } from "../../data-plane/http/uws.ts";
import { createHttpHost } from "../../data-plane/http-host.ts";
import { createLocalServices } from "../../data-plane/local-services.ts";
import { createRealtimeService } from "../../data-plane/realtime/service.ts";
import { createGateway } from "../../gateway/server.ts";

export interface ServeSettings {
  readonly mode: "all" | "gateway" | "realtime" | "publish";
  readonly projects: readonly ServiceSnapshot[];
  /** API keys, in the order of the projects. */
  readonly keys: readonly string[];
  /** Of the process with realtime, for `gateway`. */
  readonly origin: string | null;
}

export interface Usage {
  readonly residentBytes: number;
  /** After a collection; without what lies outside of the heap. */
  readonly heapBytes: number;
  readonly cpuMs: number;
  readonly rowChecks: number;
}

const TOKEN = "a token of the benchmark of 32 characters";

if (import.meta.main) {
  const [settings] = (await once(process, "message")) as [ServeSettings];
  const logger = pino({ level: "warn" });
  const snapshots = new Map(settings.projects.map((project) => [project.projectRef as string, project]));
  const databases = createProjectDatabases({ maxConnections: 150 });
  const realtime = createRealtimeService({
    databases,
    configs: { onChange: () => () => {} },
    now: Date.now,
    logger,
    maxSlotsPerCluster: 28,
  });
  const peek = (ref: string) => snapshots.get(ref) ?? null;
  const local = createLocalServices({
    configs: { peek, get: async (ref) => peek(ref) },
    services: { realtime: { ...realtime, probe: async () => {} } },
  });
  process.send?.({ port: await listen() });

  async function listen(): Promise<number> {
    if (settings.mode === "publish") return publishServer();
    if (settings.mode === "realtime") {
      const host = createHttpHost({
        services: local,
        serviceToken: TOKEN,
        isReady: () => true,
        heldBytes: new HeldBytes(1024 ** 3),
        registry: new Registry(),
        logger,
      });
      return (await host.listen(0, "127.0.0.1")).port;
    }
    const gateways = new Map(
      settings.projects.map((project, index) => [project.projectRef as string, toGateway(project, index)]),
    );
    const gateway = createGateway({
      configs: {
        peek: (ref) => gateways.get(ref) ?? null,
        get: async (ref) => gateways.get(ref) ?? null,
        peekByHost: () => null,
        getByHost: async () => null,
        status: () => ({ connected: true, disconnectedSince: null, entries: 1 }),
        onChange: () => () => {},
      },
      localServices: settings.mode === "all" ? local : null,
      serviceToken: TOKEN,
      publicUrl: "http://localhost",
      baseDomains: ["localhost"],
      logger,
    });
    return (await gateway.listen(0, "127.0.0.1")).port;
  }

  function toGateway(project: ServiceSnapshot, index: number): GatewaySnapshot {
    const upstream =
      settings.origin === null ? { kind: "local" as const } : { kind: "http" as const, origin: settings.origin };
    const key = settings.keys[index] ?? "";
    return {
      audience: "gateway",
      projectRef: project.projectRef,
      version: 1,
      state: "active",
      plan: "shared",
      limits: { ...project.limits, requestsPerSecond: 1_000_000, requestBurst: 1_000_000, sockets: 100_000 },
      upstreams: { rest: upstream, auth: upstream, storage: upstream, realtime: upstream },
      apiKeys: [{ id: "anon", hash: hash("sha256", key, "hex"), role: "anon", kind: "legacy", revoked: false }],
      roleTokens: { anon: "role-token-anon", service_role: "role-token-service" },
      requireApiKey: true,
      corsOrigins: ["*"],
      customHosts: [],
    };
  }

  /** What the server library does by itself: one topic, every message published to it but to its sender. */
  async function publishServer(): Promise<number> {
    const app = App().ws("/*", {
      idleTimeout: 0,
      sendPingsAutomatically: false,
      open: (socket) => void socket.subscribe("room"),
      message: (socket, message, isBinary) => void socket.publish("room", message, isBinary),
    });
    return localPort(await openPort(app, 0, "127.0.0.1", false));
  }

  process.on("message", (question) => {
    if (question !== "usage") return;
    (globalThis as { gc?: () => void }).gc?.();
    const { rss, heapUsed, external } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    const usage: Usage = {
      residentBytes: rss,
      heapBytes: heapUsed + external,
      cpuMs: (user + system) / 1000,
      rowChecks: realtime.stats().counters.rowChecks,
    };
    process.send?.(usage);
  });
  process.on("disconnect", () => process.exit(0));
}
