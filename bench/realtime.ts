/**
 * Realtime: sockets and their memory, fan-out beside the server library's own publish, database changes from commit to
 * client, row-level security, what a replication slot costs everybody, and many projects at once. Every message is
 * checked by the program itself.
 *
 * node bench/realtime.ts [--only <part of a scenario's name>] [--sockets 18000]
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { parseArgs } from "node:util";
import pg from "pg";
import type { ServiceSnapshot } from "../control-plane/client/config-snapshot.ts";
import { scramVerifier } from "../control-plane/clusters/scram.ts";
import { projectSnapshot } from "../data-plane/auth/testing/snapshot.ts";
import { ReplicationStream } from "../data-plane/realtime/changes/replication-stream.ts";
import { startTestCluster } from "../test/harness/cluster.ts";
import { createTestProjectDatabase } from "../test/harness/project-database.ts";
import { signToken } from "../test/harness/realtime-world.ts";
import { RawSocket } from "./realtime/raw-socket.ts";
import type { ServeSettings, Usage } from "./realtime/serve.ts";

const { values: options } = parseArgs({
  options: { only: { type: "string", default: "" }, sockets: { type: "string", default: "18000" } },
});
const PASSWORD = "replication-password";

interface BenchProject {
  readonly snapshot: ServiceSnapshot;
  readonly key: string;
  readonly userUrl: string;
}

interface Server {
  readonly port: number;
  usage(): Promise<Usage>;
  stop(): void;
}

// A commit that is not waited for is in the log, and so with us, up to 200 ms later.
const cluster = await startTestCluster(18, { synchronous_commit: "on" });
const servers: Server[] = [];
const scenarios: [name: string, run: () => Promise<void>][] = [
  ["idle sockets", idleSockets],
  ["opening sockets", openingSockets],
  ["fan-out", fanOut],
  ["changes", changes],
  ["row checks", rowChecks],
  ["slots", slotCost],
  ["many projects", manyProjects],
];
try {
  for (const [name, run] of scenarios) {
    if (!name.includes(options.only)) continue;
    console.log(`\n${name}`);
    await run();
    for (const server of servers.splice(0)) server.stop();
  }
} finally {
  for (const server of servers) server.stop();
  await cluster.stop();
}
process.exit(0);

// ---- scenarios -------------------------------------------------------------------------------------------------------

/** Joined to a channel each, a heartbeat apart nothing happens. */
async function idleSockets(): Promise<void> {
  const project = await createProject();
  const one = await serve({ mode: "all", projects: [project.snapshot], keys: [project.key], origin: null });
  await measureIdle("gateway and realtime in one process", [one], one, project, Number(options.sockets));
  const realtime = await serve({ mode: "realtime", projects: [project.snapshot], keys: [], origin: null });
  const origin = `http://127.0.0.1:${realtime.port}`;
  const gateway = await serve({ mode: "gateway", projects: [project.snapshot], keys: [project.key], origin });
  await measureIdle(
    "gateway, realtime in another",
    [gateway, realtime],
    gateway,
    project,
    Math.min(9_000, Number(options.sockets)),
  );
}

async function measureIdle(
  name: string,
  watched: Server[],
  entry: Server,
  project: BenchProject,
  count: number,
): Promise<void> {
  const warm = await openMany(entry, project, 200, "warm");
  for (const socket of warm) socket.end();
  await pause(500);
  const before = await Promise.all(watched.map((server) => server.usage()));
  let replies = 0;
  const started = performance.now();
  const sockets = await openMany(entry, project, count, "idle", () => {
    replies += 1;
  });
  const seconds = (performance.now() - started) / 1000;
  await until(() => replies >= count);
  await pause(1_000);
  const after = await Promise.all(watched.map((server) => server.usage()));
  const each = after.map(({ residentBytes, heapBytes }, index) => {
    const was = before[index] as Usage;
    return `${kilobytes((residentBytes - was.residentBytes) / count)} resident, ${kilobytes((heapBytes - was.heapBytes) / count)} of heap`;
  });
  const lost = sockets.filter(({ isLost }) => isLost).length;
  console.log(
    `  ${name}: ${count} sockets, each in a channel, opened at ${Math.round(count / seconds)}/s, ${lost} lost; each ${each.join("; ")}`,
  );
  for (const socket of sockets) socket.end();
  await pause(1_000);
}

