/** Health and usage of projects, looked up when somebody asks, and kept for a few seconds however many ask. */
import { LRUCache } from "lru-cache";
import { listApiKeys, openApiKey } from "../api-keys/api-key-table.ts";
import type { ClusterConnections } from "../clusters/cluster-connections.ts";
import { projectDatabaseName } from "../clusters/names.ts";
import { createConcurrencyLimit, createLimitByKey } from "../concurrency-limit.ts";
import type { Database } from "../database.ts";
import { UserError } from "../errors.ts";
import type { ProjectRow } from "../projects/project-row.ts";
import { findAuthenticatorLogin } from "../projects/running-project.ts";
import type { PublicUrls } from "../public-urls.ts";
import type { Vault } from "../secrets/vault.ts";
import { checkDatabase, type DatabaseHealth } from "./check-database.ts";
import { probeServices, type ServiceHealth } from "./probe-services.ts";

export type HealthStatus = "healthy" | "degraded" | "unreachable" | "not_running";

export interface ProjectHealth {
  readonly status: HealthStatus;
  readonly checkedAt: Date;
  /** Null while the project does not run. */
  readonly database: DatabaseHealth | null;
  readonly services: readonly ServiceHealth[];
}

export interface ProjectUsage {
  readonly databaseBytes: number;
  /** Client sessions, those of our own services included. */
  readonly connections: number;
  readonly maxConnections: number;
  /** Null when the project does not run, or cannot be reached. */
  readonly tables: number | null;
  /** Of all objects of storage. Null when the project does not run, or cannot be reached. */
  readonly storageBytes: number | null;
  readonly storageObjects: number | null;
  readonly measuredAt: Date;
}

/** Both throw {@link TooManyRequests} when too many checks of the organization wait. */
export interface HealthChecks {
  health(project: ProjectRow): Promise<ProjectHealth>;
  /** Null when the project has no database (yet). */
  usage(project: ProjectRow): Promise<ProjectUsage | null>;
}

interface Parts {
  readonly database: Database;
  readonly vault: Vault;
  readonly clusters: ClusterConnections;
  readonly publicUrls: PublicUrls;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

const KEEP_MS = 5_000;
const MAX_KEPT = 1_000;
/** Each check opens a session and four requests: a page of projects is worked off in this width. */
const MAX_AT_ONCE = 8;
/** So that no organization holds up another, nor makes the others' wait longer by what it asks. */
const MAX_AT_ONCE_OF_ORGANIZATION = 4;
/** Twice the longest page. */
const MAX_WAITING_OF_ORGANIZATION = 400;

export function createHealthChecks(parts: Parts): HealthChecks {
  const ofAll = createConcurrencyLimit(MAX_AT_ONCE);
  const ofOrganization = createLimitByKey(MAX_AT_ONCE_OF_ORGANIZATION, MAX_WAITING_OF_ORGANIZATION);
  const inTurn = <T>({ organizationId }: ProjectRow, work: () => Promise<T>) =>
    ofOrganization(organizationId, () => ofAll(work));
  // By version as well: what a change of state has made untrue is not answered any more.
  const keyOf = ({ ref, configVersion }: ProjectRow) => `${ref} ${configVersion}`;
  const databases = cachedBy(keyOf, (project: ProjectRow) => inTurn(project, () => lookIntoDatabase(parts, project)));
  const health = cachedBy(keyOf, async (project: ProjectRow) => {
    const database = await databases(project);
    const services = database?.isReachable ? await inTurn(project, () => lookAtServices(parts, project)) : [];
    return { status: statusOf(database, services), checkedAt: new Date(parts.now()), database, services };
  });
  const usage = cachedBy(keyOf, async (project: ProjectRow) => {
    const [measured, database] = await Promise.all([measureDatabase(parts, project), databases(project)]);
    if (!measured) return null;
    const { tables = null, storage = null } = database ?? {};
    const stored = { storageBytes: storage?.bytes ?? null, storageObjects: storage?.objects ?? null };
    return { ...measured, tables, ...stored, measuredAt: new Date(parts.now()) };
  });
  return { health, usage };
}

/** Pure. */
export function statusOf(database: DatabaseHealth | null, services: readonly ServiceHealth[]): HealthStatus {
  if (!database) return "not_running";
  if (!database.isReachable) return "unreachable";
  return services.some(({ status }) => status === "unhealthy") ? "degraded" : "healthy";
}

async function lookIntoDatabase(parts: Parts, project: ProjectRow): Promise<DatabaseHealth | null> {
  if (project.state !== "ACTIVE") return null;
  return checkDatabase(await findAuthenticatorLogin(parts, project));
}

async function lookAtServices({ database, vault, publicUrls }: Parts, { ref }: ProjectRow): Promise<ServiceHealth[]> {
  const keys = await listApiKeys(database, ref);
  const key = keys.find(({ role, revokedAt }) => role === "anon" && revokedAt === null);
  const text = key ? openApiKey(await vault.dataKey(database, ref), key) : null;
  return probeServices(publicUrls.internalProjectUrl(ref), text);
}

/**
 * From the maintenance database: no session in the tenant's is needed for sizes and counts.
 * @throws {UserError} CONFLICT: the cluster does not answer.
 */
async function measureDatabase({ clusters }: Parts, { ref, clusterId }: ProjectRow) {
  if (clusterId === null) return null;
  try {
    const admin = await clusters.admin(clusterId);
    const { rows } = await admin.query<{ bytes: string; connections: number; maxConnections: number }>(
      `/* measureDatabase */
       select pg_database_size(d.oid) as bytes, d.datconnlimit as "maxConnections",
         (select count(*)::int from pg_stat_activity a where a.datid = d.oid and a.backend_type = 'client backend') as connections
       from pg_database d where d.datname = $1`,
      [projectDatabaseName(ref)],
    );
    const [row] = rows;
    return row ? { ...row, databaseBytes: Number(row.bytes) } : null;
  } catch (cause) {
    throw new UserError("CONFLICT", "the project's cluster does not answer", {}, { cause });
  }
}

/** Keeps the promise: those who ask while it is under way wait for the same one. A failure is not kept. */
function cachedBy<Argument, Result>(
  keyOf: (argument: Argument) => string,
  work: (argument: Argument) => Promise<Result>,
): (argument: Argument) => Promise<Result> {
  const kept = new LRUCache<string, Promise<Result>>({ max: MAX_KEPT, ttl: KEEP_MS });
  return (argument) => {
    const key = keyOf(argument);
    const known = kept.get(key);
    if (known) return known;
    const result = work(argument);
    kept.set(key, result);
    result.catch(() => kept.delete(key));
    return result;
  };
}
