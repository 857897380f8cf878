/**
 * Storage beside nginx serving the same files, a plain writer and pgbench: CPU of the service and of its PostgreSQL sessions for
 * each request, latency in a large bucket, memory of large bodies, and a neighbour's patience.
 */
import { type ChildProcess, fork, spawn, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import sharp from "sharp";
import { freePort, startTestCluster } from "../test/harness/cluster.ts";
import type { ServingOrder } from "../test/harness/storage-process.ts";
import { createStorageWorld } from "../test/harness/storage-world.ts";
import { findProgram } from "./programs.ts";
import { median, round, table } from "./results.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const TICK_MS = 10;
/** Connections that have idled are closed by either side: none is kept for longer than a moment. */
const agent = new Agent({ keepAlive: true, maxSockets: 64, timeout: 4_000 });

const folder = mkdtempSync(join(tmpdir(), "supalove-bench-storage-"));
const cluster = await startTestCluster(18, { fsync: "on", synchronous_commit: "on", shared_buffers: "256MB" });
const world = await createStorageWorld(cluster.url, { directory: join(folder, "objects") });
const project = await world.createProject({ fileSizeLimitBytes: 20_000 * MIB });
const limits = { ...project.snapshot.limits, maxUploadBytes: 20_000 * MIB };
const port = await freePort();
const child = await serve();
const base = `http://127.0.0.1:${port}/projects/${project.ref}/storage/v1`;
const nginxPort = await freePort();
const nginx = startNginx();

try {
  await fill();
  await reads();
  await writes();
  await statements();
  await largeBucket();
  await memory();
  await neighbour();
} finally {
  child.kill("SIGKILL");
  nginx.kill("SIGTERM");
  await world.close();
  await cluster.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function serve(): Promise<ChildProcess> {
  const started = fork(join(import.meta.dirname, "../test/harness/storage-process.ts"), {
    execArgv: ["--max-semi-space-size=64"],
  });
  const order: ServingOrder = {
    directory: join(folder, "objects"),
    port,
    service: { ...project.snapshot, limits },
    gateway: { ...project.gatewaySnapshot, limits },
  };
  started.send(order);
  await new Promise((listening) => started.once("message", listening));
  return started;
}

function startNginx(): ChildProcess {
  mkdirSync(join(folder, "nginx/files"), { recursive: true });
  const file = join(folder, "nginx.conf");
  const lines = [
    "user root; worker_processes 1; daemon off; error_log /dev/null;",
    `pid ${join(folder, "nginx.pid")};`,
    "events { worker_connections 1024; }",
    "http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;",
    `  client_body_temp_path ${folder}/t1; proxy_temp_path ${folder}/t2; fastcgi_temp_path ${folder}/t3; uwsgi_temp_path ${folder}/t4; scgi_temp_path ${folder}/t5;`,
    `  server { listen 127.0.0.1:${nginxPort}; root ${join(folder, "nginx/files")}; } }`,
  ];
  writeFileSync(file, lines.join("\n"));
  return spawn(findProgram("nginx") as string, ["-c", file, "-p", folder], { stdio: "ignore" });
}

/** Milliseconds of CPU that processes have used, with all their threads. */
function cpuOf(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
      ticks += Number(fields[11]) + Number(fields[12]);
    } catch {
      // a session that has ended
    }
  }
  return ticks * TICK_MS;
}

async function servicePids(): Promise<number[]> {
  const { rows } = await project.db.query(
    "select pid from pg_stat_activity where datname = current_database() and application_name = 'supalove'",
  );
  return [child.pid as number, ...rows.map(({ pid }) => pid as number)];
}

function nginxPids(): number[] {
  const { stdout } = spawnSync("pgrep", ["-P", String(nginx.pid)], { encoding: "utf8" });
  return stdout.trim().split("\n").map(Number);
}

/** @returns Milliseconds until the whole body was there. */
function get(url: string, headers: Record<string, string> = {}): Promise<number> {
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    request(url, { agent, headers }, (response) => {
      if ((response.statusCode ?? 500) >= 400) reject(new Error(`${response.statusCode} from ${url}`));
      response.on("data", () => {}).on("end", () => resolve(performance.now() - startedAt));
    })
      .on("error", reject)
      .end();
  });
}

