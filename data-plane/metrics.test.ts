import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { watchConfigs, watchDatabases, watchRest } from "./metrics.ts";

test("connections, waiting requests and schema caches are told as they are when they are asked for", async () => {
  const registry = new Registry();
  const stats = {
    ...{ projects: 2, open: 5, connecting: 1, busy: 3, leased: 1, listeners: 2, waiting: 7 },
    ...{ opened: 9, timeouts: 4, connectFailures: 6, retries: 8 },
  };
  watchDatabases(registry, { stats: () => stats });
  watchRest(registry, { stats: () => ({ projects: 3, approximateBytes: 1000 }) });
  await registry.metrics();
  stats.waiting = 1; // a second look adds nothing to the first
  const lines = (await registry.metrics()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  expect(lines).toEqual([
    'supalove_database_connections{state="open"} 5',
    'supalove_database_connections{state="connecting"} 1',
    'supalove_database_connections{state="busy"} 3',
    'supalove_database_connections{state="leased"} 1',
    'supalove_database_connections{state="listening"} 2',
    "supalove_database_pools 2",
    "supalove_database_waiting 1",
    "supalove_database_connections_opened_total 9",
    "supalove_database_connect_failures_total 6",
    "supalove_database_wait_timeouts_total 4",
    "supalove_database_retries_total 8",
    "supalove_rest_projects 3",
    "supalove_rest_schema_cache_bytes 1000",
  ]);
});

test("a lost feed of configuration is told, by the audience it is read as", async () => {
  const registry = new Registry();
  const gateway = { connected: false, disconnectedSince: Date.now() - 5000, entries: 2 };
  const service = { connected: true, disconnectedSince: null, entries: 3 };
  watchConfigs(registry, { gateway: { status: () => gateway }, service: { status: () => service } });
  const text = await registry.metrics();
  expect(text).toContain('supalove_config_feed_connected{audience="gateway"} 0');
  expect(text).toContain('supalove_config_feed_connected{audience="service"} 1');
  expect(text).toMatch(/supalove_config_feed_lost_seconds\{audience="gateway"\} [5-9]/);
  expect(text).toContain('supalove_config_cache_projects{audience="service"} 3');
});
