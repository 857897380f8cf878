/** PostgreSQL ends sessions of ours, politely and by a crash, while the stack is at all kinds of work: it lives on. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { createClient } from "@supabase/supabase-js";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createGraphqlClient, type GraphqlClient } from "../../compose/cli/graphql-client.ts";
import { findOwnerToken } from "../../compose/local-instance.ts";
import {
  type CreatedProject,
  createProject,
  removeDataDir,
  type Stack,
  startStack,
  supalove,
  temporaryDataDir,
} from "../harness/standalone.ts";

const PASSWORD = "correct horse battery staple";
const dataDir = temporaryDataDir();
let stack: Stack;
let api: GraphqlClient;
let project: CreatedProject;

beforeAll(async () => {
  stack = await startStack(dataDir);
  const { controlPlaneUrl } = JSON.parse((await supalove(dataDir, ["status", "--json"])).stdout);
  api = createGraphqlClient(controlPlaneUrl, findOwnerToken(dataDir) ?? "");
  project = await createProject(dataDir, "mortal");
});

afterAll(async () => {
  await stack?.stop();
  removeDataDir(dataDir);
});

/** Processes of PostgreSQL that serve a client, by their pids. */
function backends(): number[] {
  const [postmaster = ""] = readFileSync(join(dataDir, "postgres/data/postmaster.pid"), "utf8").split("\n");
  const children = readFileSync(`/proc/${postmaster}/task/${postmaster}/children`, "utf8").trim().split(" ");
  return children.filter((pid) => isClientBackend(pid)).map(Number);
}

function isClientBackend(pid: string): boolean {
  try {
    return /^postgres: \S+ \S+ \S+\(\d+\)/.test(readFileSync(`/proc/${pid}/cmdline`, "utf8"));
  } catch {
    return false; // it has ended meanwhile
  }
}

function end(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it has ended meanwhile
  }
}

const mutate = (mutation: string, variables: object = {}) =>
  api.request(mutation, { ref: project.ref, ...variables } as Record<string, unknown>);

let counter = 0;
const WORK: readonly (() => PromiseLike<unknown>)[] = [
  () =>
    mutate("mutation ($input: RunSqlInput!) { runSql(input: $input) { durationMs } }", {
      input: { ref: project.ref, sql: "select pg_sleep(0.05)" },
    }),
  () =>
    mutate('mutation ($ref: ID!, $value: String!) { setSecret(ref: $ref, name: "S", value: $value) { name } }', {
      value: String(counter++),
    }),
  () => mutate("query ($ref: ID!) { project(ref: $ref) { health { status } usage { connections } } }"),
  () => mutate("query ($ref: ID!) { project(ref: $ref) { users { totalCount } } }"),
  () => mutate("mutation ($ref: ID!) { restartProject(ref: $ref) { state } }"),
  () => mutate("mutation ($ref: ID!) { updateRestSettings(ref: $ref, settings: { maxRows: 77 }) { ref } }"),
  () => createClient(project.url, project.secretKey).rpc("no_such_function"),
  () => createClient(project.url, project.secretKey).auth.admin.listUsers(),
  () =>
    createClient(project.url, project.anonKey).auth.signUp({
      email: `m${counter++}@faults.example`,
      password: PASSWORD,
    }),
];

/** Does all kinds of work, three of each at a time, until `trouble` is over. Failures are expected. */
async function workDuring(trouble: Promise<void>): Promise<void> {
  let isOver = false;
  const loops = [...WORK, ...WORK, ...WORK].map(async (work) => {
    while (!isOver) await Promise.resolve(work()).catch(() => pause(20));
  });
  await trouble;
  isOver = true;
  await Promise.all(loops);
}

interface Found {
  readonly project: { state: string; health: { services: readonly { name: string; status: string }[] } };
}
const STATE_AND_HEALTH = "query ($ref: ID!) { project(ref: $ref) { state health { services { name status } } } }";

async function expectAlive(): Promise<void> {
  expect(stack.process.exitCode).toBeNull();
  await vi.waitFor(
    async () => {
      const { state, health } = (await api.request<Found>(STATE_AND_HEALTH, { ref: project.ref })).project;
      expect(state).toBe("ACTIVE");
      const healthy = health.services.filter(({ status }) => status === "HEALTHY").map(({ name }) => name);
      expect(healthy).toEqual(expect.arrayContaining(["rest", "auth"]));
      const { error } = await createClient(project.url, project.anonKey).auth.signUp({
        email: `alive${counter++}@faults.example`,
        password: PASSWORD,
      });
      expect(error).toBeNull();
      expect((await createClient(project.url, project.secretKey).from("nothing").select()).error?.code).toBe(
        "PGRST205",
      );
    },
    { timeout: 40_000, interval: 200 },
  );
  expect(stack.output()).not.toContain("an error was not handled");
}

test("sessions that are ended one after the other, idle, at work or in a transaction, end no process", async () => {
  const trouble = async () => {
    for (let round = 0; round < 40; round++) {
      for (const pid of backends()) if (Math.random() < 0.3) end(pid, "SIGTERM");
      await pause(50);
    }
  };
  await workDuring(trouble());
  await expectAlive();
});

test("a backend that is killed, as by the out-of-memory killer, takes all sessions with it and no process of ours", async () => {
  const trouble = async () => {
    for (let round = 0; round < 3; round++) {
      await pause(300);
      const [victim] = backends();
      if (victim !== undefined) end(victim, "SIGKILL");
      await pause(700);
    }
  };
  await workDuring(trouble());
  await expectAlive();
});
