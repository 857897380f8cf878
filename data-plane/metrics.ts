/** Prometheus metrics of what the services of a process share; their numbers are read when they are asked for. */
import { Counter, Gauge, type Registry } from "prom-client";
import type { ConfigCacheStatus } from "../control-plane/client/config-cache.ts";
import type { Audience } from "../control-plane/client/config-snapshot.ts";
import type { DatabaseStats } from "./database/project-databases.ts";
import type { RealtimeService } from "./realtime/service.ts";
import type { RestService } from "./rest/service.ts";

/** Connections to project databases, and who waits for one. */
export function watchDatabases(registry: Registry, databases: { stats(): DatabaseStats }): void {
  const connections = "supalove_database_connections";
  new Gauge({
    name: connections,
    help: "Connections to project databases: open or connecting, of the open ones busy or leased, and those that listen.",
    labelNames: ["state"],
    registers: [registry],
    collect() {
      const stats = databases.stats();
      for (const state of ["open", "connecting", "busy", "leased"] as const) this.set({ state }, stats[state]);
      this.set({ state: "listening" }, stats.listeners);
    },
  });
  gauge(registry, "supalove_database_pools", "Project databases with a pool.", () => databases.stats().projects);
  gauge(registry, "supalove_database_waiting", "Requests that wait for a connection.", () => databases.stats().waiting);
  for (const [name, help, of] of [
    ["supalove_database_connections_opened_total", "Connections opened.", "opened"],
    ["supalove_database_connect_failures_total", "Connections that could not be opened.", "connectFailures"],
    ["supalove_database_wait_timeouts_total", "Requests refused because no connection came free.", "timeouts"],
    ["supalove_database_retries_total", "Batches sent again after no fault of theirs.", "retries"],
  ] as const) {
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(databases.stats()[of]);
      },
    });
  }
}

type ConfigFeed = { status(): Pick<ConfigCacheStatus, "connected" | "disconnectedSince" | "entries"> };

/**
 * The feed of configuration: while it is lost, no change of a project arrives, a revoked key included.
 * @param feeds By the audience as which the process reads; one process may do so as both.
 */
export function watchConfigs(registry: Registry, feeds: Readonly<Partial<Record<Audience, ConfigFeed>>>): void {
  for (const [name, help, read] of [
    [
      "supalove_config_feed_connected",
      "1 while changes of projects arrive, 0 while the feed is lost.",
      (feed: ConfigFeed) => (feed.status().connected ? 1 : 0),
    ],
    [
      "supalove_config_feed_lost_seconds",
      "How long the feed has been lost; 0 while it is there.",
      (feed: ConfigFeed) => secondsSince(feed.status().disconnectedSince),
    ],
    [
      "supalove_config_cache_projects",
      "Projects whose configuration is in memory.",
      (feed: ConfigFeed) => feed.status().entries,
    ],
  ] as const) {
    new Gauge({
      name,
      help,
      labelNames: ["audience"],
      registers: [registry],
      collect() {
        for (const [audience, feed] of Object.entries(feeds)) this.set({ audience }, read(feed));
      },
    });
  }
}

function secondsSince(milliseconds: number | null): number {
  return milliseconds === null ? 0 : (Date.now() - milliseconds) / 1000;
}

/** Schema caches in memory. */
export function watchRest(registry: Registry, rest: Pick<RestService, "stats">): void {
  gauge(registry, "supalove_rest_projects", "Projects that REST holds in memory.", () => rest.stats().projects);
  gauge(
    registry,
    "supalove_rest_schema_cache_bytes",
    "Roughly what their schema caches take.",
    () => rest.stats().approximateBytes,
  );
}

/** Sockets, channels and messages of realtime. */
export function watchRealtime(registry: Registry, realtime: Pick<RealtimeService, "stats">): void {
  gauge(
    registry,
    "supalove_realtime_change_lag_seconds",
    "From commit to delivery, of the last database change delivered.",
    () => realtime.stats().counters.lastChangeLagMs / 1000,
  );
  for (const [name, help, of] of [
    ["projects", "Projects that realtime holds in memory.", "projects"],
    ["sockets", "Open WebSockets.", "sockets"],
    ["channels", "Joined channels.", "channels"],
    ["rooms", "Topics with a channel.", "rooms"],
    ["buffered_bytes", "Bytes that clients have not taken yet.", "bufferedBytes"],
    ["slots", "Replication slots held.", "slots"],
    ["change_lag_bytes", "WAL that the slowest stream has not got through, in bytes.", "changeLagBytes"],
    ["change_backlog", "Database changes received and not delivered yet.", "changeBacklog"],
  ] as const) {
    gauge(registry, `supalove_realtime_${name}`, help, () => realtime.stats()[of]);
  }
  for (const [name, help, of] of [
    ["joins_total", "Joins asked for.", "joins"],
    ["refused_joins_total", "Joins refused.", "refusedJoins"],
    ["messages_in_total", "Frames of clients.", "messagesIn"],
    ["messages_out_total", "Frames sent to clients.", "messagesOut"],
    ["malformed_frames_total", "Frames of clients that are no messages.", "malformedFrames"],
    ["broadcasts_total", "Broadcasts taken, whoever sent them.", "broadcasts"],
    ["changes_total", "Database changes delivered, one for each subscriber.", "changesDelivered"],
    ["row_checks_total", "Rows looked up for a user's right to see them.", "rowChecks"],
    ["presence_events_total", "Presence calls of clients.", "presenceEvents"],
    ["dropped_messages_total", "Messages dropped for lack of rights or room.", "droppedMessages"],
    ["slow_clients_total", "Clients closed because they did not take what was sent.", "slowClients"],
  ] as const) {
    new Counter({
      name: `supalove_realtime_${name}`,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(realtime.stats().counters[of]);
      },
    });
  }
}

function gauge(registry: Registry, name: string, help: string, read: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(read());
    },
  });
}
