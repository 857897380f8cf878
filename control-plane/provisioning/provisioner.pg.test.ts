import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import type { Database } from "../database.ts";
import { Conflict, NotFound, ProjectBusy, Unsupported } from "../errors.ts";
import { createEvents, type PostgresEvents } from "../events.ts";
import { createLogger } from "../logger.ts";
import { findProject } from "../projects/project-row.ts";
import { type ControlPlaneDatabase, createControlPlaneDatabase } from "../testing/fresh-database.ts";
import { ProvisioningFailure } from "./failure.ts";
import type { OperationKind, ProvisionedProject } from "./operation.ts";
import { createProvisioner, type Provisioner, type ProvisionerOptions } from "./provisioner.ts";
import type { Runtime } from "./runtime.ts";
import type { Step } from "./step-runner.ts";

const logger = createLogger("silent");
let fresh: ControlPlaneDatabase;
let database: Database;
let events: PostgresEvents;
let organizationId: string;

beforeAll(async () => {
  fresh = await createControlPlaneDatabase(inject("clusterUrl"));
  database = fresh.database;
  events = createEvents({ databaseUrl: fresh.url, logger });
  await events.start();
});
afterAll(async () => {
  await events.close();
  await fresh.drop();
});
beforeEach(async () => {
  organizationId = await newOrganization();
});

describe("begin", () => {
  test("moves the project to the passing state and leads to the final one", async () => {
    await using instance = start(() => [step("work")]);
    const ref = await project("ACTIVE");
    const operation = await begin(instance, ref, "pause");
    expect(operation).toMatchObject({ kind: "pause", state: "running", attempts: 0, completedSteps: [] });
    await untilState(ref, "PAUSED");
    expect(await lastOperation(ref)).toMatchObject({ state: "succeeded", completed_steps: ["work"], owner: null });
  });

  test("refuses a second operation while one runs, and nothing of the second remains", async () => {
    const gate = Promise.withResolvers<void>();
    await using instance = start(() => [{ name: "wait", run: () => gate.promise }]);
    const ref = await project("ACTIVE");
    await begin(instance, ref, "pause");
    await expect(begin(instance, ref, "delete")).rejects.toThrow(ProjectBusy);
    expect((await findProject(database, ref))?.state).toBe("PAUSING");
    gate.resolve();
    await untilState(ref, "PAUSED");
  });

  test("of two that begin at the same moment exactly one wins", async () => {
    // The winner's work must not end before the other asks: a project that is ACTIVE again may be deleted.
    const gate = Promise.withResolvers<void>();
    await using instance = start(() => [{ name: "wait", run: () => gate.promise }]);
    const ref = await project("ACTIVE");
    const results = await Promise.allSettled([begin(instance, ref, "restart"), begin(instance, ref, "delete")]);
    gate.resolve();
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  });

  test("is undone with the caller's transaction", async () => {
    await using instance = start(() => [step("work")]);
    const ref = await project("ACTIVE");
    const rolledBack = database.transaction(async (tx) => {
      await instance.provisioner.begin(tx, ref, "pause");
      throw new Error("the caller changed its mind");
    });
    await expect(rolledBack).rejects.toThrow("changed its mind");
    expect((await findProject(database, ref))?.state).toBe("ACTIVE");
    expect(await lastOperation(ref)).toBeUndefined();
  });

  test.each([
    ["PAUSED", "pause", Conflict],
    ["ACTIVE", "resume", Conflict],
    ["ACTIVE", "create", Conflict],
    ["FAILED", "pause", Conflict],
    ["DELETED", "delete", NotFound],
  ] as const)("a project in state %s refuses to %s", async (state, kind, error) => {
    await using instance = start(() => []);
    await expect(begin(instance, await project(state), kind)).rejects.toThrow(error);
  });

  test("a dedicated project is refused where no runtime for it is installed", async () => {
    await using instance = start(() => []);
    const ref = await project("CREATING", "dedicated");
    await expect(begin(instance, ref, "create")).rejects.toThrow(Unsupported);
  });
});

describe("failure and retry", () => {
  test("leaves state FAILED with a reason for people, and a retry goes through the steps again", async () => {
    let broken = true;
    await using instance = start(() => [
      step("first"),
      {
        name: "second",
        run: async () => {
          if (broken) throw new ProvisioningFailure("No database cluster has room for another project.");
        },
      },
    ]);
    const ref = await project("CREATING");
    await begin(instance, ref, "create");
    await untilState(ref, "FAILED");
    expect((await findProject(database, ref))?.stateReason).toBe("No database cluster has room for another project.");
    expect(await lastOperation(ref)).toMatchObject({ state: "failed", step: "second", completed_steps: ["first"] });
    broken = false;
    const again = await database.transaction((tx) => instance.provisioner.retry(tx, ref));
    expect(again.kind).toBe("create");
    await untilState(ref, "ACTIVE");
    expect((await findProject(database, ref))?.stateReason).toBeNull();
  });

  test("a project that is not FAILED is not retried", async () => {
    await using instance = start(() => []);
    const ref = await project("ACTIVE");
    await expect(database.transaction((tx) => instance.provisioner.retry(tx, ref))).rejects.toThrow(Conflict);
  });

  test("a migration that fails leaves the project serving as before", async () => {
    await using instance = start(() => [{ name: "apply", run: () => Promise.reject(new Error("bad SQL")) }]);
    const ref = await project("ACTIVE");
    await begin(instance, ref, "migrate");
    await until(async () => (await lastOperation(ref))?.state === "failed");
    expect((await findProject(database, ref))?.state).toBe("ACTIVE");
  });
});

