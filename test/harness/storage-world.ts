/** The real storage service behind the real gateway over real databases and a real disk; without a control plane. */
import { createHash, createHmac, hash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import pg from "pg";
import type {
  GatewaySnapshot,
  ProjectRef,
  ServiceSnapshot,
  StorageSettings,
} from "../../control-plane/client/config-snapshot.ts";
import { projectSnapshot, storageSettings } from "../../data-plane/auth/testing/snapshot.ts";
import { createProjectDatabases } from "../../data-plane/database/project-databases.ts";
import { HeldBytes } from "../../data-plane/held-bytes.ts";
import { createLocalServices } from "../../data-plane/local-services.ts";
import type { ObjectBackend } from "../../data-plane/storage/backend/backend.ts";
import { DiskBackend } from "../../data-plane/storage/backend/disk-backend.ts";
import { DiskStore } from "../../data-plane/storage/backend/disk-store.ts";
import { createStorageService, type StorageService } from "../../data-plane/storage/service.ts";
import { createGateway } from "../../gateway/server.ts";
import { MemoryConfigs } from "../gateway/support.ts";
import { createTestProjectDatabase } from "./project-database.ts";

export interface StorageProject {
  readonly ref: ProjectRef;
  /** Path form of the base URL, as supabase-js takes it. */
  readonly url: string;
  /** `<url>/storage/v1`. */
  readonly storageUrl: string;
  readonly db: pg.Pool;
  readonly serviceKey: string;
  readonly anonKey: string;
  readonly snapshot: ServiceSnapshot;
  readonly gatewaySnapshot: GatewaySnapshot;
  token(claims: Record<string, unknown>): string;
  /** supabase-js with this key or token. */
  client(key?: string): SupabaseClient;
  /** Changes the project for the requests that follow. */
  configure(settings: Partial<StorageSettings>, snapshot?: Partial<ServiceSnapshot>): void;
  request(target: string, init?: RequestInit & { key?: string | null }): Promise<Response>;
}

export interface StorageWorld {
  readonly service: StorageService;
  readonly directory: string;
  readonly store: DiskStore;
  readonly gatewayUrl: string;
  createProject(settings?: Partial<StorageSettings>): Promise<StorageProject>;
  close(): Promise<void>;
}

const LIMITS = {
  requestsPerSecond: 100_000,
  requestBurst: 100_000,
  concurrentRequests: 1_000,
  sockets: 100,
  maxBodyBytes: 1_000_000,
  maxUploadBytes: 200_000_000,
};

export function signToken(claims: Record<string, unknown>, secret: string): string {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

export async function createStorageWorld(
  clusterUrl: string,
  options: {
    readonly backend?: (store: DiskStore) => ObjectBackend;
    readonly reservedBytes?: number;
    readonly directory?: string;
  } = {},
): Promise<StorageWorld> {
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), "supalove-test-storage-"));
  const databases = createProjectDatabases({ maxConnections: 40 });
  const store = new DiskStore({ root: directory, reservedBytes: options.reservedBytes ?? 0 });
  const snapshots = new Map<string, ServiceSnapshot>();
  const logger = { info() {}, warn() {}, error() {} };
  const service = createStorageService({
    databases,
    backend: options.backend?.(store) ?? new DiskBackend(store),
    staging: store,
    snapshotOf: async (ref) => snapshots.get(ref) ?? null,
    heldBytes: new HeldBytes(256 * 1024 * 1024),
    logger,
    now: Date.now,
  });
  const configs = new MemoryConfigs();
  const gateway = createGateway({
    configs,
    localServices: createLocalServices({
      configs: { peek: (ref) => snapshots.get(ref), get: async (ref) => snapshots.get(ref) ?? null },
      services: { storage: { handle: service.handle, probe: async () => {} } },
    }),
    publicUrl: "http://127.0.0.1",
    baseDomains: ["localhost"],
    logger,
  });
  const { port } = await gateway.listen(0, "127.0.0.1");
  const gatewayUrl = `http://127.0.0.1:${port}`;
  const pools: pg.Pool[] = [];

  async function createProject(settings: Partial<StorageSettings> = {}): Promise<StorageProject> {
    const { address, adminUrl, projectRef: ref } = await createTestProjectDatabase(clusterUrl);
    const db = new pg.Pool({ connectionString: adminUrl, max: 3 });
    db.on("error", () => {});
    pools.push(db);
    const url = `${gatewayUrl}/projects/${ref}`;
    const set = (snapshot: ServiceSnapshot) => {
      snapshots.set(ref, snapshot);
      configs.set(gatewaySnapshot(snapshot));
    };
    const base = projectSnapshot({ database: address, publicUrl: url });
    const current = () => snapshots.get(ref) as ServiceSnapshot;
    const token = (claims: Record<string, unknown>) => signToken(claims, base.jwt.secret);
    const anonKey = token({ role: "anon", iss: "supabase" });
    const serviceKey = token({ role: "service_role", iss: "supabase" });
    function gatewaySnapshot({ version }: ServiceSnapshot): GatewaySnapshot {
      const local = { kind: "local" } as const;
      const key = (text: string, role: "anon" | "service_role") =>
        ({ id: role, hash: hash("sha256", text, "hex"), role, kind: "legacy", revoked: false }) as const;
      return {
        audience: "gateway",
        ...{ projectRef: ref, version, state: "active", plan: "shared", limits: LIMITS },
        upstreams: { rest: local, auth: local, storage: local, realtime: local },
        apiKeys: [key(anonKey, "anon"), key(serviceKey, "service_role")],
        roleTokens: {
          anon: token({ role: "anon", iss: "gateway" }),
          service_role: token({ role: "service_role", iss: "gateway" }),
        },
        ...{ requireApiKey: true, corsOrigins: ["*"], customHosts: [] },
      };
    }
    set({ ...base, projectRef: ref, limits: LIMITS, storage: storageSettings(settings) });
    return {
      ...{ ref, url, storageUrl: `${url}/storage/v1`, db, anonKey, serviceKey, token },
      get snapshot() {
        return current();
      },
      get gatewaySnapshot() {
        return gatewaySnapshot(current());
      },
      client: (key = serviceKey) =>
        createClient(url, key, {
          auth: { persistSession: false, autoRefreshToken: false },
          global: { headers: { Authorization: `Bearer ${key}` } },
        }),
      configure(changes, snapshot = {}) {
        const before = current();
        set({ ...before, ...snapshot, version: before.version + 1, storage: { ...before.storage, ...changes } });
      },
      request(target, { key = serviceKey, ...init } = {}) {
        const [method = "GET", path = "/"] = target.split(" ");
        const headers = new Headers(init.headers);
        if (key !== null) headers.set("authorization", `Bearer ${key}`);
        return fetch(`${url}/storage/v1${path}`, { method, ...init, headers });
      },
    };
  }

  return {
    ...{ service, directory, store, gatewayUrl, createProject },
    async close() {
      await gateway.drain(1_000);
      gateway.close();
      await service.close();
      await Promise.all(pools.map((pool) => pool.end()));
      await databases.close();
      if (options.directory === undefined) rmSync(directory, { recursive: true, force: true });
    },
  };
}

export function md5(bytes: Buffer | string): string {
  return createHash("md5").update(bytes).digest("hex");
}