/** Fifty thousand, five thousand at a time within two seconds. */
async function openingSockets(): Promise<void> {
  const project = await createProject();
  const realtime = await serve({ mode: "realtime", projects: [project.snapshot], keys: [], origin: null });
  const origin = `http://127.0.0.1:${realtime.port}`;
  const remote = await serve({ mode: "gateway", projects: [project.snapshot], keys: [project.key], origin });
  const local = await serve({ mode: "all", projects: [project.snapshot], keys: [project.key], origin: null });
  for (const [name, entry] of [
    ["local", local],
    ["remote", remote],
  ] as const) {
    let opened = 0;
    let lost = 0;
    for (let wave = 0; wave < 10; wave += 1) {
      const sockets = await openMany(entry, project, 5_000, null);
      await pause(300);
      opened += sockets.length;
      lost += sockets.filter(({ isLost }) => isLost).length;
      for (const socket of sockets) socket.end();
      await pause(200);
    }
    console.log(`  ${name}: ${opened} opened, ${lost} lost`);
  }
}

async function fanOut(): Promise<void> {
  const project = await createProject();
  const ours = await serve({ mode: "all", projects: [project.snapshot], keys: [project.key], origin: null });
  const library = await serve({ mode: "publish", projects: [], keys: [], origin: null });
  const subscribers = 1_000;
  const results = { ours: [] as number[], library: [] as number[] };
  const rates = { ours: [] as number[], library: [] as number[] };
  for (let round = 0; round < 3; round += 1) {
    for (const [name, server] of [
      ["ours", ours],
      ["library", library],
    ] as const) {
      const { cpuPerMessage, rate } = await fanOutRound(
        server,
        name === "ours" ? project : null,
        subscribers,
        `r${round}`,
      );
      results[name].push(cpuPerMessage);
      rates[name].push(rate);
    }
  }
  const ratio = median(results.library) / median(results.ours);
  console.log(
    `  1,000 subscribers, 100 bytes, from one sender: realtime ${Math.round(median(rates.ours))} deliveries/s, ${micro(median(results.ours))} of processor each;`,
  );
  console.log(
    `  the library's publish ${Math.round(median(rates.library))} deliveries/s, ${micro(median(results.library))}; ratio by processor time ${ratio.toFixed(2)}, by rate ${(median(rates.ours) / median(rates.library)).toFixed(2)}`,
  );
}

async function fanOutRound(server: Server, project: BenchProject | null, subscribers: number, topic: string) {
  let received = 0;
  let wrong = 0;
  const text = "x".repeat(80);
  const joined = { count: 0 };
  const onFrame = (payload: Buffer) => {
    if (payload.includes("phx_reply")) joined.count += 1;
    else if (payload.includes(text)) received += 1;
    else if (!payload.includes("presence")) wrong += 1;
  };
  const sockets = project
    ? await openMany(server, project, subscribers + 1, topic, onFrame)
    : await openPlain(server, subscribers + 1, onFrame);
  if (project) await until(() => joined.count >= subscribers + 1);
  const [sender] = sockets as [RawSocket];
  const message = project ? broadcastFrame(topic, text) : Buffer.from(`{"event":"e","payload":"${text}"}`);
  const messages = 300;
  const before = await server.usage();
  const started = performance.now();
  for (let sent = 0; sent < messages; sent += 10) {
    for (let index = 0; index < 10; index += 1) sender.sendBinary(message);
    await until(() => received >= (sent - 10) * subscribers, 1);
  }
  await until(() => received >= messages * subscribers, 2);
  const seconds = (performance.now() - started) / 1000;
  const after = await server.usage();
  for (const socket of sockets) socket.end();
  await pause(300);
  if (wrong > 0) throw new Error(`${wrong} messages were not what was sent`);
  const deliveries = messages * subscribers;
  return { cpuPerMessage: (after.cpuMs - before.cpuMs) / deliveries, rate: deliveries / seconds };
}

