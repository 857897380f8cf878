/** The real service over real project databases, with clients in memory; for `*.pg.test.ts` files. */
import { createHmac, randomBytes } from "node:crypto";
import pg from "pg";
import type { ProjectRef, RealtimeSettings, ServiceSnapshot } from "../../control-plane/client/config-snapshot.ts";
import { scramVerifier } from "../../control-plane/clusters/scram.ts";
import { projectSnapshot } from "../../data-plane/auth/testing/snapshot.ts";
import { createProjectDatabases } from "../../data-plane/database/project-databases.ts";
import {
  createRealtimeService,
  type RealtimeService,
  type RealtimeServiceOptions,
} from "../../data-plane/realtime/service.ts";
import { MemoryClient } from "../../data-plane/realtime/testing/memory-client.ts";
import { createTestProjectDatabase } from "./project-database.ts";

const REPLICATION_PASSWORD = "replication-password";

export interface RealtimeTestProject {
  readonly ref: ProjectRef;
  readonly snapshot: ServiceSnapshot;
  /** The project's own user: tables are owned as its people's are. */
  readonly db: pg.Pool;
  /** Superuser in the project's database. */
  readonly admin: pg.Pool;
  token(role?: string, claims?: object): string;
  client(token?: string, vsn?: string): Promise<MemoryClient>;
  configure(settings: Partial<RealtimeSettings>): void;
  /** As the feed tells of a project that is paused or deleted. */
  remove(): void;
}

export interface RealtimeWorld {
  readonly service: RealtimeService;
  readonly warnings: string[];
  createProject(settings?: Partial<RealtimeSettings>): Promise<RealtimeTestProject>;
  /** Replication slots of the service on the cluster. */
  slots(): Promise<number>;
  close(): Promise<void>;
}

export async function createRealtimeWorld(
  clusterUrl: string,
  options: Partial<RealtimeServiceOptions> = {},
): Promise<RealtimeWorld> {
  const cluster = new pg.Pool({ connectionString: clusterUrl, max: 2 });
  const databases = createProjectDatabases({ maxConnections: 60 });
  const listeners = new Set<(change: { projectRef: ProjectRef; snapshot: ServiceSnapshot | null }) => void>();
  const warnings: string[] = [];
  const note = (_details: object, message: string) => void warnings.push(message);
  const service = createRealtimeService({
    databases,
    configs: {
      onChange(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    now: Date.now,
    logger: { info: note, warn: note, error: note },
    handshakeRefusalDelayMs: 0,
    joinRefusalDelayMs: 0,
    slotLingerMs: 50,
    ...options,
  });
  const pools: pg.Pool[] = [cluster];

  const login = `realtime_test_${randomBytes(4).toString("hex")}`;
  let hasLogin: Promise<unknown> | undefined;
  const makeLogin = async () =>
    cluster.query(`create role ${login} login replication password '${await scramVerifier(REPLICATION_PASSWORD)}'`);

  async function createProject(settings: Partial<RealtimeSettings> = {}): Promise<RealtimeTestProject> {
    const { address, adminUrl, userUrl, projectRef: ref } = await createTestProjectDatabase(clusterUrl);
    // A login of this world's own: control planes of other tests give the real one new passwords.
    hasLogin ??= makeLogin();
    await hasLogin;
    await cluster.query(`grant connect on database ${address.database} to ${login}`);
    const db = new pg.Pool({ connectionString: userUrl, max: 4 });
    const admin = new pg.Pool({ connectionString: adminUrl, max: 2 });
    for (const pool of [db, admin]) pool.on("error", () => {});
    pools.push(db, admin);
    const base = projectSnapshot({ database: address });
    let snapshot: ServiceSnapshot = {
      ...base,
      projectRef: ref,
      replication: { cluster: "test", user: login, password: REPLICATION_PASSWORD },
      realtime: {
        ...base.realtime,
        maxEventsPerSecond: 1_000_000,
        maxClientPresenceEventsPerWindow: 1000,
        ...settings,
      },
    };
    const tell = (next: ServiceSnapshot | null) => {
      for (const listener of listeners) listener({ projectRef: ref, snapshot: next });
    };
    const token = (role = "anon", claims: object = {}) =>
      signToken(snapshot.jwt.secret, { role, exp: Math.floor(Date.now() / 1000) + 3600, ...claims });
    return {
      ref,
      get snapshot() {
        return snapshot;
      },
      db,
      admin,
      token,
      client: (given = token(), vsn) => MemoryClient.open(service, snapshot, given, vsn),
      configure(changes) {
        snapshot = { ...snapshot, version: snapshot.version + 1, realtime: { ...snapshot.realtime, ...changes } };
        tell(snapshot);
      },
      remove: () => tell(null),
    };
  }

  return {
    service,
    warnings,
    createProject,
    async slots() {
      const { rows } = await cluster.query(
        "select count(*)::int as count from pg_replication_slots where slot_name like 'supalove_realtime_%'",
      );
      return rows[0].count;
    },
    async close() {
      await service.close();
      await databases.close();
      await Promise.all(pools.map((pool) => pool.end()));
    },
  };
}

export function signToken(secret: string, claims: object): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}
