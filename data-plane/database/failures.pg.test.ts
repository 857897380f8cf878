/** What callers see when connections break, statements are stopped or nobody is free. */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from "vitest";
import { ConnectionLost, DatabaseError, PoolTimeout, type ProjectDatabase, type Statement } from "./database.ts";
import {
  createProjectDatabases,
  type ObservableProjectDatabases,
  type ProjectDatabasesOptions,
} from "./project-databases.ts";
import { createTestDatabase, type TestDatabase } from "./test-database.ts";

let target: TestDatabase;
let databases: ObservableProjectDatabases;

beforeAll(async () => {
  target = await createTestDatabase(inject("clusterUrl"));
  await target.query(
    "create table account (id int primary key, balance int); insert into account values (1, 0), (2, 0)",
  );
});
afterAll(() => target.drop());
afterEach(() => databases.close());

function open(options: Partial<ProjectDatabasesOptions> = {}, port = target.address.port): ProjectDatabase {
  databases = createProjectDatabases({ maxConnections: 20, applicationName: "failures-test", ...options });
  return databases.get(target.projectRef, { ...target.address, port });
}

function sql(text: string, ...values: string[]): Statement {
  return { text, values, prepare: true };
}

/** Resolves when our backends in the database are as the condition says. */
async function untilBackends(condition: string): Promise<void> {
  for (;;) {
    const [row] = await target.query(
      `select ${condition} as holds from pg_stat_activity where application_name = 'failures-test' and datname = current_database()`,
    );
    if (row?.holds) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function settled(promises: readonly Promise<unknown>[]): Promise<unknown[]> {
  return (await Promise.allSettled(promises)).map((each) => (each.status === "fulfilled" ? "answered" : each.reason));
}

const ENDLESS = sql("select pg_sleep(60)");

describe("a backend that is terminated", () => {
  test("loses the batches in flight, runs none of the writes again, and the next ones get a new connection", async () => {
    const database = open({ maxConnectionsPerProject: 1, slowAfterMs: 60_000 });
    await database.pipeline([sql("select 1")]);
    const write = sql("update account set balance = balance + 1 where id = 1");
    const outcome = settled([
      database.pipeline([write, ENDLESS]),
      database.pipeline([write]),
      database.pipeline([sql("select 1")], { changesNothing: true }),
    ]);
    await untilBackends("bool_or(wait_event = 'PgSleep')");
    await target.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'failures-test'",
    );
    const [running, behind, readOnly] = await outcome;
    expect(running).toBeInstanceOf(ConnectionLost);
    expect(running).toMatchObject({ sent: true, cause: { code: "57P01" } });
    expect(behind).toBeInstanceOf(ConnectionLost);
    expect(readOnly).toBe("answered");
    const [balance] = await database.pipeline([sql("select balance from account where id = 1")]);
    expect(balance?.rows).toEqual([["0"]]);
    expect(databases.stats()).toMatchObject({ opened: 2, retries: 1 });
  });

  test("while idle is noticed without anybody being hurt", async () => {
    const database = open();
    await database.pipeline([sql("select 1")]);
    await target.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'failures-test'",
    );
    while (databases.stats().open > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await expect(database.pipeline([sql("select 1")])).resolves.toMatchObject([{ rows: [["1"]] }]);
  });

  test("in a transaction makes it fail, and the connection is not given back to others", async () => {
    const database = open({ maxConnectionsPerProject: 1 });
    const failing = database.withTransaction(async (transaction) => {
      await transaction.query("update account set balance = 5 where id = 2");
      await target.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'failures-test'",
      );
      await transaction.query("select 1");
    });
    await expect(failing).rejects.toBeInstanceOf(ConnectionLost);
    const [balance] = await database.pipeline([sql("select balance from account where id = 2")]);
    expect(balance?.rows).toEqual([["0"]]);
    expect(databases.stats()).toMatchObject({ leased: 0, opened: 2 });
  });
});

