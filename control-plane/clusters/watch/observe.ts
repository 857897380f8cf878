/**
 * One look at a cluster, by a session that never has to wait for anything a tenant can lock.
 *
 * A tenant can make every new session of the cluster hang, a superuser's too: he lets one session read a shared catalog
 * in an open transaction and another one wait for an exclusive lock on it. Everybody who then opens the catalog, to log in
 * or to look up a role, queues behind. So the watch's session stands in one open transaction that already holds
 * AccessShareLock on every shared catalog: who holds a lock needs not queue for it. READ COMMITTED keeps no snapshot
 * between statements, so this transaction holds back no vacuum.
 */
import type pg from "pg";
import { REPLICATION_ROLE } from "../names.ts";
import type { Observation, SeenSession } from "./decide.ts";

/** Modes that exclude readers of a catalog, or that everybody else queues behind. */
const EXCLUDING_MODES = [
  ...["AccessExclusiveLock", "ExclusiveLock", "ShareRowExclusiveLock"],
  ...["ShareLock", "ShareUpdateExclusiveLock"],
].map((mode) => `'${mode}'`);

/** Sessions of ours wait for a lock this long before whoever holds it is ended. */
const CONTROL_PLANE_WAIT = "3 seconds";
/** Holder of the watch: it looks several times a second, so one that was silent for so long stands still. */
const SILENT_HOLDER = "5 seconds";
/** First half of the advisory lock's key; the second is the cluster's id. Any number of our own. */
const LOCK_SPACE = 7_305_002;

/** Begins the transaction described above. Again after an operator's statement has waited for it. */
export async function holdSharedCatalogs(client: pg.ClientBase): Promise<void> {
  await client.query("/* holdSharedCatalogs */ begin isolation level read committed");
  const { rows } = await client.query<{ name: string }>(
    "/* holdSharedCatalogs */ select relname as name from pg_class where relisshared and relkind = 'r' order by relname",
  );
  for (const { name } of rows) {
    await client.query(`/* holdSharedCatalogs */ lock table pg_catalog.${name} in access share mode`);
    // The executor opens all indexes of a table it reads, and whoever opens one for the first time must lock it.
    await client.query(`/* holdSharedCatalogs */ select from pg_catalog.${name} limit 0`);
  }
}

/**
 * True when this session is the one that watches. Another one that holds the lock and does nothing (its process is
 * stopped, its machine gone) is ended, so that the next try succeeds.
 */
export async function tryToWatch(client: pg.ClientBase, clusterId: string): Promise<boolean> {
  const { rows } = await client.query<{ watches: boolean }>(
    `/* tryToWatch */ select pg_try_advisory_lock(${LOCK_SPACE}, hashtext($1)) as watches`,
    [clusterId],
  );
  if (rows[0]?.watches) return true;
  await forgetSeenSessions(client);
  await client.query(
    `/* tryToWatch: silent holder */ select pg_terminate_backend(l.pid)
     from pg_lock_status() l, pg_stat_get_activity(l.pid) a
     where l.locktype = 'advisory' and l.granted and l.classid = ${LOCK_SPACE} and l.objid = hashtext($1)::oid
       and l.database = (select oid from pg_database where datname = current_database())
       and a.state not like 'active%' and clock_timestamp() - a.state_change > interval '${SILENT_HOLDER}'`,
    [clusterId],
  );
  return false;
}

/** PostgreSQL shows a transaction the sessions as they were when it first looked. */
async function forgetSeenSessions(client: pg.ClientBase): Promise<void> {
  await client.query("/* forgetSeenSessions */ select pg_stat_clear_snapshot()");
}

interface SessionRow extends Omit<SeenSession, "ref" | "memoryBytes"> {
  readonly loginRef: string | null;
}

/** What {@link observe} reads: everything of an {@link Observation} that PostgreSQL itself knows. */
export interface ClusterState extends Omit<Observation, "closed" | "sharedLockSightings"> {
  /** A superuser's statement waits for the catalogs that this session holds. */
  readonly operatorWaits: boolean;
}