describe("several instances", () => {
  test("each operation is worked on by one of them, once", async () => {
    const runs: string[] = [];
    const count = (project: ProvisionedProject): Step[] => [
      { name: "count", run: async () => void runs.push(project.ref) },
      { name: "wait", run: () => sleep(5) },
    ];
    await using one = start((_kind, project) => count(project));
    await using _two = start((_kind, project) => count(project));
    const refs = await Promise.all(Array.from({ length: 20 }, () => project("CREATING")));
    await Promise.all(refs.map((ref) => begin(one, ref, "create")));
    for (const ref of refs) await untilState(ref, "ACTIVE");
    expect(runs.toSorted()).toEqual(refs.toSorted());
  });

  test("what a stopping instance has not finished goes on in another, from the step it had come to", async () => {
    const gate = Promise.withResolvers<void>();
    const entered = Promise.withResolvers<void>();
    const ran: string[] = [];
    const first = start(() => [
      { name: "one", run: async () => void ran.push("first: one") },
      {
        name: "two",
        run: async () => {
          ran.push("first: two");
          entered.resolve();
          await gate.promise;
        },
      },
      { name: "three", run: async () => void ran.push("first: three") },
    ]);
    const ref = await project("CREATING");
    await begin(first, ref, "create");
    await entered.promise;
    const stopped = first.provisioner.stop();
    gate.resolve();
    await stopped;
    await using _second = start(() => ["one", "two", "three"].map((name) => step(name, ran, "second")));
    await untilState(ref, "ACTIVE");
    expect(ran).toEqual(["first: one", "first: two", "second: two", "second: three"]);
  });

  test("an instance whose lease ran out stops, and records nothing over the one that took over", async () => {
    const gate = Promise.withResolvers<void>();
    const entered = Promise.withResolvers<void>();
    const ran: string[] = [];
    await using slow = start(
      () => [
        {
          name: "one",
          run: async () => {
            entered.resolve();
            await gate.promise;
          },
        },
        step("two", ran, "slow"),
      ],
      { leaseMs: 60_000 },
    );
    const ref = await project("CREATING");
    await begin(slow, ref, "create");
    await entered.promise;
    await database.query("update operations set lease_expires_at = now() - interval '1 s' where project_ref = $1", [
      ref,
    ]);
    await using _other = start(() => [step("one", ran, "other"), step("two", ran, "other")], { pollMs: 20 });
    await untilState(ref, "ACTIVE");
    gate.resolve();
    await slow.provisioner.stop();
    expect(ran).toEqual(["other: one", "other: two"]);
  });

  test("an organization with many waiting operations does not keep another one waiting", async () => {
    const order: string[] = [];
    const crowd = organizationId;
    const refs = await Promise.all(Array.from({ length: 6 }, () => project("CREATING")));
    const idle = createProvisioner({ database, events, runtimes: { shared: runtime(() => []) }, logger });
    for (const ref of refs) await database.transaction((tx) => idle.begin(tx, ref, "create"));
    organizationId = await newOrganization();
    const single = await project("CREATING");
    await database.transaction((tx) => idle.begin(tx, single, "create"));
    await using _instance = start(
      (_kind, project) => [
        { name: "note", run: async () => void order.push(project.organizationId === crowd ? "crowd" : "single") },
        { name: "wait", run: () => sleep(20) },
      ],
      { concurrency: 2 },
    );
    for (const ref of [...refs, single]) await untilState(ref, "ACTIVE");
    expect(order.indexOf("single")).toBeLessThan(2);
  });
});

// --- harness

function runtime(steps: (kind: OperationKind, project: ProvisionedProject) => readonly Step[]): Runtime {
  return { steps, prepare: async () => [], tidy: async () => {} };
}

function step(name: string, log: string[] = [], who = "step"): Step {
  return { name, run: async () => void log.push(`${who}: ${name}`) };
}

function start(
  steps: (kind: OperationKind, project: ProvisionedProject) => readonly Step[],
  options: Partial<ProvisionerOptions> = {},
): { provisioner: Provisioner } & AsyncDisposable {
  const provisioner = createProvisioner({
    database,
    events,
    runtimes: { shared: runtime(steps) },
    logger,
    pollMs: 100,
    retry: { maxAttempts: 3, baseDelayMs: 5, maxDelayMs: 20 },
    ...options,
  });
  void provisioner.start();
  return { provisioner, [Symbol.asyncDispose]: () => provisioner.stop() };
}

function begin({ provisioner }: { provisioner: Provisioner }, ref: string, kind: OperationKind) {
  return database.transaction((tx) => provisioner.begin(tx, ref, kind));
}

async function newOrganization(): Promise<string> {
  const [row] = await database.query<{ id: string }>(
    "insert into organizations (name, slug) values ('Test', 'o' || gen_random_uuid()) returning id",
  );
  return row?.id ?? "";
}

async function project(state: string, plan = "shared"): Promise<string> {
  const ref = Array.from({ length: 20 }, () => String.fromCharCode(97 + Math.floor(Math.random() * 26))).join("");
  await database.query(
    `insert into projects (ref, organization_id, name, plan, state, deleted_at)
     values ($1, $2, 'test', $4, $3, case when $3 = 'DELETED' then now() end)`,
    [ref, organizationId, state, plan],
  );
  return ref;
}

async function lastOperation(ref: string): Promise<Record<string, unknown> | undefined> {
  const rows = await database.query<Record<string, unknown>>(
    "select * from operations where project_ref = $1 order by created_at desc limit 1",
    [ref],
  );
  return rows[0];
}

async function untilState(ref: string, state: string): Promise<void> {
  await until(async () => (await findProject(database, ref))?.state === state);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(10);
}
