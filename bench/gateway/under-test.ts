/**
 * The gateway as the benchmarks run it: production code, snapshots in memory, one HTTP upstream for every project.
 * Settings come as JSON in the first argument; prints its port when it listens, and the bytes of its heap at SIGUSR2.
 */
import { hash } from "node:crypto";
import { openSync, writeSync } from "node:fs";
import { type GatewaySnapshot, parseProjectRef } from "../../control-plane/client/config-snapshot.ts";
import { DEFAULT_POOL_LIMITS } from "../../gateway/proxy/client.ts";
import { createGateway } from "../../gateway/server.ts";

export interface UnderTestSettings {
  /** Such as `http://127.0.0.1:9000`. */
  readonly origin: string;
  readonly port: number;
  readonly projects: number;
  /** File of the access log; null: none. */
  readonly accessLog: string | null;
  /** Each project's limit, with a burst of the same size. */
  readonly requestsPerSecond: number;
  /** The project whose upstream nobody listens on; null: none. */
  readonly deadProject: number | null;
  readonly pipelining: boolean;
  readonly sharePort: boolean;
}

/** The nth project's ref: 20 letters that count in base 26. */
export function refOf(index: number): string {
  let rest = index;
  let text = "";
  for (let letter = 0; letter < 20; letter += 1) {
    text = String.fromCharCode(97 + (rest % 26)) + text;
    rest = Math.floor(rest / 26);
  }
  return text;
}

/** Looks like a legacy anon key: three parts, about as long. */
export function keyOf(index: number): string {
  const payload = Buffer.from(JSON.stringify({ iss: "supabase", ref: refOf(index), role: "anon", iat: 1, exp: 2 }));
  return `eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.${payload.toString("base64url")}.${hash("sha256", String(index), "base64url")}`;
}

function snapshotOf(index: number, settings: UnderTestSettings): GatewaySnapshot {
  const origin = index === settings.deadProject ? "http://127.0.0.1:1" : settings.origin;
  const upstream = { kind: "http", origin } as const;
  return {
    audience: "gateway",
    projectRef: parseProjectRef(refOf(index)),
    version: 1,
    state: "active",
    plan: "shared",
    limits: {
      requestsPerSecond: settings.requestsPerSecond,
      requestBurst: settings.requestsPerSecond,
      concurrentRequests: 1_000,
      sockets: 20_000,
      maxBodyBytes: 10_000_000,
      maxUploadBytes: 50_000_000,
    },
    upstreams: { rest: upstream, auth: upstream, storage: upstream, realtime: upstream },
    apiKeys: [
      { id: "anon", hash: hash("sha256", keyOf(index), "hex"), role: "anon", kind: "legacy", revoked: false },
      {
        id: "service",
        hash: hash("sha256", `s${keyOf(index)}`, "hex"),
        role: "service_role",
        kind: "legacy",
        revoked: false,
      },
    ],
    roleTokens: { anon: `a${keyOf(index)}`, service_role: `b${keyOf(index)}` },
    requireApiKey: true,
    corsOrigins: ["*"],
    customHosts: [],
  };
}

if (import.meta.main) {
  const settings: UnderTestSettings = JSON.parse(process.argv[2] ?? "{}");
  const snapshots = new Map<string, GatewaySnapshot>();
  for (let index = 0; index < settings.projects; index += 1) snapshots.set(refOf(index), snapshotOf(index, settings));
  const log = settings.accessLog === null ? null : openSync(settings.accessLog, "a");
  const gateway = createGateway({
    configs: {
      peek: (ref) => snapshots.get(ref) ?? null,
      get: async (ref) => snapshots.get(ref) ?? null,
      peekByHost: () => null,
      getByHost: async () => null,
      status: () => ({ connected: true, disconnectedSince: null, entries: 1 }),
      onChange: () => () => {},
    },
    localServices: null,
    publicUrl: "http://localhost:8083",
    baseDomains: ["localhost"],
    sharePort: settings.sharePort,
    ...(!settings.pipelining && { poolLimits: { ...DEFAULT_POOL_LIMITS, pipelining: null } }),
    logger: { info() {}, warn() {}, error: console.error },
    ...(log !== null && { accessLog: (lines: string) => void writeSync(log, lines) }),
  });
  const { port } = await gateway.listen(settings.port, "127.0.0.1");
  console.log(port);
  process.on("SIGUSR2", () => {
    globalThis.gc?.();
    console.log(process.memoryUsage().heapUsed);
  });
  process.on("SIGTERM", () => {
    void gateway.drain(2_000).then(() => {
      gateway.close();
      process.exit(0);
    });
  });
}