/** 200 changes a second for 100 subscribers. */
async function changes(): Promise<void> {
  const project = await createProject();
  const server = await serve({ mode: "all", projects: [project.snapshot], keys: [project.key], origin: null });
  const db = new pg.Client({ connectionString: project.userUrl });
  await db.connect();
  await db.query(`create table plain (id bigint generated always as identity primary key, at float8, owner text);
    create table secured (id bigint generated always as identity primary key, at float8, owner text);
    alter table secured enable row level security;
    create policy own on secured for select to authenticated using (owner = (select auth.jwt() ->> 'team') or owner = (select auth.jwt() ->> 'sub'));
    grant all on plain, secured to anon, authenticated;
    alter publication supabase_realtime add table plain, secured`);
  for (const table of ["plain", "secured"]) {
    const latencies: number[] = [];
    let active = 0;
    const onFrame = (payload: Buffer) => {
      const text = payload.toString();
      if (text.includes("Subscribed to PostgreSQL")) active += 1;
      const at = /"at":([\d.]+)/.exec(text)?.[1];
      if (at !== undefined) latencies.push(Date.now() - Number(at));
    };
    const sockets = await openMany(server, project, 100, null, onFrame);
    sockets.forEach((socket, index) => {
      const config = { postgres_changes: [{ event: "INSERT", schema: "public", table }] };
      const token = signToken(project.snapshot.jwt.secret, {
        role: "authenticated",
        sub: `user-${index}`,
        team: "all",
        exp: farAway(),
      });
      socket.sendText(JSON.stringify(["1", "1", `realtime:${table}`, "phx_join", { config, access_token: token }]));
    });
    await until(() => active >= 100);
    const count = 2_000;
    const started = performance.now();
    for (let sent = 0; sent < count; sent += 1) {
      const due = started + sent * 5;
      if (performance.now() < due) await pause(due - performance.now());
      await db.query(`insert into ${table} (at, owner) values (extract(epoch from clock_timestamp()) * 1000, 'all')`);
    }
    await until(() => latencies.length >= count * 100);
    console.log(
      `  ${table === "plain" ? "without" : "with"} row-level security, 200/s to 100 subscribers of their own claims: p50 ${milli(quantile(latencies, 0.5))}, p99 ${milli(quantile(latencies, 0.99))}, all ${latencies.length} delivered`,
    );
    for (const socket of sockets) socket.end();
  }
  await db.end();
}

/** A thousand users, each of whom a hundred rows are checked for at a time. */
async function rowChecks(): Promise<void> {
  const project = await createProject();
  const server = await serve({ mode: "all", projects: [project.snapshot], keys: [project.key], origin: null });
  const db = new pg.Client({ connectionString: project.userUrl });
  await db.connect();
  await db.query(`create table own (id bigint generated always as identity primary key, owner text);
    alter table own enable row level security;
    create policy own on own for select to authenticated using (owner = (select auth.jwt() ->> 'sub'));
    grant all on own to authenticated; alter publication supabase_realtime add table own`);
  const users = 1_000;
  let active = 0;
  let heard = 0;
  const sockets = await openMany(server, project, users, null, (payload) => {
    if (payload.includes("Subscribed to PostgreSQL")) active += 1;
    if (payload.includes('"postgres_changes",{"ids"')) heard += 1;
  });
  sockets.forEach((socket, index) => {
    const token = signToken(project.snapshot.jwt.secret, {
      role: "authenticated",
      sub: `user-${index}`,
      exp: farAway(),
    });
    const config = { postgres_changes: [{ event: "INSERT", schema: "public", table: "own" }] };
    socket.sendText(JSON.stringify(["1", "1", "realtime:own", "phx_join", { config, access_token: token }]));
  });
  await until(() => active >= users);
  const rows = 1_000;
  const before = await server.usage();
  const started = performance.now();
  await db.query(`insert into own (owner) select 'user-' || n from generate_series(0, ${rows - 1}) n`);
  await until(() => heard >= rows);
  const seconds = (performance.now() - started) / 1000;
  const checks = (await server.usage()).rowChecks - before.rowChecks;
  console.log(
    `  ${users} users, ${rows} rows, each seen by one: ${Math.round(checks / seconds)} checks/s (${checks} in ${seconds.toFixed(2)} s)`,
  );
  for (const socket of sockets) socket.end();
  await db.end();
}

