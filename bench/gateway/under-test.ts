/**
 * The gateway as the benchmarks run it: production code with its config cache, which asks a source in memory in place of
 * the control plane, and one HTTP upstream for every project.
 * Settings come as JSON in the first argument; prints its port when it listens, and the bytes of its heap at SIGUSR2.
 */
import { hash } from "node:crypto";
import { openSync, writeSync } from "node:fs";
import { FedConfigCache } from "../../control-plane/client/config-cache.ts";
import {
  type ApiKeyEntry,
  type ApiKeyRole,
  type GatewaySnapshot,
  parseProjectRef,
} from "../../control-plane/client/config-snapshot.ts";
import type { ConfigSource } from "../../control-plane/client/config-source.ts";
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
      keyEntry(keyOf(index), "anon", "legacy"),
      keyEntry(`s${keyOf(index)}`, "service_role", "legacy"),
      keyEntry(`sb_publishable_${index}`, "anon", "publishable"),
      keyEntry(`sb_secret_${index}`, "service_role", "secret"),
      keyEntry(`sb_secret_revoked_${index}`, "service_role", "secret", true),
    ],
    roleTokens: { anon: `a${keyOf(index)}`, service_role: `b${keyOf(index)}` },
    requireApiKey: true,
    corsOrigins: ["*"],
    customHosts: [`api.customer-${index}.example`],
  };
}

function keyEntry(key: string, role: ApiKeyRole, kind: ApiKeyEntry["kind"], revoked = false): ApiKeyEntry {
  const digest = hash("sha256", key, "hex");
  return {
    id: `${digest.slice(0, 8)}-${digest.slice(8, 12)}-4000-8000-${digest.slice(12, 24)}`,
    hash: digest,
    role,
    kind,
    revoked,
  };
}

/** Answers as the control plane does: each lookup is a text of JSON that is parsed, the feed stays open and is silent. */
function sourceOf(texts: ReadonlyMap<string, string>): ConfigSource<"gateway"> {
  const find = (ref: string): GatewaySnapshot | null => JSON.parse(texts.get(ref) ?? "null");
  return {
    lookUp: async (refs, hosts) => ({ byRef: refs.map(find), byHost: hosts.map(() => null) }),
    async *follow(_after, signal) {
      yield { cursor: 1, resync: true, snapshots: [] };
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    },
  };
}

if (import.meta.main) {
  const settings: UnderTestSettings = JSON.parse(process.argv[2] ?? "{}");
  const texts = new Map<string, string>();
  for (let index = 0; index < settings.projects; index += 1) {
    texts.set(refOf(index), JSON.stringify(snapshotOf(index, settings)));
  }
  const configs = new FedConfigCache<"gateway">({ audience: "gateway" }, sourceOf(texts));
  await configs.ready;
  const log = settings.accessLog === null ? null : openSync(settings.accessLog, "a");
  const gateway = createGateway({
    configs,
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
      configs.close();
      process.exit(0);
    });
  });
}
