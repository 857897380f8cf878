/**
 * Config snapshots for gateways and services: by ref, by host, and as a feed of every change. A reader of the feed holds
 * a cursor; a NOTIFY only wakes it to ask "what changed after my cursor?". So replay and live are one and the same
 * query, bursts become batches by themselves, a slow reader costs no memory, and a lost notification loses nothing.
 */
import type { Audience, ConfigChanges, DeletedProject, SnapshotOf } from "../client/config-snapshot.ts";
import type { Database } from "../database.ts";
import type { EventStream, Events } from "../events.ts";
import type { Logger } from "../logger.ts";
import { buildSnapshot, type SnapshotParts } from "./build-snapshot.ts";
import {
  findRefsByHosts,
  readChangedRefs,
  readNewestVersion,
  readSnapshotRows,
  type SnapshotRow,
} from "./snapshot-row.ts";

export interface ConfigSnapshots {
  /** Snapshots by ref; projects that do not exist (any more) are left out. */
  findByRefs<A extends Audience>(audience: A, refs: readonly string[]): Promise<Map<string, SnapshotOf<A>>>;
  /** By custom hosts, in lower case and without a port. */
  findByHosts<A extends Audience>(audience: A, hosts: readonly string[]): Promise<Map<string, SnapshotOf<A>>>;
  /**
   * Begins with one answer for `after` (empty when nothing was missed), then one for each batch of changes, for ever.
   * @param after The reader's cursor, or null for one that has nothing yet: then without a replay.
   */
  changes<A extends Audience>(audience: A, after: number | null): AsyncIterableIterator<ConfigChanges<A>>;
  /** Ends every feed. */
  close(): void;
}

export interface ConfigSnapshotsOptions extends SnapshotParts {
  readonly database: Database;
  readonly events: Events;
  readonly logger: Logger;
}

/** Snapshots in one answer: a few hundred kilobytes of JSON. */
const MAX_BATCH = 200;

export function createConfigSnapshots(options: ConfigSnapshotsOptions): ConfigSnapshots {
  const { database, events, logger } = options;
  const feeds = new Set<EventStream>();
  const underWay = new Map<string, Promise<ConfigChanges<Audience> | null>>();

  function build<A extends Audience>(audience: A, row: SnapshotRow): SnapshotOf<A> {
    try {
      return buildSnapshot(options, audience, row);
    } catch (error) {
      // One project whose secrets do not open must not keep the others from their readers.
      logger.error({ err: error, projectRef: row.ref }, "a config snapshot could not be built");
      return buildSnapshot(options, audience, { ...row, dataKey: null });
    }
  }

  async function findByRefs<A extends Audience>(audience: A, refs: readonly string[]) {
    const rows = await readSnapshotRows(database, audience, refs);
    const present = rows.filter(({ state }) => state !== "DELETED");
    return new Map<string, SnapshotOf<A>>(present.map((row) => [row.ref, build(audience, row)]));
  }

  async function readChanges(audience: Audience, after: number): Promise<ConfigChanges<Audience> | null> {
    const changed = await readChangedRefs(database, after, MAX_BATCH);
    const last = changed.at(-1);
    if (!last) return null;
    const rows = await readSnapshotRows(
      database,
      audience,
      changed.map(({ ref }) => ref),
    );
    const snapshots = rows.map((row): SnapshotOf<Audience> | DeletedProject =>
      row.state === "DELETED" ? { projectRef: row.ref, version: row.version, deleted: true } : build(audience, row),
    );
    return { cursor: last.version, snapshots, resync: false };
  }

  /** Readers that are up to date have the same cursor and wake together: one of them reads for all. */
  async function readChangesOnce(audience: Audience, after: number): Promise<ConfigChanges<Audience> | null> {
    const key = `${audience} ${after}`;
    const found = await underWay.get(key);
    if (found) return found;
    // A read that was already under way may have begun before the change that woke this reader: its "nothing" is not
    // enough. One that is under way now has begun after it.
    const reading = underWay.get(key) ?? readChanges(audience, after).finally(() => underWay.delete(key));
    underWay.set(key, reading);
    return reading;
  }

  async function* readFeed(audience: Audience, after: number | null, wakeUps: EventStream) {
    try {
      const newest = await readNewestVersion(database);
      // A reader from the future has seen versions of a database that was since restored from a backup.
      const resync = after === null || after > newest;
      let cursor = resync ? newest : after;
      let batch = resync ? null : await readChangesOnce(audience, cursor);
      yield batch ?? { cursor, snapshots: [], resync };
      for (;;) {
        cursor = batch?.cursor ?? cursor;
        batch = await readChangesOnce(audience, cursor);
        if (batch) yield batch;
        else if (!(await isAwakened(wakeUps, cursor))) return;
      }
    } finally {
      await endFeed(wakeUps);
    }
  }

  async function endFeed(wakeUps: EventStream): Promise<void> {
    feeds.delete(wakeUps);
    await wakeUps.return();
  }

  function changes(audience: Audience, after: number | null): AsyncIterableIterator<ConfigChanges<Audience>> {
    const wakeUps = events.subscribe(({ topic }) => topic === "project-config");
    const feed = readFeed(audience, after, wakeUps);
    feeds.add(wakeUps);
    return {
      next: () => feed.next(),
      // A generator is not ended while it waits: what it waits for is ended first.
      async return() {
        await endFeed(wakeUps);
        return feed.return(undefined);
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  return {
    findByRefs,
    async findByHosts(audience, hosts) {
      const owners = await findRefsByHosts(database, hosts);
      const snapshots = await findByRefs(
        audience,
        owners.map(({ ref }) => ref),
      );
      return new Map(
        owners.flatMap(({ host, ref }) => {
          const snapshot = snapshots.get(ref);
          return snapshot ? [[host, snapshot]] : [];
        }),
      );
    },
    changes: changes as ConfigSnapshots["changes"],
    close() {
      for (const wakeUps of feeds) void wakeUps.return();
    },
  };
}

/** Waits for an event that tells of something after the cursor. False when the stream has ended. */
async function isAwakened(wakeUps: EventStream, cursor: number): Promise<boolean> {
  for (;;) {
    const { done, value: event } = await wakeUps.next();
    if (done) return false;
    if (event.topic !== "project-config" || event.version > cursor) return true;
  }
}