test("of two transactions in a deadlock one fails with the server's code and both connections go on", async () => {
  const database = open();
  await target.query(`alter database ${target.address.database} set deadlock_timeout = '50ms'`);
  const bothHold = Promise.withResolvers<void>();
  let holding = 0;
  const transfer = (first: number, second: number) =>
    database.withTransaction(async (transaction) => {
      await transaction.query("update account set balance = balance where id = $1", [first]);
      if (++holding === 2) bothHold.resolve();
      await bothHold.promise;
      await transaction.query("update account set balance = balance where id = $1", [second]);
    });
  const outcome = await settled([transfer(1, 2), transfer(2, 1)]);
  const errors = outcome.filter((each) => each instanceof DatabaseError);
  expect(errors).toMatchObject([{ code: "40P01" }]);
  await expect(database.pipeline([sql("select 1")])).resolves.toMatchObject([{ rows: [["1"]] }]);
  expect(databases.stats().opened).toBe(2);
});

describe("a server that is not there", () => {
  test("is reported at once as a lost connection that sent nothing, and is not knocked at by every request", async () => {
    const database = open({}, 1);
    const outcome = await settled(Array.from({ length: 50 }, () => database.pipeline([sql("select 1")])));
    for (const error of outcome) {
      expect(error).toBeInstanceOf(ConnectionLost);
      expect(error).toMatchObject({ sent: false });
    }
    await settled(Array.from({ length: 50 }, () => database.pipeline([sql("select 1")])));
    expect(databases.stats().connectFailures).toBeLessThanOrEqual(4);
  });

  test("that comes back is found again", async () => {
    const gate = await startGate();
    const database = open({}, gate.port);
    await database.pipeline([sql("select 1")]);
    gate.shut();
    await expect(database.pipeline([sql("select 1")])).rejects.toBeInstanceOf(ConnectionLost);
    gate.open();
    for (;;) {
      const [outcome] = await settled([database.pipeline([sql("select 1")])]);
      if (outcome === "answered") break;
      expect(outcome).toBeInstanceOf(ConnectionLost);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await databases.close();
    await gate.close();
  });

  test("or that takes the connection and says nothing is given up after the connect timeout", async () => {
    const silent = createServer((socket) => socket.on("error", () => {})).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const database = open({ connectTimeoutMs: 50 }, (silent.address() as { port: number }).port);
    await expect(database.pipeline([sql("select 1")])).rejects.toThrow(/no answer within 50 ms/);
    silent.close();
  });

  test("or that refuses the password is named as such, without the password", async () => {
    databases = createProjectDatabases({ maxConnections: 2 });
    const database = databases.get(target.projectRef, { ...target.address, password: "not-the-password" });
    const error = await database.pipeline([sql("select 1")]).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ sent: false, cause: { code: "28P01" } });
    expect(JSON.stringify(error) + String(error)).not.toContain("not-the-password");
  });
});

