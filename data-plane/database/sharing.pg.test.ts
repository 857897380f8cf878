/** Many projects under one budget; pools that idle, retire and are released. */
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from "vitest";
import type { ProjectRef } from "../../control-plane/client/config-snapshot.ts";
import { ConnectionLost, PoolTimeout, type ProjectDatabase, type Statement } from "./database.ts";
import {
  createProjectDatabases,
  type ObservableProjectDatabases,
  type ProjectDatabasesOptions,
} from "./project-databases.ts";
import { createTestDatabase, randomRef, type TestDatabase } from "./test-database.ts";

let target: TestDatabase;
let databases: ObservableProjectDatabases;

beforeAll(async () => {
  target = await createTestDatabase(inject("clusterUrl"));
});
afterAll(() => target.drop());
afterEach(() => databases.close());

function create(options: ProjectDatabasesOptions): void {
  databases = createProjectDatabases(options);
}

/** A project of its own for the pools; that all are the same database matters to none of these tests. */
function project(ref = randomRef()): ProjectDatabase {
  return databases.get(ref as ProjectRef, target.address);
}

function sql(text: string): Statement {
  return { text, values: [], prepare: true };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Keeps a number of requests of one project under way until told to stop; counts the answered ones. */
function hammer(database: ProjectDatabase, concurrency: number) {
  const state = { answered: 0, isStopped: false };
  const loops = Array.from({ length: concurrency }, async () => {
    while (!state.isStopped) {
      await database.pipeline([sql("select count(*) from generate_series(1, 2000)")]);
      state.answered++;
    }
  });
  return {
    state,
    async stop() {
      state.isStopped = true;
      await Promise.all(loops);
    },
  };
}

describe("the budget", () => {
  test("is kept however many projects ask, and each is served", async () => {
    create({ maxConnections: 3 });
    let most = 0;
    const answers = await Promise.all(
      Array.from({ length: 40 }, async () => {
        const [result] = await project().pipeline([sql("select pg_sleep(0.005)")]);
        most = Math.max(most, databases.stats().open);
        return result?.rowCount;
      }),
    );
    expect(answers).toEqual(answers.map(() => 1));
    expect(most).toBeLessThanOrEqual(3);
    expect(databases.stats().timeouts).toBe(0);
  });

  test.each([
    ["enough for all", 50],
    ["one each", 10],
    ["fewer than projects", 4],
  ])("gives ten projects at once their share, of %s, while one of them asks ten times as much", async (_what, max) => {
    create({ maxConnections: max });
    const greedy = hammer(project(), 100);
    await until(() => greedy.state.answered > 50);
    const others = Array.from({ length: 9 }, () => hammer(project(), 10));
    await until(() => others.every((each) => each.state.answered > 0));
    const before = [greedy, ...others].map((each) => each.state.answered);
    const total = () => [greedy, ...others].reduce((sum, each, n) => sum + each.state.answered - (before[n] ?? 0), 0);
    await until(() => total() > (max < 10 ? 15_000 : 6000)); // turns of 50 ms need longer to even out
    const shares = [greedy, ...others].map((each, n) => (each.state.answered - (before[n] ?? 0)) / total());
    await Promise.all([greedy, ...others].map((each) => each.stop()));
    for (const share of shares) expect(share).toBeGreaterThan(0.05); // half of a tenth
    expect(databases.stats().timeouts).toBe(0);
  });

  test("leaves nothing to a listener beyond its half, and says so", async () => {
    create({ maxConnections: 2 });
    const handlers = { onNotification: () => {}, onReconnect: () => {} };
    const listener = await databases.listen(target.projectRef, target.address, "a", handlers);
    await expect(databases.listen(target.projectRef, target.address, "b", handlers)).rejects.toBeInstanceOf(
      PoolTimeout,
    );
    await expect(project().pipeline([sql("select 1")])).resolves.toHaveLength(1);
    await listener.close();
  });
});

describe("within a project", () => {
  test("a slow request holds up none of those that come after it", async () => {
    create({ maxConnections: 10 });
    const database = project();
    const controller = new AbortController();
    const slow = database.pipeline([sql("select pg_sleep(60)")], { signal: controller.signal });
    await until(() => databases.stats().busy === 1);
    await new Promise((resolve) => setTimeout(resolve, 50)); // longer than slowAfterMs
    for (let n = 0; n < 50; n++) await database.pipeline([sql("select 1")]);
    controller.abort();
    await expect(slow).rejects.toThrow();
  });

  test("a large body gets a connection of its own", async () => {
    create({ maxConnections: 10 });
    const database = project();
    const body = Buffer.alloc(1_000_000, "x");
    const [[large], ...small] = await Promise.all([
      database.pipeline([{ text: "select length($1::text), pg_backend_pid()", values: [body], prepare: true }]),
      ...Array.from({ length: 20 }, () => database.pipeline([sql("select pg_backend_pid()")])),
    ]);
    expect(large?.rows[0]?.[0]).toBe("1000000");
    expect(small).toHaveLength(20);
    expect(databases.stats()).toMatchObject({ leased: 0, waiting: 0 });
  });

  test("one request at a time needs one connection, many at once a few", async () => {
    create({ maxConnections: 10 });
    const database = project();
    for (let n = 0; n < 20; n++) await database.pipeline([sql("select 1")]);
    expect(databases.stats().opened).toBe(1);
    const load = hammer(database, 64);
    await until(() => databases.stats().opened > 1 && load.state.answered > 1000);
    await load.stop();
    expect(databases.stats().opened).toBeLessThanOrEqual(5);
  });
});

describe("a pool", () => {
  test("closes its connections when they have been idle, and opens again", async () => {
    create({ maxConnections: 10, idleTimeoutMs: 20 });
    const database = project();
    await database.pipeline([sql("select 1")]);
    await until(() => databases.stats().open === 0);
    await database.pipeline([sql("select 1")]);
    expect(databases.stats().opened).toBe(2);
  });

  test("renews a connection that has lived long enough, without failing anybody", async () => {
    create({ maxConnections: 10, maxLifetimeMs: 60, maxConnectionsPerProject: 1 });
    const database = project();
    const load = hammer(database, 5);
    await until(() => databases.stats().opened >= 3);
    await load.stop();
  });

  test("is replaced when the address changes: what it was given is finished, new requests go to the new one", async () => {
    create({ maxConnections: 10 });
    const ref = randomRef();
    const old = project(ref);
    const running = old.pipeline([sql("select pg_sleep(0.05)")]);
    const fresh = databases.get(ref as ProjectRef, { ...target.address, host: "localhost" });
    expect(fresh).not.toBe(old);
    await expect(running).resolves.toHaveLength(1);
    await expect(fresh.pipeline([sql("select 1")])).resolves.toHaveLength(1);
    await until(() => databases.stats().open === 1);
    expect(project(ref)).not.toBe(fresh);
  });

  test("that is released closes at once and refuses what waits; the next request opens it again", async () => {
    create({ maxConnections: 10 });
    const ref = randomRef();
    const database = project(ref);
    await database.pipeline([sql("select 1")]);
    const running = database.pipeline([sql("select pg_sleep(60)")]);
    const outcome = running.catch((error: unknown) => error);
    await until(() => databases.stats().busy === 1);
    const listener = await databases.listen(ref as ProjectRef, target.address, "c", {
      onNotification: () => {},
      onReconnect: () => {},
    });
    await databases.release(ref as ProjectRef);
    expect(await outcome).toBeInstanceOf(ConnectionLost);
    expect(databases.stats()).toMatchObject({ open: 0, listeners: 0 });
    await expect(database.pipeline([sql("select 1")])).resolves.toHaveLength(1);
    await expect(project(ref).pipeline([sql("select 1")])).resolves.toHaveLength(1);
    await listener.close();
  });

  test("costs no connection and no timer until it is used", async () => {
    create({ maxConnections: 10 });
    for (let n = 0; n < 1000; n++) project();
    expect(databases.stats()).toMatchObject({ projects: 1000, open: 0, connecting: 0 });
  });
});

describe("a listener", () => {
  test("hears each notification on its channel", async () => {
    create({ maxConnections: 4 });
    const heard: string[] = [];
    const listener = await databases.listen(target.projectRef, target.address, 'odd "channel"', {
      onNotification: (payload) => heard.push(payload),
      onReconnect: () => {},
    });
    await target.query('notify "odd ""channel"""');
    await target.query("notify other, 'not this'");
    await target.query(`notify "odd ""channel""", 'reload schema'`);
    await until(() => heard.length === 2);
    expect(heard).toEqual(["", "reload schema"]);
    await listener.close();
    expect(databases.stats().listeners).toBe(0);
  });

  test("comes back by itself after its backend was terminated, says so, and hears again", async () => {
    create({ maxConnections: 4, applicationName: "listener-test" });
    const heard: string[] = [];
    let reconnects = 0;
    const listener = await databases.listen(target.projectRef, target.address, "again", {
      onNotification: (payload) => heard.push(payload),
      onReconnect: () => reconnects++,
    });
    await target.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'listener-test'",
    );
    await until(() => reconnects === 1);
    await target.query("notify again, 'hello'");
    await until(() => heard.length === 1);
    await listener.close();
  });

  test("rejects when it cannot be established, and gives its place back", async () => {
    create({ maxConnections: 2 });
    const handlers = { onNotification: () => {}, onReconnect: () => {} };
    const nowhere = { ...target.address, port: 1 };
    for (let n = 0; n < 3; n++)
      await expect(databases.listen(target.projectRef, nowhere, "a", handlers)).rejects.toBeInstanceOf(ConnectionLost);
    expect(databases.stats().listeners).toBe(0);
  });
});