/** Small commits in a database that nobody follows, while other databases are followed. */
async function slotCost(): Promise<void> {
  const writer = await createProject();
  const followed: BenchProject[] = [];
  for (let index = 0; index < 25; index += 1) followed.push(await createProject());
  const pool = new pg.Pool({ connectionString: writer.userUrl, max: 4 });
  await pool.query("create table written (id bigint generated always as identity, word text)");
  const streams: ReplicationStream[] = [];
  let alone = 0;
  await commitRate(pool, 3_000); // whatever is slow the first time
  for (const count of [0, 1, 10, 25]) {
    while (streams.length < count) {
      const { snapshot } = followed[streams.length] as BenchProject;
      if (!snapshot.replication) throw new Error("there is no replication login");
      const stream = await ReplicationStream.connect({
        address: snapshot.database,
        login: snapshot.replication,
        slot: `supalove_realtime_bench_${streams.length}`,
        publication: "supabase_realtime",
        handlers: { onMessage() {}, onEnd() {} },
      });
      await stream.start();
      streams.push(stream);
    }
    const rate = await commitRate(pool, 3_000);
    if (count === 0) alone = rate;
    console.log(`  ${count} active slots: ${Math.round(rate)} commits/s, ${(rate / alone).toFixed(2)} of none`);
  }
  for (const stream of streams) stream.close();
  await pool.end();
}

async function commitRate(pool: pg.Pool, ms: number): Promise<number> {
  let commits = 0;
  const end = performance.now() + ms;
  const write = async () => {
    while (performance.now() < end) {
      await pool.query("insert into written (word) values ('x')");
      commits += 1;
    }
  };
  await Promise.all(Array.from({ length: 4 }, write));
  return (commits / ms) * 1000;
}

/** Two sockets in each of 200 projects, one tells the other the time: alone, and all at once. */
async function manyProjects(): Promise<void> {
  const projects: BenchProject[] = [];
  for (let index = 0; index < 200; index += 1) projects.push(await createProject());
  const server = await serve({
    mode: "all",
    projects: projects.map(({ snapshot }) => snapshot),
    keys: projects.map(({ key }) => key),
    origin: null,
  });
  const latencies: number[] = [];
  const senders: RawSocket[] = [];
  let joined = 0;
  for (const project of projects) {
    const [sender] = (await openMany(server, project, 2, "clock", (payload) => {
      if (payload.includes("phx_reply")) joined += 1;
      const at = /at:([\d.]+)/.exec(payload.toString("latin1"))?.[1];
      if (at !== undefined) latencies.push(performance.now() - Number(at));
    })) as [RawSocket, RawSocket];
    senders.push(sender);
  }
  await until(() => joined >= 400);
  await pause(1_000);
  const measure = async (count: number) => {
    latencies.length = 0;
    for (let round = 0; round < 2_000; round += 1) {
      const sender = senders[round % count] as RawSocket;
      sender.sendBinary(broadcastFrame("clock", `at:${performance.now()}`));
      await pause(2);
    }
    await until(() => latencies.length >= 2_000);
    return { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) };
  };
  const alone = await measure(1);
  const together = await measure(200);
  console.log(
    `  500 messages/s: one project of 200 connected p50 ${milli(alone.p50)} p99 ${milli(alone.p99)}; over all 200 p50 ${milli(together.p50)} p99 ${milli(together.p99)}; p99 ratio ${(together.p99 / alone.p99).toFixed(2)}`,
  );
}

