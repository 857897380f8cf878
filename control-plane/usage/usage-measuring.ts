/**
 * Measures projects from time to time: connections and sizes by one question a cluster, and what only the project's own
 * database knows by short sessions of its services' login, a few at once. Idle projects cost next to nothing.
 */
import type pg from "pg";
import { withAuthenticatorSession } from "../clusters/authenticator-session.ts";
import type { ClusterConnections } from "../clusters/cluster-connections.ts";
import { projectDatabaseName } from "../clusters/names.ts";
import { createConcurrencyLimit } from "../concurrency-limit.ts";
import type { Database } from "../database.ts";
import { checkDatabase } from "../health/check-database.ts";
import type { Logger } from "../logger.ts";
import type { ProjectRow } from "../projects/project-row.ts";
import { findAuthenticatorLogin } from "../projects/running-project.ts";
import type { Vault } from "../secrets/vault.ts";
import { type Measures, recordMeasures } from "./measure-table.ts";
import { claimPeriodicWork } from "./periodic-work.ts";
import { removeOldUsage } from "./retention.ts";

export interface UsageMeasuring {
  start(): void;
  /** Measures now, whatever is due. */
  measure(depth: Depth): Promise<void>;
  stop(): Promise<void>;
}

/** `all` also sizes projects without traffic and asks each used project's own database. */
export type Depth = "used" | "all";