function send(method: string, url: string, body: Buffer, headers: Record<string, string> = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      { agent, method, headers: { ...service(), "content-length": String(body.length), ...headers } },
      (response) => {
        let text = "";
        response
          .on("data", (chunk) => (text += chunk))
          .on("end", () => {
            if (response.statusCode === 200) resolve(text);
            else reject(new Error(text));
          });
      },
    );
    sent.on("error", reject);
    sent.end(body);
  });
}

function service(): Record<string, string> {
  return { authorization: `Bearer ${project.serviceKey}` };
}

/** Runs so many, some at a time. @returns Their durations. */
async function many(count: number, width: number, work: (index: number) => Promise<number>): Promise<number[]> {
  const times: number[] = [];
  let next = 0;
  const runner = async () => {
    while (next < count) times.push(await work(next++));
  };
  await Promise.all(Array.from({ length: width }, runner));
  return times;
}

/** CPU for one request, in milliseconds. */
async function cost(
  pids: () => number[] | Promise<number[]>,
  count: number,
  width: number,
  work: () => Promise<number>,
): Promise<number> {
  await many(Math.ceil(count / 10), width, work);
  const measured = await pids();
  const before = cpuOf(measured);
  await many(count, width, work);
  return (cpuOf(measured) - before) / count;
}

async function fill(): Promise<void> {
  await project.client().storage.createBucket("public", { public: true });
  await project.client().storage.createBucket("private");
  await project.db.query(
    "create policy mine on storage.objects for select to authenticated using (bucket_id = 'private' and owner_id is null)",
  );
  for (const [name, bytes] of [
    ["10k", 10 * KIB],
    ["1m", MIB],
    ["100m", 100 * MIB],
  ] as const) {
    const content = randomBytes(bytes);
    for (const bucket of ["public", "private"]) await send("POST", `${base}/object/${bucket}/${name}`, content);
    writeFileSync(join(folder, "nginx/files", name), content);
  }
}

async function reads(): Promise<void> {
  const user = {
    authorization: `Bearer ${project.token({ role: "authenticated", sub: "317eadce-631a-4429-a0bb-f19a7a517b4a" })}`,
  };
  const peer = (name: string, count: number) =>
    cost(nginxPids, count, 8, () => get(`http://127.0.0.1:${nginxPort}/${name}`));
  const ours = (path: string, count: number, headers = {}) =>
    cost(servicePids, count, 8, () => get(`${base}${path}`, headers));
  const [nginx10k, nginx1m, nginx100m] = [await peer("10k", 60_000), await peer("1m", 2_000), await peer("100m", 30)];
  const rows: (string | number)[][] = [];
  const add = (what: string, mine: number, theirs: number, goal: string) =>
    rows.push([what, round(mine, 3), round(theirs, 4), round(mine / theirs, 1), goal]);
  add("public 10 KB", await ours("/object/public/public/10k", 15_000), nginx10k, "40");
  add("private 10 KB, a user's JWT", await ours("/object/authenticated/private/10k", 15_000, user), nginx10k, "60");
  add("public 1 MB", await ours("/object/public/public/1m", 2_000), nginx1m, "2");
  add("public 100 MB", await ours("/object/public/public/100m", 30), nginx100m, "1.2");
  add("HEAD 100 MB", await cost(servicePids, 5_000, 8, () => head(`${base}/object/public/public/100m`)), nginx10k, "-");
  console.log(table(["Read", "CPU ms", "nginx CPU ms", "ratio", "goal"], rows));
}

function head(url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    request(url, { agent, method: "HEAD" }, (response) => response.resume().on("end", () => resolve(0)))
      .on("error", reject)
      .end();
  });
}

