/**
 * The data plane's hot path by itself: one transaction of two statements (settings, then one row by primary key), 64 at
 * a time, under row-level security, beside pgbench with the same two statements in one pipeline (at 8 and at 64 connections; the better one is the
 * yardstick) and beside plain `pg` with BEGIN … COMMIT.
 * Contenders take turns in short rounds on one cluster, so that each sees the same minutes of the machine.
 *
 * node bench/database.ts [--seconds 3] [--rounds 3] [--concurrency 64] [--only <part of a contender's name>]
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import pg from "pg";
import { parseProjectRef } from "../control-plane/client/config-snapshot.ts";
import { createProjectDatabases } from "../data-plane/database/project-databases.ts";
import { startTestCluster } from "../test/harness/cluster.ts";

const { values: options } = parseArgs({
  options: {
    seconds: { type: "string", default: "3" },
    rounds: { type: "string", default: "3" },
    concurrency: { type: "string", default: "64" },
    only: { type: "string", default: "" },
  },
});
const seconds = Number(options.seconds);
const rounds = Number(options.rounds);
const concurrency = Number(options.concurrency);
const ROWS = 10_000;

const SET =
  "select set_config('search_path', $1, true), set_config('role', $2, true), set_config('request.jwt.claims', $3, true), set_config('request.method', $4, true), set_config('request.path', $5, true)";
const SETTINGS = [
  '"public"',
  "anon_bench",
  '{"role":"anon","sub":"00000000-0000-0000-0000-000000000001","iss":"bench"}',
  "GET",
  "/item",
];
const SELECT =
  "select coalesce(json_agg(t), '[]')::text as body, count(*)::text from (select id, name, price from public.item where id = $1::int) t";

const cluster = await startTestCluster();
const url = new URL(cluster.url);
const admin = new pg.Client({ connectionString: cluster.url });
await admin.connect();
await admin.query(`create role anon_bench nologin; create role user_bench nologin;
  create table item (id int primary key, name text not null, price numeric not null);
  insert into item select n, 'item ' || n, n * 1.5 from generate_series(1, ${ROWS}) n;
  alter table item enable row level security;
  create policy all_items on item for select to anon_bench, user_bench using (true);
  grant select on item to anon_bench, user_bench; analyze item;`);
await admin.end();

const folder = mkdtempSync(join(tmpdir(), "supalove-bench-"));
const literal = (text: string) => `'${text.replaceAll("'", "''")}'`;
const script = join(folder, "pipeline.sql");
const setLiteral = SETTINGS.reduce((text, value, index) => text.replace(`$${index + 1}`, literal(value)), SET);
writeFileSync(
  script,
  `\\set id random(1, ${ROWS})\n\\startpipeline\n${setLiteral.replaceAll(":", "\\:")};\n${SELECT.replace("$1::int", ":id")};\n\\endpipeline\n`,
);

interface Contender {
  /** Transactions per second over the measured time. */
  run(): Promise<number> | number;
  close(): Promise<void>;
}

function pgbench(clients: number): Contender {
  return {
    close: async () => {},
    run() {
      const output = execFileSync(
        "pgbench",
        ["-n", "-M", "prepared", "-c", String(clients), "-j", "1", "-T", options.seconds, "-f", script, "postgres"],
        {
          encoding: "utf8",
          stdio: ["ignore", "pipe", "pipe"],
          env: {
            ...process.env,
            PGHOST: url.hostname,
            PGPORT: url.port,
            PGUSER: url.username,
            PGPASSWORD: url.password,
          },
        },
      );
      return Number(/tps = ([\d.]+)/.exec(output)?.[1]);
    },
  };
}

/** Keeps `concurrency` calls under way for the measured time. */
async function closedLoop(call: (id: number) => Promise<void>): Promise<number> {
  let done = 0;
  const started = performance.now();
  const end = started + seconds * 1000;
  await Promise.all(
    Array.from({ length: concurrency }, async (_, worker) => {
      for (let turn = worker; performance.now() < end; turn++) {
        await call(1 + ((turn * 7919) % ROWS));
        done++;
      }
    }),
  );
  return done / ((performance.now() - started) / 1000);
}

/** @param roles Take turns. @param plansByRole Whether each role has a prepared statement of its own. */
function supalove(connections: number, roles = ["anon_bench"], plansByRole = true): Contender {
  const databases = createProjectDatabases({
    maxConnections: connections,
    maxConnectionsPerProject: connections,
    pipelineConnections: connections,
  });
  const database = databases.get(parseProjectRef("benchbenchbenchbench"), {
    host: url.hostname,
    port: Number(url.port),
    database: "postgres",
    user: url.username,
    password: url.password,
    ssl: false,
  });
  return {
    close: () => databases.close(),
    run: () =>
      closedLoop(async (id) => {
        const role = roles[id % roles.length] as string;
        const [, result] = await database.pipeline([
          { text: SET, values: SETTINGS.with(1, role), prepare: true },
          { text: SELECT, values: [String(id)], prepare: true, ...(plansByRole && { planRole: role }) },
        ]);
        if (!result?.bytes(0, 0)) throw new Error("no body");
      }),
  };
}

function plainPg(connections: number): Contender {
  const pool = new pg.Pool({ connectionString: cluster.url, max: connections });
  return {
    close: () => pool.end(),
    run: () =>
      closedLoop(async (id) => {
        const client = await pool.connect();
        await client.query("begin");
        await client.query({ name: "settings", text: SET, values: SETTINGS });
        const { rows } = await client.query<{ body: string }>({ name: "select", text: SELECT, values: [String(id)] });
        await client.query("commit");
        client.release();
        if (!rows[0]?.body) throw new Error("no body");
      }),
  };
}

const PGBENCH = ["pgbench, pipelined, 8 connections", "pgbench, pipelined, 64 connections"] as const;
const contenders: Record<string, Contender> = {
  [PGBENCH[0]]: pgbench(8),
  [PGBENCH[1]]: pgbench(64),
  "supalove, 2 connections": supalove(2),
  "supalove, 4 connections": supalove(4),
  "supalove, 4, two roles in turn": supalove(4, ["anon_bench", "user_bench"]),
  "the same, one statement for both": supalove(4, ["anon_bench", "user_bench"], false),
  "pg, BEGIN … COMMIT, pool of 10": plainPg(10),
};
const chosen = Object.entries(contenders).filter(([name]) => name.includes(options.only));

const results = new Map<string, number[]>();
for (let round = 0; round < rounds; round++)
  for (const [name, { run }] of chosen) results.set(name, [...(results.get(name) ?? []), await run()]);

const median = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
// On a crowded machine a short run of pgbench may end before its connections are open, and tells no figure then.
const baseline = Math.max(0, ...PGBENCH.map((name) => median(results.get(name) ?? [])).filter(Number.isFinite));
console.log(`\nTransactions per second, ${concurrency} at a time, median of ${rounds} rounds of ${seconds} s`);
for (const [name, numbers] of results) {
  const ratio = baseline > 0 ? `${(median(numbers) / baseline).toFixed(2)} × the better pgbench` : "";
  console.log(`${name.padEnd(38)} ${median(numbers).toFixed(0).padStart(7)}  ${ratio}`);
}

for (const { close } of Object.values(contenders)) await close();
rmSync(folder, { recursive: true });
await cluster.stop();