interface Parts {
  readonly database: Database;
  readonly vault: Vault;
  readonly clusters: ClusterConnections;
  readonly logger: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

const POLL_MS = 30_000;
const USED_SECONDS = 300;
const ALL_SECONDS = 3_600;
const RETENTION_SECONDS = 600;
/** Of databases that are sized by one question: about 100 ms of one backend. */
const SIZED_AT_ONCE = 100;
const SESSIONS_AT_ONCE = 2;

interface MeasuredProject extends Pick<ProjectRow, "ref" | "state"> {
  readonly clusterId: string;
  /** There was traffic since the last time. */
  readonly isUsed: boolean;
}

export function createUsageMeasuring(parts: Parts): UsageMeasuring {
  const { database, logger } = parts;
  const inSession = createConcurrencyLimit(SESSIONS_AT_ONCE);
  let timer: NodeJS.Timeout | undefined;
  let underWay: Promise<void> | null = null;
  let isStopping = false;

  async function look(): Promise<void> {
    if (await claimPeriodicWork(database, "usage retention", RETENTION_SECONDS)) await removeOldUsage(database);
    const depth = (await claimPeriodicWork(database, "usage of all projects", ALL_SECONDS)) ? "all" : "used";
    if (depth === "all" || (await claimPeriodicWork(database, "usage of used projects", USED_SECONDS)))
      await measure(depth);
  }

  async function measure(depth: Depth): Promise<void> {
    const projects = await listMeasuredProjects(database, depth === "all" ? ALL_SECONDS : USED_SECONDS);
    const byCluster = Map.groupBy(projects, ({ clusterId }) => clusterId);
    await Promise.all([...byCluster].map(([clusterId, those]) => measureCluster(clusterId, those, depth)));
    if (depth === "all") await measureInside(projects.filter(({ isUsed }) => isUsed));
  }

  async function measureCluster(clusterId: string, projects: readonly MeasuredProject[], depth: Depth): Promise<void> {
    try {
      const admin = await parts.clusters.admin(clusterId);
      const connections = await countConnections(admin);
      const sized = projects.filter(
        ({ ref, isUsed }) => depth === "all" || isUsed || connections.has(projectDatabaseName(ref)),
      );
      for (let index = 0; index < sized.length && !isStopping; index += SIZED_AT_ONCE) {
        const some = sized.slice(index, index + SIZED_AT_ONCE);
        const bytes = await sizeDatabases(
          admin,
          some.map(({ ref }) => projectDatabaseName(ref)),
        );
        const measured = some.map(({ ref }): [string, Partial<Measures>] => {
          const name = projectDatabaseName(ref);
          return [ref, { databaseBytes: bytes.get(name) ?? null, connections: connections.get(name) ?? 0 }];
        });
        await recordMeasures(database, parts.now(), new Map(measured));
      }
    } catch (error) {
      if (!isStopping)
        logger.warn({ err: (error as Error).message, clusterId }, "a cluster's projects were not measured");
    }
  }

  /** A project that does not answer is left out: its health tells of it. */
  async function measureInside(projects: readonly MeasuredProject[]): Promise<void> {
    await Promise.all(
      projects.map((project) =>
        inSession(async () => {
          if (isStopping || project.state !== "ACTIVE") return;
          const login = await findAuthenticatorLogin(parts, project).catch(() => null);
          if (!login) return;
          const { storage } = await checkDatabase(login);
          const activeUsers = await withAuthenticatorSession(
            { ...login, role: "supabase_auth_admin", searchPath: "auth" },
            countActiveUsers,
          ).catch(() => null);
          const measured = { storageBytes: storage?.bytes ?? null, activeUsers };
          await recordMeasures(database, parts.now(), new Map([[project.ref, measured]]));
        }).catch((error: Error) => {
          if (!isStopping) logger.warn({ err: error.message, project: project.ref }, "a project was not measured");
        }),
      ),
    );
  }

  return {
    measure,
    start() {
      timer = setInterval(() => {
        underWay ??= look()
          .catch((error: Error) => {
            if (!isStopping) logger.warn({ err: error.message }, "usage was not measured");
          })
          .finally(() => {
            underWay = null;
          });
      }, POLL_MS);
      timer.unref();
    },
    async stop() {
      isStopping = true;
      clearInterval(timer);
      await underWay;
    },
  };
}

function listMeasuredProjects(database: Database, usedWithinSeconds: number): Promise<MeasuredProject[]> {
  return database.query<MeasuredProject>(
    `/* listMeasuredProjects */ select ref, state, cluster_id as "clusterId", exists (
       select from project_traffic where project_ref = ref and step = 'minute'
         and at > now() - make_interval(secs => $1) - interval '1 minute'
     ) as "isUsed"
     from projects where deleted_at is null and cluster_id is not null order by ref`,
    [usedWithinSeconds],
  );
}

type Admin = Pick<pg.Pool, "query">;

/** Client sessions by database. */
async function countConnections(admin: Admin): Promise<Map<string, number>> {
  const { rows } = await admin.query<{ name: string; connections: number }>(
    `/* countConnections */ select datname as name, count(*)::int as connections
     from pg_stat_activity where backend_type = 'client backend' and datname is not null group by 1`,
  );
  return new Map(rows.map(({ name, connections }) => [name, connections]));
}

async function sizeDatabases(admin: Admin, names: readonly string[]): Promise<Map<string, number>> {
  const { rows } = await admin.query<{ name: string; bytes: number }>(
    `/* sizeDatabases */ select datname as name, pg_database_size(oid)::float8 as bytes
     from pg_database where datname = any($1)`,
    [names],
  );
  return new Map(rows.map(({ name, bytes }) => [name, bytes]));
}

/** Bounded by the session's statement timeout: a project with millions of users may not be counted. */
async function countActiveUsers(session: pg.Client): Promise<number> {
  await session.query("/* countActiveUsers */ set statement_timeout = '5s'");
  const { rows } = await session.query<{ users: number }>(
    `/* countActiveUsers */ select pg_catalog.count(*)::int as users from (
       select id from auth.users where last_sign_in_at >= pg_catalog.date_trunc('month', pg_catalog.now())
       union
       select user_id from auth.sessions
       where coalesce(refreshed_at at time zone 'UTC', created_at) >= pg_catalog.date_trunc('month', pg_catalog.now())
     ) as active`,
  );
  return rows[0]?.users ?? 0;
}