async function writes(): Promise<void> {
  const rows: (string | number)[][] = [];
  for (const [what, bytes, count] of [
    ["1 MB", MIB, 100],
    ["100 MB", 100 * MIB, 5],
  ] as const) {
    const content = randomBytes(bytes);
    let number = 0;
    const upload = async () => {
      const startedAt = performance.now();
      await send("POST", `${base}/object/public/up/${bytes}/${number++}`, content);
      return performance.now() - startedAt;
    };
    await upload();
    const measured = await servicePids();
    const before = cpuOf(measured);
    const times = await many(count, 1, upload);
    const cpu = (cpuOf(measured) - before) / count;
    const plain = await many(count, 1, () => plainWrite(content, number++));
    rows.push([
      what,
      round(cpu, 2),
      round(median(times), 1),
      round(median(plain), 1),
      round(median(plain) / median(times), 2),
      "0.7",
    ]);
  }
  console.log(
    `\n${table(["Upload with MD5 and fsync", "CPU ms", "p50 ms", "plain writer p50 ms", "ratio", "goal"], rows)}`,
  );
}

/** The same hash and the same fsync of file and folder, from memory. */
async function plainWrite(content: Buffer, number: number): Promise<number> {
  const startedAt = performance.now();
  const hash = createHash("md5");
  const file = await open(join(folder, `plain-${number}`), "w");
  for (let at = 0; at < content.length; at += 512 * KIB) {
    const chunk = content.subarray(at, at + 512 * KIB);
    hash.update(chunk);
    await file.write(chunk);
  }
  hash.digest("hex");
  await file.datasync();
  await file.close();
  const parent = await open(folder, "r");
  await parent.sync();
  await parent.close();
  const time = performance.now() - startedAt;
  rmSync(join(folder, `plain-${number}`));
  return time;
}

async function statements(): Promise<void> {
  await project.client().storage.createBucket("list");
  await project.db.query(
    `insert into storage.objects (bucket_id, name, metadata) select 'list', 'f/' || lpad(n::text, 5, '0'), '{"size": 1}' from generate_series(1, 1000) n`,
  );
  const scope = `select set_config('request.jwt.claims', '{"role":"service_role"}', true), set_config('storage.operation', 'x', true), set_config('role', 'service_role', true);`;
  const list = `select json_agg(json_build_object('name', s.name, 'id', s.id, 'metadata', s.metadata)) from storage.search('f/', 'list', 100, 1, 0, '', 'name', 'asc') s;`;
  const find = `select id, version, metadata from storage.objects where bucket_id = 'list' and name = 'f/00500';`;
  const json = { ...service(), "content-type": "application/json" };
  const rate = async (path: string, body: object) => {
    const content = Buffer.from(JSON.stringify(body));
    const work = async () => Number(await send("POST", `${base}${path}`, content, json).then(() => 0));
    await many(300, 8, work);
    const startedAt = performance.now();
    await many(4_000, 8, work);
    return 4_000 / ((performance.now() - startedAt) / 1000);
  };
  const rows: (string | number)[][] = [];
  for (const [what, path, body, statement] of [
    ["list 100 of 1,000", "/object/list/list", { prefix: "f", limit: 100 }, list],
    ["sign", "/object/sign/list/f/00500", { expiresIn: 60 }, find],
  ] as const) {
    const mine = await rate(path, body);
    const peer = pgbench(`begin;\n${scope}\n${statement}\ncommit;`);
    rows.push([what, round(mine), round(peer), round(mine / peer, 2), "0.5"]);
  }
  console.log(`\n${table(["", "requests/s", "pgbench, the same statements", "ratio", "goal"], rows)}`);
}

function pgbench(script: string): number {
  const file = join(folder, "script.sql");
  writeFileSync(file, script);
  const { host, port: pgPort, user, password, database } = project.snapshot.database;
  const args = [
    "-n",
    "-f",
    file,
    "-c",
    "8",
    "-T",
    "4",
    "-M",
    "prepared",
    "-h",
    host,
    "-p",
    String(pgPort),
    "-U",
    user,
    database,
  ];
  const { stdout } = spawnSync(findProgram("pgbench") as string, args, {
    encoding: "utf8",
    env: { ...process.env, PGPASSWORD: password },
  });
  return Number(/tps = ([\d.]+)/.exec(stdout)?.[1] ?? Number.NaN);
}