// ---- parts -----------------------------------------------------------------------------------------------------------

async function createProject(): Promise<BenchProject> {
  const { address, userUrl, projectRef } = await createTestProjectDatabase(cluster.url);
  const admin = new pg.Client({ connectionString: cluster.url });
  await admin.connect();
  await admin.query(`alter role supabase_replication_admin password '${await scramVerifier(PASSWORD)}'`);
  await admin.end();
  const base = projectSnapshot({ database: address });
  const snapshot: ServiceSnapshot = {
    ...base,
    projectRef,
    replication: { cluster: "bench", user: "supabase_replication_admin", password: PASSWORD },
    realtime: {
      ...base.realtime,
      maxConcurrentUsers: 100_000,
      maxJoinsPerSecond: 100_000,
      maxEventsPerSecond: 10_000_000,
    },
  };
  return { snapshot, userUrl, key: signToken(snapshot.jwt.secret, { role: "anon", exp: farAway() }) };
}

async function serve(settings: ServeSettings): Promise<Server> {
  const child: ChildProcess = fork(join(import.meta.dirname, "realtime/serve.ts"), [], { execArgv: ["--expose-gc"] });
  child.send(settings);
  const [{ port }] = (await once(child, "message")) as [{ port: number }];
  const server: Server = {
    port,
    async usage() {
      child.send("usage");
      const [usage] = (await once(child, "message")) as [Usage];
      return usage;
    },
    stop: () => void child.kill("SIGKILL"),
  };
  servers.push(server);
  return server;
}

/** @param topic Joined by each; null: none. */
async function openMany(
  server: Server,
  { snapshot, key }: BenchProject,
  count: number,
  topic: string | null,
  onFrame: (payload: Buffer) => void = () => {},
): Promise<RawSocket[]> {
  const target = `/projects/${snapshot.projectRef}/realtime/v1/websocket?vsn=2.0.0&apikey=${key}`;
  const sockets = await openPlain(server, count, onFrame, target);
  if (topic !== null) {
    for (const [index, socket] of sockets.entries()) {
      socket.sendText(JSON.stringify(["1", "1", `realtime:${topic}`, "phx_join", { config: {} }]));
      if (index % 500 === 499) await pause(5);
    }
  }
  return sockets;
}

async function openPlain(
  server: Server,
  count: number,
  onFrame: (payload: Buffer) => void,
  target = "/",
): Promise<RawSocket[]> {
  const sockets: RawSocket[] = [];
  for (let opened = 0; opened < count; opened += 250) {
    const batch = Math.min(250, count - opened);
    sockets.push(
      ...(await Promise.all(Array.from({ length: batch }, () => RawSocket.open(server.port, target, onFrame)))),
    );
  }
  return sockets;
}

/** A binary frame of kind 3, as realtime-js sends it. */
function broadcastFrame(topic: string, text: string): Buffer {
  const fullTopic = `realtime:${topic}`;
  const head = Buffer.from([3, 1, 1, fullTopic.length, 1, 0, 1]);
  return Buffer.concat([head, Buffer.from(`11${fullTopic}e${JSON.stringify({ text })}`)]);
}

function farAway(): number {
  return Math.floor(Date.now() / 1000) + 86_400;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function until(holds: () => boolean, everyMs = 10): Promise<void> {
  const deadline = performance.now() + 120_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error("what was waited for did not happen within two minutes");
    await pause(everyMs);
  }
}

function quantile(values: readonly number[], share: number): number {
  return values.toSorted((one, other) => one - other)[Math.floor((values.length - 1) * share)] ?? Number.NaN;
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

function milli(ms: number): string {
  return `${ms.toFixed(2)} ms`;
}

function micro(ms: number): string {
  return `${(ms * 1000).toFixed(2)} µs`;
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1024).toFixed(1)} KB`;
}
