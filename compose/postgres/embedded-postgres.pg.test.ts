/** As root this tests both ways: PostgreSQL under another user, and the whole started by an ordinary user. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { parseProjectRef } from "../../control-plane/client/config-snapshot.ts";
import { createProjectDatabases } from "../../data-plane/database/project-databases.ts";
import { freePort } from "../../test/harness/cluster.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "./embedded-postgres.ts";
import { DirectoryInUse } from "./instance-lock.ts";
import { findProcessesIn } from "./processes.ts";

const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;
const isLinux = process.platform === "linux";
const logger = { info: () => {}, error: () => {} };

let parent: string; // 0700: as root, the user PostgreSQL runs as cannot enter it
let folder: string;
let port: number;
const cleanups: (() => unknown)[] = [];

beforeEach(async () => {
  parent = mkdtempSync(join(tmpdir(), "supalove-embedded-"));
  folder = join(parent, "postgres");
  port = await freePort();
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  rmSync(parent, { recursive: true, force: true });
});

async function start(options: { port?: number; onGivenUp?: (reason: Error) => void } = {}): Promise<EmbeddedPostgres> {
  const postgres = await startEmbeddedPostgres({ dataDir: folder, port, logger, ...options });
  cleanups.push(() => postgres.stop());
  return postgres;
}

/** Starts it in another process; answers that process and what it printed first. */
async function startElsewhere(identity: { uid?: number; gid?: number } = {}): Promise<[ChildProcess, string]> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "test-instance.ts"), folder, String(port)], {
    ...identity,
    cwd: "/",
    stdio: ["ignore", "pipe", "inherit"],
  });
  cleanups.push(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGTERM");
    await once(child, "exit");
  });
  const [line] = (await once(child.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
  return [child, line.toString().trim()];
}

async function query<Row extends object>(url: string, text: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

const runningHere = () => findProcessesIn(join(folder, "data"), "postgres");

describe("an embedded PostgreSQL", () => {
  test("comes up on a new folder, keeps its data over a stop, and lets nobody in without the password", async () => {
    const first = await start();
    const [who] = await query<Record<string, string>>(
      first.url,
      `select current_user as user, current_setting('listen_addresses') as listen, current_setting('wal_level') as wal,
        current_setting('unix_socket_directories') as sockets, lower('Ü') as lower,
        (select string_agg(distinct type || ' ' || auth_method, ', ') from pg_hba_file_rules) as rules`,
    );
    expect(who).toEqual({
      user: "supabase_admin",
      listen: "127.0.0.1",
      wal: "logical",
      sockets: "",
      lower: "ü",
      rules: "host scram-sha-256",
    });
    const stranger = new URL(first.url);
    stranger.password = "guess";
    await expect(query(stranger.href, "select 1")).rejects.toMatchObject({ code: "28P01" });
    expect(statSync(join(folder, "superuser-password")).mode & 0o777).toBe(0o600);
    expect(statSync(folder).mode & 0o777).toBe(0o700);

    await query(first.url, "create table kept as select 42 as answer");
    await first.stop();
    const second = await start();
    expect(second.url).toBe(first.url);
    expect(await query(second.url, "select answer from kept")).toEqual([{ answer: 42 }]);
  });

  test.runIf(isRoot && isLinux)(
    "started by root runs under another user, below folders that user cannot enter",
    async () => {
      await start();
      const [postmaster] = runningHere();
      expect(statSync(`/proc/${postmaster?.pid}`).uid).not.toBe(0);
      expect(statSync(parent).uid).toBe(0);
      expect(statSync(parent).mode & 0o777).toBe(0o700);
      expect(statSync(join(folder, "superuser-password")).uid).toBe(0);
    },
  );

  test.runIf(isRoot && isLinux && canReachProject())("may be started by an ordinary user", async () => {
    chownSync(parent, NOBODY, NOBODY);
    const [, answer] = await startElsewhere({ uid: NOBODY, gid: NOBODY });
    expect(await query(answer.replace("ready ", ""), "select 1 as one")).toEqual([{ one: 1 }]);
    expect(statSync(join(folder, "superuser-password")).uid).toBe(NOBODY);
  });

  test("makes a second one on the same folder fail with a sentence that names the first", async () => {
    const [child, answer] = await startElsewhere();
    expect(answer).toMatch(/^ready /);
    await expect(start()).rejects.toThrow(DirectoryInUse);
    await expect(start()).rejects.toThrow(`is in use by another Supalove (pid ${child.pid}, since 2`);
  });

  test("says who has its port, and leaves the folder free", async () => {
    const taken = createServer().listen(port, "127.0.0.1");
    await once(taken, "listening");
    const who = isLinux ? `.* \\(pid ${process.pid}\\)` : "";
    await expect(start()).rejects.toThrow(new RegExp(`port ${port} on 127.0.0.1 is taken${who}`));
    await new Promise((closed) => taken.close(closed));
    await start();
  });

  /** Kills the postmaster with -9, and answers when another one takes connections. */
  async function killAndWait(url: string): Promise<void> {
    const postmaster = runningHere().find(({ command }) => !command.startsWith("postgres:"));
    process.kill(postmaster?.pid ?? 0, "SIGKILL");
    await vi.waitFor(
      async () => {
        const now = runningHere().find(({ command }) => !command.startsWith("postgres:"));
        if (!now || now.pid === postmaster?.pid) throw new Error("not started again");
        await query(url, "select 1");
      },
      { timeout: 20_000, interval: 50 },
    );
  }

  test("starts again when it was killed, three times, and then tells that it gives up", async () => {
    const givenUp = Promise.withResolvers<Error>();
    const { url } = await start({ onGivenUp: givenUp.resolve });
    await query(url, "create table kept (id int)");
    for (let restart = 1; restart <= 3; restart += 1) {
      const busy = new pg.Client({ connectionString: url });
      busy.on("error", () => {});
      await busy.connect();
      busy.query("do $$ begin loop end loop; end $$").catch(() => {}); // does not notice that its postmaster is gone
      await killAndWait(url);
      expect(await query(url, "select count(*)::int from kept")).toEqual([{ count: 0 }]);
    }
    const postmaster = runningHere().find(({ command }) => !command.startsWith("postgres:"));
    process.kill(postmaster?.pid ?? 0, "SIGKILL");
    expect((await givenUp.promise).message).toBe(
      "PostgreSQL ended unexpectedly (SIGKILL), too often to start it again",
    );
  });

  test.runIf(process.platform === "linux")("a session that wants too much memory fails alone", async () => {
    const { url } = await start();
    const quiet = new pg.Client({ connectionString: url });
    await quiet.connect();
    const greedy = `do $$ declare held text[]; begin
      for i in 1..40 loop held[i] := repeat('x', 100000000); end loop; end $$`;
    await expect(query(url, greedy)).rejects.toThrow(/out of memory|array size exceeds|invalid memory alloc/);
    const large = `do $$ declare a text; b text; c text; d text; begin
      a := repeat('x', 600000000); b := a || ''; c := a || ''; d := a || ''; end $$`;
    await expect(query(url, large)).rejects.toThrow("out of memory");
    expect((await quiet.query("select 1 as alive")).rows).toEqual([{ alive: 1 }]); // its session has gone through it
    await quiet.end();
  });

  test("is found again by the data plane's pools after a restart", async () => {
    const first = await start();
    const url = new URL(first.url);
    const databases = createProjectDatabases({ maxConnections: 4 });
    cleanups.push(() => databases.close());
    const database = databases.get(parseProjectRef("a".repeat(20)), {
      host: url.hostname,
      port,
      database: "postgres",
      user: url.username,
      password: url.password,
      ssl: false,
    });
    const ask = () => database.pipeline([{ text: "select 1", values: [], prepare: true }]);
    await ask();
    await first.stop();
    await expect(ask()).rejects.toThrow();
    await start();
    for (;;) {
      const isAnswered = await ask().then(
        () => true,
        () => false,
      );
      if (isAnswered) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
});

describe.runIf(isLinux)("after kill -9", () => {
  test("of the process that started it, PostgreSQL stops by itself", async () => {
    const [child] = await startElsewhere();
    expect(runningHere().length).toBeGreaterThan(0);
    child.kill("SIGKILL");
    await until(() => runningHere().length === 0);
    await start();
  });

  test("of that process and its watchdog, the next start ends the PostgreSQL left running and keeps its data", async () => {
    const [child, answer] = await startElsewhere();
    await query(answer.replace("ready ", ""), "create table kept as select 42 as answer");
    const [before] = runningHere();
    killWatchdogOf(child);
    child.kill("SIGKILL");
    await once(child, "exit");
    const pids = () => runningHere().map(({ pid }) => pid);
    expect(pids()).toContain(before?.pid);
    const postgres = await start();
    expect(await query(postgres.url, "select answer from kept")).toEqual([{ answer: 42 }]);
    expect(pids()).not.toContain(before?.pid);
  });

  test("of everything, the next start recovers what was committed", async () => {
    const [child, answer] = await startElsewhere();
    await query(answer.replace("ready ", ""), "create table kept as select 42 as answer");
    killWatchdogOf(child);
    child.kill("SIGKILL");
    for (const { pid } of runningHere()) process.kill(pid, "SIGKILL");
    await once(child, "exit");
    const postgres = await start();
    expect(await query(postgres.url, "select answer from kept")).toEqual([{ answer: 42 }]);
  });

  test("a stale pid file that names somebody else's process neither stops the start nor harms that process", async () => {
    const first = await start();
    await first.stop();
    const bystander = spawn("sleep", ["60"], isRoot ? { uid: NOBODY, gid: NOBODY } : {});
    cleanups.push(() => bystander.kill("SIGKILL"));
    writeFileSync(join(folder, "data/postmaster.pid"), `${bystander.pid}\n${folder}/data\n0\n${port}\n`);
    await start();
    expect(bystander.exitCode).toBeNull();
    expect(bystander.signalCode).toBeNull();
  });

  // The kill must hit the half second that initdb takes: on a busy machine it can come too late, and is tried again.
  test("in the midst of making the data directory, the next start makes it anew", { retry: 5 }, async () => {
    const answer = startElsewhere().catch(() => null);
    await until(() => existsSync(folder) && readdirSync(folder).some((name) => /^data\.new-\d+$/.test(name)));
    const half = readdirSync(folder).find((name) => /^data\.new-\d+$/.test(name)) ?? "";
    await until(() => existsSync(join(folder, half, "PG_VERSION")));
    process.kill(Number(half.replace("data.new-", "")), "SIGKILL");
    expect(existsSync(join(folder, "data"))).toBe(false);
    await start();
    expect(readdirSync(folder).filter((name) => name.startsWith("data.new"))).toEqual([]);
    void answer;
  });
});

describe("a data directory", () => {
  test("of another major version is refused with a sentence that says what to do", async () => {
    const first = await start();
    await first.stop();
    writeFileSync(join(folder, "data/PG_VERSION"), "15\n");
    await expect(start()).rejects.toThrow(
      /was made by PostgreSQL 15, but this version of Supalove brings PostgreSQL 18/,
    );
  });

  test("that is none is left alone", async () => {
    mkdirSync(join(folder, "data"), { recursive: true });
    writeFileSync(join(folder, "data/precious"), "mine");
    if (isRoot) chownSync(join(folder, "data"), NOBODY, NOBODY);
    await expect(start()).rejects.toThrow(/is not a PostgreSQL data directory/);
    expect(existsSync(join(folder, "data/precious"))).toBe(true);
  });

  test("whose password file was lost gets a new password", async () => {
    const first = await start();
    await first.stop();
    rmSync(join(folder, "superuser-password"));
    const second = await start();
    expect(second.url).not.toBe(first.url);
    expect(await query(second.url, "select 1 as one")).toEqual([{ one: 1 }]);
  });

  test("that cannot be made ours is named", async () => {
    writeFileSync(folder, "a file");
    await expect(start()).rejects.toThrow(/cannot be used for PostgreSQL's data/);
    chmodSync(folder, 0o600);
  });
});

/** Kills it as a kill of the whole tree would. It waits for its standard input and is a child of the starter. */
function killWatchdogOf(starter: ChildProcess): void {
  const children = execFileSync("ps", ["-o", "pid=,args=", "--ppid", String(starter.pid)], { encoding: "utf8" });
  for (const line of children.split("\n"))
    if (line.includes("supalove-watchdog")) process.kill(Number.parseInt(line, 10), "SIGKILL");
}

/** Whether an ordinary user may read this checkout and run this Node. */
function canReachProject(): boolean {
  try {
    const identity = { uid: NOBODY, gid: NOBODY };
    execFileSync(process.execPath, ["-e", `require("fs").readdirSync(${JSON.stringify(import.meta.dirname)})`], {
      ...identity,
      cwd: "/",
      stdio: "ignore",
    });
    return true;
  } catch {
    return false;
  }
}