describe("too few connections", () => {
  test("make further requests wait, and give up in time", async () => {
    const database = open({ maxConnectionsPerProject: 1, slowAfterMs: 0, acquireTimeoutMs: 200 });
    const controller = new AbortController();
    const slow = database.pipeline([ENDLESS], { signal: controller.signal });
    await untilBackends("bool_or(wait_event = 'PgSleep')");
    await expect(database.pipeline([sql("select 1")])).rejects.toBeInstanceOf(PoolTimeout);
    await expect(database.withTransaction((transaction) => transaction.query("select 1"))).rejects.toBeInstanceOf(
      PoolTimeout,
    );
    expect(databases.stats().timeouts).toBe(2);
    controller.abort();
    await expect(slow).rejects.toThrow(/aborted/);
    await expect(database.pipeline([sql("select 1")])).resolves.toMatchObject([{ rows: [["1"]] }]);
  });

  test("bound the queue", async () => {
    const database = open({ maxConnectionsPerProject: 1, maxWaiting: 3, pipelineDepth: 1 });
    const outcome = await settled(Array.from({ length: 10 }, () => database.pipeline([sql("select 1")])));
    expect(outcome.filter((each) => each instanceof PoolTimeout)).toHaveLength(7);
    expect(outcome.filter((each) => each === "answered")).toHaveLength(3);
  });

  test("on the server are waited for", async () => {
    const role = `few_${target.projectRef}`;
    await target.query(`create role ${role} login password 'x' connection limit 1`);
    const one = createProjectDatabases({ maxConnections: 1 });
    const holder = one.get(target.projectRef, { ...target.address, user: role, password: "x" });
    await holder.pipeline([sql("select 1")]);
    databases = createProjectDatabases({ maxConnections: 5 });
    const other = databases.get(target.projectRef, { ...target.address, user: role, password: "x" });
    const waiting = other.pipeline([sql("select 1")]);
    while (databases.stats().connectFailures === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await one.close();
    await expect(waiting).resolves.toMatchObject([{ rows: [["1"]] }]);
    await databases.close();
    await target.query(`drop role ${role}`);
  });
});

describe("an abort signal", () => {
  test("stops the statement on the server", async () => {
    const database = open({ maxConnectionsPerProject: 1 });
    const controller = new AbortController();
    const running = database.pipeline([ENDLESS], { signal: controller.signal });
    await untilBackends("bool_or(wait_event = 'PgSleep')");
    controller.abort(new Error("the client went away"));
    await expect(running).rejects.toThrow("the client went away");
    await untilBackends("not bool_or(wait_event = 'PgSleep')");
    await expect(database.pipeline([sql("select 1")])).resolves.toMatchObject([{ rows: [["1"]] }]);
    expect(databases.stats().opened).toBe(1);
  });

  test("does no harm to the batches behind", async () => {
    const database = open({ maxConnectionsPerProject: 1, slowAfterMs: 60_000 });
    const controller = new AbortController();
    const outcome = settled([
      database.pipeline([ENDLESS], { signal: controller.signal }),
      ...Array.from({ length: 5 }, () => database.pipeline([sql("select pg_sleep(0.02)")])),
    ]);
    await untilBackends("bool_or(wait_event = 'PgSleep')");
    controller.abort();
    const [aborted, ...others] = await outcome;
    expect(aborted).toBe(controller.signal.reason);
    expect(others).toEqual(others.map(() => "answered"));
  });

  test("after a long run still waits for the server's answer to the cancel request", async () => {
    let clock = 0;
    const database = open({ maxConnectionsPerProject: 1, now: () => clock });
    const controller = new AbortController();
    const running = database.pipeline([ENDLESS], { signal: controller.signal });
    await untilBackends("bool_or(wait_event = 'PgSleep')");
    clock += 60_000;
    controller.abort();
    await expect(running).rejects.toBe(controller.signal.reason);
    await expect(database.pipeline([sql("select 1")])).resolves.toMatchObject([{ rows: [["1"]] }]);
    expect(databases.stats().opened).toBe(1);
  });

  test("takes a batch out of the queue, and keeps one that comes too late from starting", async () => {
    const database = open({ maxConnectionsPerProject: 1, pipelineDepth: 1 });
    const controller = new AbortController();
    const slow = new AbortController();
    const blocking = database.pipeline([ENDLESS], { signal: slow.signal });
    const queued = database.pipeline([sql("update account set balance = 99")], { signal: controller.signal });
    controller.abort();
    await expect(queued).rejects.toBe(controller.signal.reason);
    await expect(database.pipeline([sql("select 1")], { signal: controller.signal })).rejects.toBe(
      controller.signal.reason,
    );
    slow.abort();
    await expect(blocking).rejects.toBe(slow.signal.reason);
    const [count] = await database.pipeline([sql("select count(*) from account where balance = 99")]);
    expect(count?.rows).toEqual([["0"]]);
  });
});

/** A door in front of the cluster that can be shut: whoever is inside is thrown out, nobody comes in. */
async function startGate() {
  const sockets = new Set<Socket>();
  let server: Server;
  let port = 0;
  const listen = async () => {
    server = createServer((outside) => {
      const inside = connect(target.address.port, target.address.host);
      for (const socket of [outside, inside]) {
        sockets.add(socket);
        socket.on("error", () => {});
        socket.on("close", () => {
          outside.destroy();
          inside.destroy();
        });
      }
      outside.pipe(inside).pipe(outside);
    }).listen(port, "127.0.0.1");
    await once(server, "listening");
    port = (server.address() as { port: number }).port;
  };
  const shut = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  await listen();
  return {
    port,
    shut,
    open: listen,
    close: async () => shut(),
  };
}
