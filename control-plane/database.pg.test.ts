import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { createPool, Database } from "./database.ts";
import { createControlPlaneDatabase } from "./testing/fresh-database.ts";

let fresh: Awaited<ReturnType<typeof createControlPlaneDatabase>>;
let database: Database;

beforeAll(async () => {
  fresh = await createControlPlaneDatabase(inject("clusterUrl"));
  database = new Database(createPool({ databaseUrl: fresh.url, maxConnections: 2 }));
  // A sequence forgets nothing when its transaction is undone.
  await database.query("create sequence attempts");
  await database.query(
    `create function fails(times int, code text) returns bigint language plpgsql as $$
     begin
       if nextval('attempts') <= times then raise exception 'no room' using errcode = code; end if;
       return currval('attempts');
     end $$`,
  );
  await database.query("create table notes (id int)");
});
afterAll(async () => {
  await database?.close();
  await fresh?.[Symbol.asyncDispose]();
});

const startAnew = () => database.query("alter sequence attempts restart");

test("what failed because the lock table was full is done again until there is room", async () => {
  await startAnew();
  expect(await database.query("select fails(2, '53200') as attempt")).toEqual([{ attempt: 3 }]);
});

test("so is a transaction, as a whole", async () => {
  await startAnew();
  await database.transaction(async (tx) => {
    await tx.query("insert into notes values (1)");
    await tx.query("select fails(2, '53200')");
  });
  expect(await database.query("select id from notes")).toEqual([{ id: 1 }]);
});

test("other errors are told at once", async () => {
  await startAnew();
  await expect(database.query("select fails(2, '22000')")).rejects.toMatchObject({ code: "22000" });
  expect(await database.query("select last_value from attempts")).toEqual([{ last_value: 1 }]);
});