/** @param memoryOf reads the private memory of a backend; null where it cannot be known. */
export async function observe(client: pg.ClientBase, memoryOf: (pid: number) => number | null): Promise<ClusterState> {
  await forgetSeenSessions(client);
  const { rows } = await client.query<{ sessions: SessionRow[] } & Omit<ClusterState, "sessions">>(OBSERVE);
  const [row] = rows;
  if (!row) throw new Error("a look at the cluster gave no row");
  return {
    ...row,
    sessions: row.sessions.map(({ loginRef, ...session }) => ({
      ...session,
      ref: loginRef,
      memoryBytes: loginRef === null ? null : memoryOf(session.pid),
    })),
  };
}

/** Ends a session unless its pid has become another one's. @returns false when it was gone. */
export async function endSession(client: pg.ClientBase, session: SeenSession): Promise<boolean> {
  const { rows } = await client.query<{ ended: boolean }>(
    `/* endSession */ select pg_terminate_backend(pid) as ended from pg_stat_get_activity($1)
     where backend_start = $2::timestamptz`,
    [session.pid, session.backendStart],
  );
  return rows[0]?.ended ?? false;
}

/**
 * A session belongs to a project by its login, or by its database when the login was dropped meanwhile. A superuser's
 * never does. Numbers come as JSON, hence as JavaScript numbers.
 */
const OBSERVE = `/* observe */
  with locks as materialized (select * from pg_lock_status()),
  activity as materialized (
    select a.*, r.rolname, coalesce(r.rolsuper, false) as is_superuser, d.datname,
      case when coalesce(r.rolsuper, false) or r.rolname = '${REPLICATION_ROLE}' then null
        when r.rolname is null then substring(d.datname from '^project_([a-z]{20})$')
        else substring(r.rolname from '^project_([a-z]{20})_(?:user|authenticator)$') end as ref
    from pg_stat_get_activity(null) a left join pg_authid r on r.oid = a.usesysid left join pg_database d on d.oid = a.datid
    where a.backend_type = 'client backend'
  ),
  held as (
    select pid,
      count(*) filter (where granted and not fastpath and mode <> 'SIReadLock') as locks,
      max(extract(epoch from clock_timestamp() - waitstart) * 1000)
        filter (where not granted and database = 0 and mode in (${EXCLUDING_MODES})) as wait_ms
    from locks group by pid
  ),
  blocked as (
    select distinct w.pid from locks w join activity a using (pid)
    where not w.granted and a.is_superuser and a.application_name like 'supalove control plane%'
      and clock_timestamp() - w.waitstart > interval '${CONTROL_PLANE_WAIT}'
  ),
  blockers as (select distinct unnest(pg_blocking_pids(pid)) as pid from blocked)
  select
    (select coalesce(json_agg(json_build_object(
        'pid', a.pid, 'backendStart', a.backend_start::text, 'loginRef', a.ref, 'state', coalesce(a.state, 'active'),
        'stateAgeMs', coalesce(extract(epoch from clock_timestamp() - a.state_change) * 1000, 0)::float8,
        'transactionAgeMs', (extract(epoch from clock_timestamp() - a.xact_start) * 1000)::float8,
        'hasTransactionId', a.backend_xid is not null, 'snapshotAge', age(a.backend_xmin),
        'locks', coalesce(h.locks, 0), 'sharedLockWaitMs', h.wait_ms::float8,
        'blocksControlPlane', exists (select from blockers b where b.pid = a.pid))), '[]')
      from activity a left join held h on h.pid = a.pid where a.ref is not null) as sessions,
    (select count(*) from activity)::int as connections,
    (current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
      - coalesce(current_setting('reserved_connections', true)::int, 0)) as "maxConnections",
    (select count(*) from locks where not fastpath and mode <> 'SIReadLock')::int as locks,
    (current_setting('max_locks_per_transaction')::int * (current_setting('max_connections')::int
      + coalesce(current_setting('autovacuum_worker_slots', true), current_setting('autovacuum_max_workers'))::int + 1
      + current_setting('max_worker_processes')::int + current_setting('max_wal_senders')::int)) as "maxLocks",
    pg_notification_queue_usage() as "notifyQueueUsage",
    coalesce((select max(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), s.restart_lsn))
      from pg_get_replication_slots() s where s.restart_lsn is not null), 0)::float8 as "retainedWalBytes",
    exists (select from locks w join activity a using (pid) where a.is_superuser and not w.granted and w.database = 0
      and w.locktype = 'relation' and clock_timestamp() - w.waitstart > interval '1 second') as "operatorWaits"`;
