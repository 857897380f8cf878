import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from "vitest";
import { ConnectionLost, DatabaseError, type ProjectDatabase, type Statement } from "./database.ts";
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
  await target.query("create table item (id int primary key, name text)");
  await target.query("insert into item select n, 'item ' || n from generate_series(1, 100) n");
});
afterAll(() => target.drop());
afterEach(() => databases?.close());

function open(options: Partial<ProjectDatabasesOptions> = {}): ProjectDatabase {
  databases = createProjectDatabases({ maxConnections: 20, ...options });
  return databases.get(target.projectRef, target.address);
}

function sql(text: string, ...values: (string | Buffer | null)[]): Statement {
  return { text, values, prepare: true };
}

describe("a pipeline", () => {
  test("answers one result for each statement, in order, with columns, rows and command", async () => {
    const [first, second, third] = await open().pipeline([
      sql("select set_config('request.x', $1, true)", "y"),
      sql("select id, name, null as nothing from item where id = $1", "7"),
      sql("update item set name = name where id < $1", "4"),
    ]);
    expect(first?.rows).toEqual([["y"]]);
    expect(second).toMatchObject({
      columns: ["id", "name", "nothing"],
      rows: [["7", "item 7", null]],
      command: "SELECT 1",
      rowCount: 1,
    });
    expect(third).toMatchObject({ columns: [], rows: [], command: "UPDATE 3" });
  });

  test("gives the bytes of a value without decoding them", async () => {
    const [result] = await open().pipeline([sql("select 1, null, 'grün'")]);
    expect(result?.bytes(0, 0)?.toString()).toBe("1");
    expect(result?.bytes(0, 1)).toBeNull();
    expect(result?.bytes(0, 2)).toEqual(Buffer.from("grün"));
    expect(() => result?.bytes(0, 3)).toThrow(RangeError);
    expect(() => result?.bytes(1, 0)).toThrow(RangeError);
  });

  test("is one transaction: an error in a later statement undoes the earlier ones", async () => {
    const database = open();
    const failing = database.pipeline([
      sql("insert into item values (1000, 'kept?')"),
      sql("insert into item values (1, 'duplicate')"),
      sql("select 1"),
    ]);
    await expect(failing).rejects.toMatchObject({
      code: "23505",
      statementIndex: 1,
      table: "item",
      constraint: "item_pkey",
    });
    await expect(failing).rejects.toBeInstanceOf(DatabaseError);
    const [count] = await database.pipeline([sql("select count(*) from item where id = 1000")]);
    expect(count?.rows).toEqual([["0"]]);
    expect(databases.stats().opened).toBe(1);
  });

  test("runs 200 at once on two connections and mixes up none of them", async () => {
    const database = open({ pipelineConnections: 2, maxConnectionsPerProject: 2 });
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, n) => {
        const results = await database.pipeline([
          sql("select set_config('request.n', $1, true)", String(n)),
          sql("select $1::int + 1, current_setting('request.n')", String(n)),
        ]);
        return results[1]?.rows[0];
      }),
    );
    expect(answers).toEqual(Array.from({ length: 200 }, (_, n) => [String(n + 1), String(n)]));
    expect(databases.stats()).toMatchObject({ opened: 2, timeouts: 0, retries: 0 });
  });

  test("rolls back when commitIf says no, commits when it says yes", async () => {
    const database = open();
    const insert = (id: string) => sql("insert into item values ($1, 'decided')", id);
    const seen: unknown[] = [];
    await database.pipeline([insert("2000")], { commitIf: (results) => (seen.push(results[0]?.command), false) });
    await database.pipeline([insert("2001")], { commitIf: (results) => (seen.push(results[0]?.command), true) });
    const [kept] = await database.pipeline([sql("delete from item where id >= 2000 returning id")]);
    expect(kept?.rows).toEqual([["2001"]]);
    expect(seen).toEqual(["INSERT 0 1", "INSERT 0 1"]);
  });

  test("obeys isolation and access mode, and leaves the next one as it was", async () => {
    const database = open();
    const show = sql("select current_setting('transaction_isolation'), current_setting('transaction_read_only')");
    const [strict] = await database.pipeline([show], { isolation: "serializable", readOnly: true });
    const [plain] = await database.pipeline([show]);
    expect(strict?.rows).toEqual([["serializable", "on"]]);
    expect(plain?.rows).toEqual([["read committed", "off"]]);
    await expect(
      database.pipeline([sql("select 1"), sql("delete from item where id = 50")], { readOnly: true }),
    ).rejects.toMatchObject({ code: "25006", statementIndex: 1 });
  });
});

describe("a transaction", () => {
  test("sees its own writes, keeps them when the work resolves and drops them when it throws", async () => {
    const database = open();
    const inserted = await database.withTransaction(
      async (transaction) => {
        await transaction.query("insert into item values ($1, $2)", [3000, "by transaction"]);
        return transaction.query<{ id: number; claim: string }>(
          "select id, current_setting('request.claim') as claim from item where id = $1",
          [3000],
        );
      },
      { "request.claim": "yes" },
    );
    expect(inserted).toEqual([{ id: 3000, claim: "yes" }]);
    const failing = database.withTransaction(async (transaction) => {
      await transaction.query("delete from item");
      throw new Error("changed my mind");
    });
    await expect(failing).rejects.toThrow("changed my mind");
    const [count] = await database.pipeline([sql("delete from item where id = 3000")]);
    expect(count?.command).toBe("DELETE 1");
  });

  test("gives JavaScript values as pg does", async () => {
    const [row] = await open().withTransaction((transaction) =>
      transaction.query(
        "select 1 as i, 2::bigint as b, 3.5::numeric as n, true as t, '{\"a\":1}'::jsonb as j, $1::timestamptz as d, $2::text[] as a",
        [new Date(0), ['x"y', null, "z\\"]],
      ),
    );
    expect(row).toEqual({ i: 1, b: "2", n: "3.5", t: true, j: { a: 1 }, d: new Date(0), a: ['x"y', null, "z\\"] });
  });
});

test("a dead database is reported as a lost connection that sent nothing", async () => {
  databases = createProjectDatabases({ maxConnections: 5 });
  const database = databases.get(target.projectRef, { ...target.address, port: 1 });
  const error = await database.pipeline([sql("select 1")]).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ConnectionLost);
  expect(error).toMatchObject({ sent: false });
});

test("a listener hears its channel", async () => {
  open();
  const heard: string[] = [];
  let onHeard = () => {};
  const both = new Promise<void>((resolve) => {
    onHeard = () => heard.length === 2 && resolve();
  });
  const listener = await databases.listen(target.projectRef, target.address, "pgrst", {
    onNotification: (payload) => {
      heard.push(payload);
      onHeard();
    },
    onReconnect: () => {},
  });
  await target.query("notify pgrst");
  await target.query("notify pgrst, 'reload schema'");
  await both;
  expect(heard).toEqual(["", "reload schema"]);
  await listener.close();
  expect(databases.stats().listeners).toBe(0);
});