async function largeBucket(): Promise<void> {
  await project.client().storage.createBucket("million");
  await project.db.query("alter table storage.objects disable trigger user");
  await project.db.query(
    `insert into storage.objects (bucket_id, name, metadata) select 'million', 'dir' || (n % 1000) || '/f' || n, '{"size": 1}' from generate_series(1, 1000000) n`,
  );
  await project.db.query("alter table storage.objects enable trigger user");
  await project.db.query("vacuum analyze storage.objects");
  const json = { "content-type": "application/json" };
  const timed = async (path: string, body: object) => {
    const content = Buffer.from(JSON.stringify(body));
    const times = await many(60, 1, async () => {
      const startedAt = performance.now();
      await send("POST", `${base}${path}`, content, json);
      return performance.now() - startedAt;
    });
    return round(median(times), 1);
  };
  const rows = [
    ["v1, the root: 1,000 folders, 100 shown", await timed("/object/list/million", { prefix: "", limit: 100 })],
    ["v1, one folder of 1,000", await timed("/object/list/million", { prefix: "dir7", limit: 100 })],
    ["v2, a level", await timed("/object/list-v2/million", { with_delimiter: true, limit: 100 })],
    ["v2, flat, a page of 1,000", await timed("/object/list-v2/million", { limit: 1000 })],
  ];
  console.log(`\n${table(["List in a bucket of 1,000,000 objects", "p50 ms (goal 20)"], rows)}`);
}

function rssOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * KIB;
}

async function memory(): Promise<void> {
  const bytes = 5_000 * MIB;
  const pid = child.pid as number;
  await delay(3_000);
  const idle = rssOf(pid);
  let peak = idle;
  const watching = setInterval(() => (peak = Math.max(peak, rssOf(pid))), 20);
  const chunk = randomBytes(MIB);
  const upload = await new Promise<number>((resolve, reject) => {
    const startedAt = performance.now();
    const headers = { ...service(), "content-length": String(bytes) };
    const sent = request(`${base}/object/public/huge`, { method: "POST", headers }, (response) => {
      response
        .resume()
        .on("end", () =>
          response.statusCode === 200
            ? resolve(performance.now() - startedAt)
            : reject(new Error(String(response.statusCode))),
        );
    });
    sent.on("error", reject);
    let left = bytes;
    const write = () => {
      while (left > 0) {
        left -= chunk.length;
        if (!sent.write(chunk)) return void sent.once("drain", write);
      }
      sent.end();
    };
    write();
  });
  const afterUpload = peak;
  const download = await get(`${base}/object/public/public/huge`)
    .catch(() => get(`${base}/object/public/huge`))
    .catch(() => Number.NaN);
  clearInterval(watching);
  const rate = (ms: number) => round(bytes / MIB / (ms / 1000));
  console.log(
    `\n${table(
      ["5 GB", "MB/s", "memory above idle, MB (goal 30)"],
      [
        ["upload", rate(upload), round((afterUpload - idle) / MIB)],
        ["download", rate(download), round((peak - idle) / MIB)],
      ],
    )}`,
  );
}

async function neighbour(): Promise<void> {
  const noise = { width: 3000, height: 2000, channels: 3 as const };
  const jpeg = await sharp(randomBytes(noise.width * noise.height * 3), { raw: noise })
    .jpeg()
    .toBuffer();
  await send("POST", `${base}/object/public/photo.jpg`, jpeg, { "content-type": "image/jpeg" });
  let isBusy = true;
  let number = 0;
  const content = randomBytes(10 * MIB);
  const uploads = Array.from({ length: 4 }, async () => {
    while (isBusy) await send("POST", `${base}/object/public/busy/${number++}`, content).catch(() => {});
  });
  const images = Array.from({ length: 8 }, async () => {
    while (isBusy)
      await get(`${base}/render/image/public/public/photo.jpg?width=${100 + (number++ % 2000)}`).catch(() => {});
  });
  const times: number[] = [];
  const until = performance.now() + 15_000;
  while (performance.now() < until) {
    times.push(await get(`${base}/object/public/public/10k`));
    await delay(20);
  }
  isBusy = false;
  await Promise.all([...uploads, ...images]);
  times.sort((a, b) => a - b);
  const at = (share: number) => round(times[Math.floor(times.length * share)] ?? Number.NaN, 1);
  console.log(
    `\n10 KB beside 4 uploads of 10 MB and 8 transformations of 6 MP at a time: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms (goal 100)`,
  );
}
