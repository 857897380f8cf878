/** What a connected client notices when the process that serves it, or PostgreSQL, is killed; and the command that listens. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createClient, type RealtimeChannel } from "@supabase/supabase-js";
import pg from "pg";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { servingProcesses } from "../harness/process-tree.ts";
import {
  type CreatedProject,
  createProject,
  removeDataDir,
  type Stack,
  startStack,
  supalove,
  temporaryDataDir,
} from "../harness/standalone.ts";

const WITHIN = { timeout: 30_000, interval: 100 };
const dataDir = temporaryDataDir();
let stack: Stack;
let project: CreatedProject;
let channel: RealtimeChannel;
let client: ReturnType<typeof createClient>;
const heard: string[] = [];
const statuses: string[] = [];

async function runSql(sql: string): Promise<void> {
  const result = await supalove(dataDir, ["project", "sql", project.ref, sql, "--json"]);
  if (result.code !== 0) throw new Error(result.stderr + result.stdout);
}

async function slots(): Promise<number> {
  const session = new pg.Client({ connectionString: project.databaseUrl });
  await session.connect();
  const { rows } = await session.query(
    "select count(*)::int as count from pg_replication_slots where slot_name like 'supalove_realtime_%' and active",
  );
  await session.end();
  return rows[0].count;
}

let word = 0;
/** Writes rows until one is heard of. */
async function untilHeard(): Promise<void> {
  await vi.waitFor(async () => {
    word += 1;
    await runSql(`insert into notes (word) values ('word ${word}')`);
    await vi.waitFor(() => expect(heard).toContain(`word ${word}`), { timeout: 1_000, interval: 20 });
  }, WITHIN);
}

beforeAll(async () => {
  stack = await startStack(dataDir);
  project = await createProject(dataDir, "mortal");
  await runSql(`create table notes (id bigint generated always as identity primary key, word text);
    grant all on notes to anon; alter publication supabase_realtime add table notes`);
  client = createClient(project.url, project.anonKey, {
    auth: { persistSession: false, autoRefreshToken: false },
    realtime: { transport: WebSocket as never },
  });
  channel = client
    .channel("notes")
    .on("postgres_changes", { event: "INSERT", schema: "public", table: "notes" }, ({ new: row }) =>
      heard.push(row.word),
    )
    .subscribe((status) => statuses.push(status));
  await untilHeard();
});
afterAll(async () => {
  await client?.removeAllChannels();
  await stack?.stop();
  removeDataDir(dataDir);
});

test("the serving process is killed: no slot of it stays, the client comes back by itself and hears on", async () => {
  expect(await slots()).toBe(1);
  const [victim = 0] = servingProcesses(stack.process.pid ?? 0).map(({ pid }) => pid);
  process.kill(victim, "SIGKILL");
  await untilHeard();
  await vi.waitFor(async () => expect(await slots()).toBe(1), WITHIN);
  expect(channel.state).toBe("joined");
});

test("every session of PostgreSQL ends by a crash: the socket stays, and changes come again", async () => {
  const [postmaster = ""] = readFileSync(join(dataDir, "postgres/data/postmaster.pid"), "utf8").split("\n");
  const children = readFileSync(`/proc/${postmaster}/task/${postmaster}/children`, "utf8").trim().split(" ");
  const walSender = children.find((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("walsender"));
  const joins = statuses.filter((status) => status === "SUBSCRIBED").length;
  process.kill(Number(walSender), "SIGKILL"); // PostgreSQL ends all sessions and recovers
  await untilHeard();
  expect(statuses.filter((status) => status === "SUBSCRIBED")).toHaveLength(joins);
});

test("supalove realtime tail prints changes of a table, and says what is missing where it cannot", async () => {
  const main = join(import.meta.dirname, "../../compose/main.ts");
  const node = join(import.meta.dirname, "../../node_modules/.bin/node");
  const env = { ...process.env, SUPALOVE_DATA_DIR: dataDir };
  const child = spawn(node, [main, "realtime", "tail", project.ref, "--table", "notes"], { env });
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  await new Promise<void>((resolve) =>
    child.stderr.on("data", (chunk) => String(chunk).includes("listening") && resolve()),
  );
  await runSql("insert into notes (word) values ('tailed')");
  await vi.waitFor(() => expect(output).toMatch(/INSERT public\.notes {2}\{"id":\d+,"word":"tailed"\}/), WITHIN);
  child.kill("SIGINT");
  await runSql("create table hidden (id int primary key)");
  const refused = await supalove(dataDir, ["realtime", "tail", project.ref, "--table", "hidden"]);
  expect(refused.code).not.toBe(0);
  expect(refused.stderr + refused.stdout).toContain("alter publication supabase_realtime add table public.hidden;");
});

test("a project is paused, resumed and deleted while it is followed, and nothing waits for a slot", async () => {
  expect((await supalove(dataDir, ["project", "pause", project.ref])).code).toBe(0);
  expect((await supalove(dataDir, ["project", "resume", project.ref])).code).toBe(0);
  await untilHeard();
  expect((await supalove(dataDir, ["project", "delete", project.ref])).code).toBe(0);
});
