/** How a cluster answers and how full it is: looked up when the owner of the installation asks, and kept for a while. */
import { LRUCache } from "lru-cache";
import type { ClusterConnections } from "./cluster-connections.ts";

export interface ClusterStatus {
  /** Why it cannot be asked; null when it answers. */
  readonly problem: string | null;
  /** To a first answer. */
  readonly answerMs: number | null;
  /** `18.4`. */
  readonly version: string | null;
  /** Of all databases. */
  readonly databaseBytes: number | null;
  readonly connections: number | null;
  readonly maxConnections: number | null;
  readonly replicationSlots: number | null;
  readonly maxReplicationSlots: number | null;
  readonly checkedAt: Date;
}

/** Sizes of a thousand databases take a second of the cluster's disk. */
const KEEP_MS = 10_000;
const MAX_KEPT = 200;
const ANSWER_WITHIN_MS = 5_000;

export type ClusterStatusReader = (clusterId: string) => Promise<ClusterStatus>;

/** Those who ask while it is looked up wait for the same answer. Never throws: what does not answer is a status too. */
interface StatusParts {
  readonly clusters: ClusterConnections;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export function createClusterStatusReader(parts: StatusParts): ClusterStatusReader {
  const kept = new LRUCache<string, Promise<ClusterStatus>>({ max: MAX_KEPT, ttl: KEEP_MS });
  return (clusterId) => {
    const known = kept.get(clusterId);
    if (known) return known;
    const status = readStatus(parts, clusterId);
    kept.set(clusterId, status);
    return status;
  };
}

async function readStatus({ clusters, now }: StatusParts, clusterId: string): Promise<ClusterStatus> {
  const checkedAt = new Date(now());
  const startedAt = performance.now();
  try {
    const admin = await clusters.admin(clusterId);
    await within(admin.query("/* clusterAnswers */ select 1"), ANSWER_WITHIN_MS);
    const answerMs = performance.now() - startedAt;
    const { rows } = await within(
      admin.query<Omit<ClusterStatus, "problem" | "answerMs" | "checkedAt">>(
        `/* clusterStatus */ select split_part(current_setting('server_version'), ' ', 1) as version,
           (select sum(pg_database_size(oid))::float8 from pg_database) as "databaseBytes",
           (select count(*)::int from pg_stat_activity where backend_type = 'client backend') as connections,
           current_setting('max_connections')::int as "maxConnections",
           (select count(*)::int from pg_replication_slots) as "replicationSlots",
           current_setting('max_replication_slots')::int as "maxReplicationSlots"`,
      ),
      ANSWER_WITHIN_MS,
    );
    const [row] = rows;
    if (!row) throw new Error("no answer");
    return { ...row, answerMs, problem: null, checkedAt };
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    return { ...NOTHING, problem: code ? `cannot be reached (${code})` : message, checkedAt };
  }
}

const NOTHING = {
  answerMs: null,
  version: null,
  databaseBytes: null,
  connections: null,
  maxConnections: null,
  replicationSlots: null,
  maxReplicationSlots: null,
};

/** The query goes on in the background and ends by the session's own time limit. */
async function within<T>(work: Promise<T>, limitMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${limitMs / 1000} s`)), limitMs);
  });
  work.catch(() => undefined);
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
