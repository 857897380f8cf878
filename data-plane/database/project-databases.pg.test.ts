import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from "vitest";
import { HeldBytes } from "../held-bytes.ts";
import { DatabaseError, type ProjectDatabase, type Statement, type Transaction } from "./database.ts";
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
    for (const [id, isKept] of [
      ["2000", false],
      ["2001", true],
    ] as const)
      await database.pipeline([insert(id)], {
        commitIf: (results) => {
          seen.push(results[0]?.command);
          return isKept;
        },
      });
    const [kept] = await database.pipeline([sql("delete from item where id >= 2000 returning id")]);
    expect(kept?.rows).toEqual([["2001"]]);
    expect(seen).toEqual(["INSERT 0 1", "INSERT 0 1"]);
  });

  test("rolls back and passes on what commitIf throws, and an error of the statements", async () => {
    const database = open();
    const throwing = database.pipeline([sql("insert into item values (2002, 'x')")], {
      commitIf: () => {
        throw new TypeError("cannot decide");
      },
    });
    await expect(throwing).rejects.toThrow("cannot decide");
    const failing = database.pipeline([sql("insert into item values (2002, 'x')"), sql("select 1/0")], {
      commitIf: () => true,
    });
    await expect(failing).rejects.toMatchObject({ code: "22012", statementIndex: 1 });
    const [count] = await database.pipeline([sql("select count(*) from item where id = 2002")]);
    expect(count?.rows).toEqual([["0"]]);
    expect(databases.stats().opened).toBe(1);
  });

  test("reports what only the commit finds as an error of its last statement", async () => {
    await target.query(`create table parent (id int primary key);
      create table child (id int references parent deferrable initially deferred)`);
    const database = open();
    const insert = [sql("select 1"), sql("insert into child values (1)")];
    await expect(database.pipeline(insert)).rejects.toMatchObject({ code: "23503", statementIndex: 1 });
    await expect(database.pipeline(insert, { commitIf: () => true })).rejects.toMatchObject({ code: "23503" });
  });

  test("keeps the order of batches on a single connection", async () => {
    const database = open({ maxConnectionsPerProject: 1 });
    await target.query("create table log (n serial, value text)");
    await Promise.all(
      Array.from({ length: 50 }, (_, n) => database.pipeline([sql("insert into log(value) values ($1)", String(n))])),
    );
    const [log] = await database.pipeline([sql("select value from log order by n")]);
    expect(log?.rows.flat()).toEqual(Array.from({ length: 50 }, (_, n) => String(n)));
  });

  test("is not confused by notices, empty statements and settings that the server reports", async () => {
    await target.query(`create function chatty() returns int language plpgsql as $$
      begin set local client_min_messages = notice; raise notice 'hello'; set timezone = 'Asia/Tokyo'; return 1; end $$`);
    const results = await open().pipeline([sql("select chatty()"), sql(""), sql("select 2")]);
    expect(results.map((result) => result.rows)).toEqual([[["1"]], [], [["2"]]]);
  });

  test("sends a Buffer as binary: bytes stay bytes, JSON stays JSON", async () => {
    const bytes = Buffer.from([0, 1, 0xff, 0x27]);
    const [result] = await open().pipeline([
      sql("select encode($1::bytea, 'hex'), $2::json->>'a', $3::text", bytes, Buffer.from('{"a":"ü"}'), "plain"),
    ]);
    expect(result?.rows).toEqual([["0001ff27", "ü", "plain"]]);
  });

  test("carries 30 MB there and back", async () => {
    const body = Buffer.from(JSON.stringify("x".repeat(30_000_000)));
    const [result] = await open().pipeline([sql("select length($1::json #>> '{}'), $1::json", body)]);
    expect(result?.bytes(0, 0)?.toString()).toBe("30000000");
    expect(result?.bytes(0, 1)?.equals(body)).toBe(true);
  });

  test("gives all of many rows", async () => {
    const [result] = await open().pipeline([sql("select n, repeat('x', n % 50) from generate_series(1, 100000) n")]);
    expect(result?.rowCount).toBe(100_000);
    expect(result?.rows[99_998]).toEqual(["99999", "x".repeat(49)]);
  });

  test("keeps the beginning of a long error", async () => {
    const raise = sql("do $$ begin raise exception '%', repeat('ü', 3000000) using hint = 'short'; end $$");
    const error = await open()
      .pipeline([raise])
      .catch((reason: unknown) => reason as DatabaseError);
    expect(error).toMatchObject({ code: "P0001", hint: "short" });
    expect((error as DatabaseError).message).toMatch(/^ü+…$/);
    expect(Buffer.byteLength((error as DatabaseError).message)).toBeLessThan(65 * 1024);
  });

  test("does not ask again for an answer that the project could not hold, until it can", async () => {
    const heldBytes = new HeldBytes(10_000_000);
    const database = open({ heldBytes });
    const large = { text: "select repeat('x', 2000000)", values: [], prepare: true };
    const backend = async () =>
      (await database.pipeline([{ text: "select pg_backend_pid()", values: [], prepare: true }]))[0]?.rows[0]?.[0];
    const before = await backend();
    await database.pipeline([large]);
    heldBytes.take(database.projectRef, 4_500_000);
    await expect(database.pipeline([large])).rejects.toMatchObject({ code: "53200" });
    expect(await backend()).toBe(before); // the connection is still there: nothing was sent
    heldBytes.give(database.projectRef, 4_500_000);
    expect((await database.pipeline([large]))[0]?.rows[0]?.[0]).toHaveLength(2_000_000);
  });

  test("counts large answers as held by the project until it has them, and refuses above its share", async () => {
    const heldBytes = new HeldBytes(10_000_000);
    const database = open({ heldBytes });
    const large = [sql("select repeat('x', 4000000)")];
    await expect(database.pipeline(large)).resolves.toHaveLength(1);
    expect(heldBytes.total).toBe(0);
    heldBytes.take(database.projectRef, 3_000_000);
    for (const statement of [large, [sql("select repeat('x', 1000) from generate_series(1, 4000)")]]) {
      await expect(database.pipeline(statement)).rejects.toMatchObject({ code: "53200" });
    }
    await expect(database.pipeline([sql("select 1")])).resolves.toHaveLength(1);
    expect(heldBytes.total).toBe(3_000_000);
  });

  test("refuses an answer above the limit, whether one value or many rows, and goes on", async () => {
    const database = open({ maxResponseBytes: 1_000_000 });
    const tooLarge = { code: "54000", message: "the answer is larger than 1000000 bytes" };
    await expect(database.pipeline([sql("select repeat('x', 2000000)")])).rejects.toMatchObject(tooLarge);
    await expect(
      database.pipeline([sql("select 1"), sql("select repeat('x', 1000) from generate_series(1, 2000)")]),
    ).rejects.toMatchObject({ ...tooLarge, statementIndex: 1 });
    await expect(database.pipeline([sql("select 1")])).resolves.toMatchObject([{ rows: [["1"]] }]);
  });

  test("refuses COPY and goes on", async () => {
    const database = open();
    for (const text of ["copy item from stdin", "copy item to stdout"])
      await expect(database.pipeline([sql("select 1"), sql(text)])).rejects.toMatchObject({
        code: "0A000",
        statementIndex: 1,
      });
    await expect(database.pipeline([sql("select 1")])).resolves.toMatchObject([{ rows: [["1"]] }]);
  });

  test("refuses a statement that would smuggle protocol messages, and sends nothing of its batch", async () => {
    const database = open();
    const smuggling = [sql("insert into item values (2003, 'x')"), sql("select 1\0Q")];
    await expect(database.pipeline(smuggling)).rejects.toThrow(TypeError);
    const [count] = await database.pipeline([sql("select count(*) from item where id = 2003")]);
    expect(count?.rows).toEqual([["0"]]);
    expect(databases.stats().opened).toBe(1);
  });

  test("that leaves a transaction open is refused, and nobody else runs inside it", async () => {
    const database = open();
    await expect(database.pipeline([sql("begin")])).rejects.toMatchObject({ code: "25001" });
    await expect(database.pipeline([sql("select 1")])).resolves.toMatchObject([{ rows: [["1"]] }]);
    expect(databases.stats().opened).toBe(2);
  });

  test("obeys isolation, and leaves the next one as it was", async () => {
    const database = open();
    const show = sql("select current_setting('transaction_isolation')");
    const [strict] = await database.pipeline([show], { isolation: "serializable" });
    const [plain] = await database.pipeline([show]);
    expect(strict?.rows).toEqual([["serializable"]]);
    expect(plain?.rows).toEqual([["read committed"]]);
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

  test("does not pretend to have committed when a failed query was swallowed", async () => {
    const database = open();
    const swallowing = database.withTransaction(async (transaction) => {
      await transaction.query("insert into item values ($1, $2)", [3001, "x"]);
      await transaction.query("select 1/0").catch(() => {});
    });
    await expect(swallowing).rejects.toMatchObject({ code: "25P02" });
    const [count] = await database.pipeline([sql("select count(*) from item where id = 3001")]);
    expect(count?.rows).toEqual([["0"]]);
  });

  test("runs its queries in order when they are not awaited one by one, and none after its end", async () => {
    let kept: Transaction | undefined;
    const rows = await open().withTransaction((transaction) => {
      kept = transaction;
      return Promise.all([1, 2, 3].map((n) => transaction.query("select $1::int as n", [n])));
    });
    expect(rows).toEqual([[{ n: 1 }], [{ n: 2 }], [{ n: 3 }]]);
    await expect(kept?.query("select 1")).rejects.toThrow("the transaction has ended");
  });

  test("leaves a connection to pipelined batches however many transactions there are", async () => {
    const database = open({ maxConnectionsPerProject: 2 });
    let finish = () => {};
    const blocker = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const transactions = Array.from({ length: 3 }, () =>
      database.withTransaction(async (transaction) => {
        await transaction.query("select 1");
        await blocker;
      }),
    );
    await expect(database.pipeline([sql("select 1")])).resolves.toMatchObject([{ rows: [["1"]] }]);
    finish();
    await Promise.all(transactions);
    expect(databases.stats()).toMatchObject({ leased: 0, waiting: 0 });
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

describe("a prepared statement", () => {
  test("is parsed once and then only executed", async () => {
    const database = open({ maxConnectionsPerProject: 1 });
    for (let n = 0; n < 3; n++) await database.pipeline([sql("select $1::int * 2 as doubled", String(n))]);
    const [result] = await database.pipeline([
      sql("select generic_plans + custom_plans from pg_prepared_statements where statement like '%doubled'"),
    ]);
    expect(result?.rows).toEqual([["3"]]);
  });

  test("is one for each role that is named, so that none plans for another", async () => {
    const database = open({ maxConnectionsPerProject: 1 });
    for (const planRole of ["anon", "authenticated", "anon"])
      await database.pipeline([{ ...sql("select 'by role'"), planRole }]);
    const [result] = await database.pipeline([
      sql(
        "select generic_plans + custom_plans from pg_prepared_statements where statement like '%by role''' order by 1",
      ),
    ]);
    expect(result?.rows.flat()).toEqual(["1", "2"]);
  });

  test("is one of a bounded number on the server", async () => {
    const database = open({ maxConnectionsPerProject: 1, maxPreparedStatements: 5 });
    for (let n = 0; n < 20; n++) {
      const [result] = await database.pipeline([sql(`select ${n} as "column ${n}"`)]);
      expect(result).toMatchObject({ columns: [`column ${n}`], rows: [[String(n)]] });
    }
    const [count] = await database.pipeline([sql("select count(*) from pg_prepared_statements")]);
    expect(Number(count?.rows[0]?.[0])).toBeLessThanOrEqual(6);
  });

  test("whose result type has changed is prepared anew without the caller noticing, on every connection", async () => {
    await target.query("create table shape (a int); insert into shape values (1)");
    const database = open({ pipelineConnections: 2, maxConnectionsPerProject: 2 });
    const read = () => database.pipeline([sql("select set_config('a.b', 'c', true)"), sql("select * from shape")]);
    const readInTransaction = () =>
      database.withTransaction((transaction) => transaction.query("select * from shape where a = $1", [1]));
    await Promise.all(Array.from({ length: 20 }, read));
    await readInTransaction();
    await target.query("alter table shape add b text default 'new'");
    const answers = await Promise.all(Array.from({ length: 20 }, read));
    for (const answer of answers) expect(answer[1]).toMatchObject({ columns: ["a", "b"], rows: [["1", "new"]] });
    expect(await readInTransaction()).toEqual([{ a: 1, b: "new" }]);
    expect(await readInTransaction()).toEqual([{ a: 1, b: "new" }]);
  });

  test("that somebody has dropped, or whose name somebody took, is prepared anew", async () => {
    const database = open({ maxConnectionsPerProject: 1 });
    const answer = () => database.pipeline([sql("select 41 + $1::int", "1")]).then(([result]) => result?.rows);
    await answer();
    await database.pipeline([sql("deallocate all")]);
    expect(await answer()).toEqual([["42"]]);
    const squatting = Array.from({ length: 60 }, (_, n) => ({
      ...sql(`prepare p${n + 1} as select 666`),
      prepare: false,
    }));
    for (const statement of squatting) await database.pipeline([statement]).catch(() => {});
    expect(await answer()).toEqual([["42"]]);
    const [fresh] = await database.pipeline([sql("select 'new shape'")]);
    expect(fresh?.rows).toEqual([["new shape"]]);
  });

  test("with a wrong value does not spoil the same text for others", async () => {
    const database = open({ maxConnectionsPerProject: 1 });
    const divide = (by: string) => database.pipeline([sql("select 10 / $1::int as quotient", by)]);
    const answers = await Promise.allSettled([divide("x"), divide("5"), divide("0"), divide("2")]);
    expect(answers.map((answer) => (answer.status === "fulfilled" ? answer.value[0]?.rows[0] : "failed"))).toEqual([
      "failed",
      ["2"],
      "failed",
      ["5"],
    ]);
    expect((await divide("1"))[0]).toMatchObject({ columns: ["quotient"], rows: [["10"]] });
  });
});

test("a host that is a folder is reached by its Unix socket", async () => {
  const [folder] = await target.query("select current_setting('unix_socket_directories') as path");
  databases = createProjectDatabases({ maxConnections: 2 });
  const database = databases.get(target.projectRef, { ...target.address, host: String(folder?.path) });
  const [result] = await database.pipeline([sql("select inet_client_addr()")]);
  expect(result?.rows).toEqual([[null]]);
});

test("what was asked for once works through releases, new passwords and all else that replaces its pool", async () => {
  const kept = open();
  const ask = async () => (await kept.pipeline([sql("select 1")]))[0]?.rows;
  expect(await ask()).toEqual([["1"]]);
  await databases.release(target.projectRef);
  expect(await ask()).toEqual([["1"]]);
  await databases.release(target.projectRef);
  expect(await kept.withTransaction((transaction) => transaction.query("select 1 as one"))).toEqual([{ one: 1 }]);

  const moved = databases.get(target.projectRef, { ...target.address, host: "localhost" });
  expect(await ask()).toEqual([["1"]]);
  await databases.release(target.projectRef);
  await moved.pipeline([sql("select 1")]);
  expect(await ask()).toEqual([["1"]]);
  expect(databases.stats()).toMatchObject({ projects: 1, open: 1 });
});

test("a listener is told when its project is released, also one that was just being established", async () => {
  open();
  let released = 0;
  const handlers = { onNotification: () => {}, onReconnect: () => {}, onReleased: () => released++ };
  await databases.listen(target.projectRef, target.address, "news", handlers);
  await databases.release(target.projectRef);
  expect(released).toBe(1);
  const starting = databases.listen(target.projectRef, target.address, "news", handlers);
  await databases.release(target.projectRef);
  await expect(starting).rejects.toThrow("closed");
  expect(databases.stats().listeners).toBe(0);
});
