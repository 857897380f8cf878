/**
 * Loading the schema cache of a project with 400 tables and 100 views (5,000 columns, 800 foreign keys) and 100
 * functions: time, longest pause of the event loop, and memory as estimated and as measured.
 *
 * node --expose-gc bench/schema-cache.ts [--loads 20]
 */

import { monitorEventLoopDelay } from "node:perf_hooks";
import { parseArgs } from "node:util";
import pg from "pg";
import { createProjectDatabases } from "../data-plane/database/project-databases.ts";
import { UNBOUNDED_SCHEMA } from "../data-plane/rest/config.ts";
import { loadSchemaCache } from "../data-plane/rest/schema-cache/build.ts";
import type { SchemaCache } from "../data-plane/rest/schema-cache/types.ts";
import { startTestCluster } from "../test/harness/cluster.ts";
import { createTestProjectDatabase } from "../test/harness/project-database.ts";

const { values: options } = parseArgs({ options: { loads: { type: "string", default: "20" } } });

const cluster = await startTestCluster();
const { address, projectRef, userUrl } = await createTestProjectDatabase(cluster.url);
await fill(userUrl);
const databases = createProjectDatabases({ maxConnections: 3 });
const database = databases.get(projectRef, address);
const scope = {
  schemas: ["public"],
  extraSearchPath: ["public", "extensions"],
  maxSchema: UNBOUNDED_SCHEMA,
  roleSettings: "project",
} as const;

const cold = await timed();
const times: number[] = [];
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
for (let count = 0; count < Number(options.loads); count += 1) times.push((await timed()).ms);
delay.disable();
times.sort((left, right) => left - right);
const caches: SchemaCache[] = [];
globalThis.gc?.();
const before = process.memoryUsage().heapUsed;
for (let count = 0; count < 10; count += 1) caches.push((await timed()).cache);
globalThis.gc?.();
const heapMegabytes = (process.memoryUsage().heapUsed - before) / caches.length / 1e6;
const relations = cold.cache.relationsOf("public").length;
console.log(
  `${relations} relations: first load ${cold.ms.toFixed(0)} ms, then median ${times[Math.floor(times.length / 2)]?.toFixed(0)} ms, ` +
    `slowest ${times.at(-1)?.toFixed(0)} ms of ${times.length}; longest pause of the loop ${(delay.max / 1e6).toFixed(0)} ms; ` +
    `${heapMegabytes.toFixed(1)} MB each (estimated ${(cold.cache.approximateBytes / 1e6).toFixed(1)} MB)`,
);
await databases.close();
await cluster.stop();

async function timed(): Promise<{ ms: number; cache: SchemaCache }> {
  const started = performance.now();
  const cache = await loadSchemaCache(database, scope);
  return { ms: performance.now() - started, cache };
}

async function fill(url: string): Promise<void> {
  const owner = new pg.Client({ connectionString: url });
  await owner.connect();
  const statements: string[] = [];
  for (let table = 0; table < 400; table += 1) {
    const columns = Array.from({ length: 7 }, (_, column) => `c${column} text default 'x'`).join(", ");
    const parent = (distance: number) => `t${Math.max(0, table - distance)}`;
    statements.push(
      `create table t${table} (id int primary key, a int references ${parent(1)}, b int references ${parent(7)}, ${columns})`,
    );
  }
  for (let view = 0; view < 100; view += 1)
    statements.push(
      `create view v${view} as select l.id, l.a, l.b, l.c0, l.c1, r.id as r_id, r.a as r_a, r.c0 as r_c0, r.c1 as r_c1, r.c2 as r_c2
       from t${view} l join t${view + 200} r on r.id = l.a`,
      `create function f${view}(a int, b text default 'x') returns setof t${view} stable language sql as 'select * from t${view} where id = a'`,
    );
  await owner.query(statements.join(";\n"));
  await owner.end();
}
