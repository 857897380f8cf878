/**
 * What a 50 MB body costs the standalone REST server: its resident memory before, and the highest while it inserts.
 * With `columns` the body is not looked at; without, it is scanned for its keys.
 *
 * node bench/rest-memory.ts [--megabytes 50]
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { parseArgs } from "node:util";
import pg from "pg";
import { freePort, startTestCluster } from "../test/harness/cluster.ts";

const { values: options } = parseArgs({ options: { megabytes: { type: "string", default: "50" } } });
const size = Number(options.megabytes) * 1024 * 1024;

const cluster = await startTestCluster();
const admin = new pg.Client({ connectionString: cluster.url });
await admin.connect();
await admin.query(
  `create role web nologin; create table public.blobs (id int, content text); grant insert on public.blobs to web`,
);
await admin.end();

const body = Buffer.from(JSON.stringify([{ id: 1, content: "x".repeat(size) }]));
for (const [name, path, content] of [
  ["one value, with columns", "/blobs?columns=id,content", body],
  ["one value, keys looked for", "/blobs", body],
  ["100,000 rows, keys looked for", "/blobs", rows(100_000)],
] as const) {
  const port = await freePort();
  const server = spawn(process.execPath, [join(import.meta.dirname, "../data-plane/rest/main.ts")], {
    env: {
      ...process.env,
      PGRST_DB_URI: cluster.url,
      PGRST_DB_ANON_ROLE: "web",
      PGRST_SERVER_PORT: String(port),
      PGRST_SERVER_HOST: "127.0.0.1",
    },
    stdio: "inherit",
  });
  await untilServed(port);
  for (let count = 0; count < 20; count += 1) await send(port, path, Buffer.from('[{"id":1,"content":"x"}]'));
  const before = residentMegabytes(server.pid, "VmRSS");
  const status = await send(port, path, content);
  const peak = residentMegabytes(server.pid, "VmHWM");
  console.log(
    `${name}: ${(content.length / 1024 / 1024).toFixed(1)} MB, status ${status}, resident ${before.toFixed(0)} → ${peak.toFixed(0)} MB: +${(peak - before).toFixed(0)} MB`,
  );
  server.kill();
}
await cluster.stop();

function rows(count: number): Buffer {
  return Buffer.from(JSON.stringify(Array.from({ length: count }, (_, id) => ({ id, content: `row number ${id}` }))));
}

function residentMegabytes(pid: number | undefined, field: "VmRSS" | "VmHWM"): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) / 1024;
}

async function untilServed(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const status = await send(port, "/blobs?columns=id", Buffer.from('[{"id":0}]')).catch(() => 0);
    if (status === 201) return;
    await new Promise((resume) => setTimeout(resume, 50));
  }
  throw new Error("the server does not answer");
}

function send(port: number, path: string, content: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", "content-length": content.length };
    const outgoing = request({ host: "127.0.0.1", port, path, method: "POST", headers }, (incoming) => {
      incoming.resume();
      incoming.once("end", () => resolve(incoming.statusCode ?? 0));
    });
    outgoing.once("error", reject);
    outgoing.end(content);
  });
}
