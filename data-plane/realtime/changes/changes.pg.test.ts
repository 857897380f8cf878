import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import {
  createRealtimeWorld,
  type RealtimeTestProject,
  type RealtimeWorld,
} from "../../../test/harness/realtime-world.ts";
import type { MemoryClient } from "../testing/memory-client.ts";

let world: RealtimeWorld;
let project: RealtimeTestProject;
beforeAll(async () => {
  world = await createRealtimeWorld(inject("clusterUrl"));
  project = await world.createProject();
});
afterAll(() => world.close());

let tables = 0;
/** A published table of its own. */
async function table(columns: string, after = ""): Promise<string> {
  tables += 1;
  const name = `table_${tables}`;
  await project.db.query(`create table ${name} (${columns}); grant all on ${name} to anon, authenticated;
    alter publication supabase_realtime add table ${name}; ${after.replaceAll("%", name)}`);
  return name;
}

async function following(name: string, binding: object = {}, token?: string): Promise<MemoryClient> {
  const client = await project.client(token);
  expect(await client.follow(`of ${name}`, [{ event: "*", schema: "public", table: name, ...binding }])).toBe("ok");
  return client;
}

/** Writes a last row and waits for it: whatever was to come before is there then. */
async function settled(client: MemoryClient, count: number): Promise<void> {
  await client.when(() => client.changes.length >= count);
}

describe("values", () => {
  test("are what to_jsonb makes of them, with all digits", async () => {
    const name = await table(`id int primary key, big int8, exact numeric, one float4, two float8, yes bool, words text,
      doc json, docb jsonb, day date, hour time, moment timestamp, instant timestamptz, span interval, code uuid, net inet,
      bits varbit, ranges int4range, place point, list int[], texts text[], nested int[], days timestamptz[], money money`);
    const client = await following(name);
    await project.db.query(
      `insert into ${name} values (1, 9223372036854775807, 12345678901234567890.0123456789, 1.5, 0.1, true, E'a "b" \\\\ c\\nd',
       '{"a": 1.10, "b": [true]}', '{"z": 12345678901234567890}', '2024-01-02', '03:04:05', '2024-01-02 03:04:05.123456',
       '2024-01-02 03:04:05.5+02', '1 day 2 hours', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '10.0.0.1', b'101', '[1,5)',
       '(1,2)', '{1,NULL,3}', '{"a,b","c\\"d",NULL,""}', '{{1,2},{3,4}}', '{2024-01-02 03:04:05+00}', '12.34')`,
    );
    await settled(client, 1);
    const { rows } = await project.db
      .query(`set timezone = 'UTC'; select to_jsonb(t)::text as text from ${name} t`)
      .then((results) => (results as unknown as { rows: { text: string }[] }[])[1] as { rows: { text: string }[] });
    const [change] = client.changes;
    expect(change.record).toEqual(JSON.parse(rows[0]?.text ?? ""));
    const { text } = client.received.find(({ event }) => event === "postgres_changes") ?? { text: "" };
    for (const digits of ["9223372036854775807", "12345678901234567890.0123456789", '"z": 12345678901234567890'])
      expect(text).toContain(digits);
    expect(change.columns[0]).toEqual({ name: "id", type: "int4" });
    expect(change.columns.find((column: { name: string }) => column.name === "list")).toEqual({
      name: "list",
      type: "_int4",
    });
  });

  test("that JSON cannot say, of enums, domains and composite types", async () => {
    await project.db.query(`create type mood as enum ('glad'); create domain positive as int check (value > 0);
      create type pair as (a int, b text)`);
    const name = await table(
      "id int primary key, nan float8, mood mood, positive positive, pair pair, bytes bytea, pairs pair[]",
    );
    const client = await following(name);
    await project.db.query(
      `insert into ${name} values (1, 'NaN', 'glad', 7, (1, 'x'), '\\xdeadbeef', array[(2, 'y')::pair])`,
    );
    await settled(client, 1);
    expect(client.changes[0].record).toEqual({
      id: 1,
      nan: null,
      mood: "glad",
      positive: 7,
      pair: { a: 1, b: "x" },
      bytes: "deadbeef",
      pairs: [{ a: 2, b: "y" }],
    });
    expect(client.changes[0].columns.slice(2, 4)).toEqual([
      { name: "mood", type: "mood" },
      { name: "positive", type: "positive" },
    ]);
  });

  test("generated columns are told, and can be filtered by", async () => {
    const name = await table("id int primary key, price int, gross int generated always as (price * 2) stored");
    const client = await following(name, { filter: "gross=gt.15" });
    await project.db.query(`insert into ${name} (id, price) values (1, 5), (2, 10)`);
    await settled(client, 1);
    expect(client.changes.map(({ record }) => record)).toEqual([{ id: 2, price: 10, gross: 20 }]);
  });
});

describe("old rows", () => {
  test("are the key by default, the key as it was when it has changed, and the whole row under FULL", async () => {
    const name = await table("id int primary key, word text");
    const client = await following(name);
    await project.db.query(`insert into ${name} values (1, 'a'); update ${name} set word = 'b'; update ${name} set id = 2;
      delete from ${name}; alter table ${name} replica identity full; insert into ${name} values (3, 'c');
      update ${name} set word = 'd'; delete from ${name}`);
    await settled(client, 7);
    expect(client.changes.map(({ type, record, old_record: old }) => [type, record, old])).toEqual([
      ["INSERT", { id: 1, word: "a" }, undefined],
      ["UPDATE", { id: 1, word: "b" }, { id: 1 }],
      ["UPDATE", { id: 2, word: "b" }, { id: 1 }],
      ["DELETE", undefined, { id: 2 }],
      ["INSERT", { id: 3, word: "c" }, undefined],
      ["UPDATE", { id: 3, word: "d" }, { id: 3, word: "c" }],
      ["DELETE", undefined, { id: 3, word: "d" }],
    ]);
  });

  test("a large value that was left alone is left out, and told under FULL", async () => {
    const name = await table("id int primary key, n int, large text", "alter table % alter large set storage external");
    const client = await following(name);
    const large = "x".repeat(10_000);
    await project.db.query(`insert into ${name} values (1, 1, '${large}'); update ${name} set n = 2;
      alter table ${name} replica identity full; update ${name} set n = 3`);
    await settled(client, 3);
    expect(client.changes[1].record).toEqual({ id: 1, n: 2 });
    expect(client.changes[2].record).toEqual({ id: 1, n: 3, large });
  });

  test("of a table with row-level security are the primary key, whatever the identity", async () => {
    const name = await table(
      "id int primary key, secret text",
      "alter table % enable row level security; alter table % replica identity full",
    );
    const client = await following(name);
    await project.db.query(`insert into ${name} values (1, 'hidden'); delete from ${name}`);
    await settled(client, 1);
    expect(client.changes).toMatchObject([{ type: "DELETE", old_record: { id: 1 } }]);
  });
});

describe("tables", () => {
  test("partitions come under their own names, or under the root's where the publication says so", async () => {
    await project.db.query(`create table parted (id int primary key, word text) partition by range (id);
      create table parted_low partition of parted for values from (0) to (100); grant all on parted, parted_low to anon;
      alter publication supabase_realtime add table parted`);
    const leaf = await following("parted_low");
    await project.db.query("insert into parted values (1, 'a')");
    await settled(leaf, 1);
    await project.db.query("alter publication supabase_realtime set (publish_via_partition_root = true)");
    const root = await following("parted");
    await project.db.query("insert into parted values (2, 'b')");
    await settled(root, 1);
    expect(root.changes).toMatchObject([{ table: "parted", record: { id: 2 } }]);
    await project.db.query("alter publication supabase_realtime set (publish_via_partition_root = false)");
  });

  test("a truncation is not announced, and what comes after it is", async () => {
    const name = await table("id int primary key");
    const client = await following(name);
    await project.db.query(`insert into ${name} values (1); truncate ${name}; insert into ${name} values (2)`);
    await settled(client, 2);
    expect(client.changes.map(({ type, record }) => [type, record])).toEqual([
      ["INSERT", { id: 1 }],
      ["INSERT", { id: 2 }],
    ]);
  });

  test("without a primary key, or without the right to read it, an error stands in for the row", async () => {
    const name = await table("word text");
    const client = await following(name);
    await project.db.query(`insert into ${name} values ('a')`);
    await settled(client, 1);
    expect(client.changes[0]).toMatchObject({ record: {}, errors: ["Error 400: Bad Request, no primary key"] });
    const closed = await table(
      "id int primary key, word text",
      "revoke all on % from anon; grant select (word) on % to anon",
    );
    const blind = await following(closed);
    await project.db.query(`insert into ${closed} values (1, 'a')`);
    await settled(blind, 1);
    expect(blind.changes[0]).toMatchObject({ record: {}, errors: ["Error 401: Unauthorized"] });
  });

  test("columns that the role may not read, or that were not selected, are left out", async () => {
    const name = await table(
      "id int primary key, word text, secret text",
      "revoke all on % from anon; grant select (id, word) on % to anon",
    );
    const client = await following(name);
    const picky = await following(name, { select: ["word"] }, project.token("service_role"));
    await project.db.query(`insert into ${name} values (1, 'a', 'b')`);
    await Promise.all([settled(client, 1), settled(picky, 1)]);
    expect(client.changes[0]).toMatchObject({
      record: { id: 1, word: "a" },
      columns: [{ name: "id" }, { name: "word" }],
    });
    expect(client.changes[0].record.secret).toBeUndefined();
    expect(picky.changes[0].record).toEqual({ id: 1, word: "a" });
  });

  test("a shape that changes in mid-stream is told as it is by then", async () => {
    const name = await table("id int primary key");
    const client = await following(name);
    await project.db.query(`insert into ${name} values (1)`);
    await project.db.query(`alter table ${name} add column word text default 'x'; insert into ${name} values (2, 'b')`);
    await project.db.query(`alter table ${name} rename column word to term; insert into ${name} values (3, 'c')`);
    await settled(client, 3);
    expect(client.changes.map(({ record }) => record)).toEqual([{ id: 1 }, { id: 2, word: "b" }, { id: 3, term: "c" }]);
  });

  test("one that is published while somebody waits for it is followed from then on", async () => {
    await project.db.query("create table late (id int primary key); grant all on late to anon");
    const client = await project.client();
    expect(await client.follow("late", [{ event: "*", schema: "public", table: "late" }])).toMatch(
      /^Unable to subscribe to changes with given parameters. Please check Realtime is enabled/,
    );
    await project.db.query("alter publication supabase_realtime add table late");
    await client.until(({ event, payload }) => event === "system" && payload.status === "ok");
    await project.db.query("insert into late values (1)");
    await settled(client, 1);
  });
});

describe("filters", () => {
  const rows = [
    "(1, 'Apple', 1.5, null)",
    "(2, 'apple', 20.25, true)",
    "(3, 'pear', 3, false)",
    "(4, null, null, null)",
  ];
  test.each([
    ["n=eq.2", [2]],
    ["n=neq.2", [1, 3, 4]],
    ["n=lt.2", [1]],
    ["n=lte.2", [1, 2]],
    ["n=gt.3", [4]],
    ["n=gte.3", [3, 4]],
    ["n=in.(1,3)", [1, 3]],
    ["n=not.in.(1,3)", [2, 4]],
    ["word=eq.apple", [2]],
    ["word=neq.apple", [1, 3]],
    ["word=like.%pple", [1, 2]],
    ["word=ilike.APPLE", [1, 2]],
    ["word=not.ilike.APPLE", [3]],
    ["word=match.^a", [2]],
    ["word=imatch.^a", [1, 2]],
    ["word=is.null", [4]],
    ["word=not.is.null", [1, 2, 3]],
    ["word=isdistinct.apple", [1, 3, 4]],
    ['word=in.("pear","a,b")', [3]],
    ["price=gt.3", [2]],
    ["price=eq.3.0", [3]],
    ["flag=is.true", [2]],
    ["flag=eq.false", [3]],
    ["flag=is.unknown", [1, 4]],
    ["n=gt.1,word=like.%p%", [2, 3]],
    ["", [1, 2, 3, 4]],
  ])("%s lets %j through", async (filter, expected) => {
    const name = await table("n int primary key, word text, price numeric, flag bool");
    const client = await following(name, { event: "INSERT", filter });
    const all = await following(name, { event: "INSERT" });
    await project.db.query(`insert into ${name} values ${rows.join(", ")}`);
    await settled(all, rows.length);
    await client.when(() => client.changes.length >= expected.length);
    expect(client.changes.map(({ record }) => record.n)).toEqual(expected);
  });

  test.each([
    ["n=hey", 'Error parsing `filter` params: ["n","hey"]'],
    ["n=in.1", "Error parsing `filter` params: `in` filter value must be wrapped by parentheses"],
    ["n=eq.1,,n=eq.2", "must not contain empty segments"],
    ["other=eq.1", "Exception: ERROR P0001 (raise_exception) invalid column for filter other"],
    ["n=eq.abc", 'ERROR 22P02 (invalid_text_representation) invalid input syntax for type integer: "abc"'],
    ["price=gt.abc", 'invalid input syntax for type numeric: "abc"'],
    ["word=match.(", "invalid regular expression"],
    [`n=in.(${Array.from({ length: 101 }, (_, index) => index)})`, "too many values for `in` filter. Maximum 100"],
  ])("%s is refused with its reason", async (filter, message) => {
    const name = await table("n int primary key, word text, price numeric");
    const client = await project.client();
    expect(await client.follow("refused", [{ event: "*", schema: "public", table: name, filter }])).toContain(message);
  });

  test("ten thousand bindings by value cost one look-up, and each gets its own row alone", async () => {
    const name = await table("id int primary key, room_id int");
    const clients = await Promise.all(Array.from({ length: 100 }, () => project.client()));
    const oks = clients.map((client, at) =>
      client.follow(
        "rooms",
        Array.from({ length: 100 }, (_, index) => ({
          event: "INSERT",
          schema: "public",
          table: name,
          filter: `room_id=eq.${at * 100 + index}`,
        })),
      ),
    );
    expect(new Set(await Promise.all(oks))).toEqual(new Set(["ok"]));
    await project.db.query(`insert into ${name} values (1, 0), (2, 9999), (3, 10000)`);
    const [first, last] = [clients[0], clients[99]] as [MemoryClient, MemoryClient];
    await Promise.all([settled(first, 1), settled(last, 1)]);
    expect(clients.reduce((sum, { changes }) => sum + changes.length, 0)).toBe(2);
    for (const client of clients) client.end();
  });
});

describe("row-level security", () => {
  test("a hundred users each hear of their own rows, in one batch", async () => {
    const name = await table(
      "id int primary key, owner text",
      `alter table % enable row level security;
      create policy own on % for select to authenticated using (owner = (select auth.jwt() ->> 'sub'))`,
    );
    const clients = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const client = await project.client(project.token("authenticated", { sub: `user-${index}` }));
        expect(await client.follow("own", [{ event: "INSERT", schema: "public", table: name }])).toBe("ok");
        return client;
      }),
    );
    await project.db.query(`insert into ${name} select n, 'user-' || n from generate_series(0, 99) n`);
    await Promise.all(clients.map((client) => settled(client, 1)));
    expect(clients.map(({ changes }) => changes.map(({ record }) => record.id))).toEqual(
      Array.from({ length: 100 }, (_, index) => [index]),
    );
    for (const client of clients) client.end();
  });

  test("a policy that raises for one user hides nothing from another", async () => {
    const name = await table(
      "id int primary key",
      `alter table % enable row level security;
      create policy own on % for select to authenticated using (1 / (auth.jwt() ->> 'divisor')::int = 1)`,
    );
    const token = (divisor: number) => project.token("authenticated", { divisor });
    const [good, bad] = [await following(name, {}, token(1)), await following(name, {}, token(0))];
    await project.db.query(`insert into ${name} values (1); insert into ${name} values (2)`);
    await settled(good, 2);
    expect(bad.changes).toEqual([]);
    expect(world.warnings).toContain("a policy raised or took too long: its rows are not announced");
  });

  test("a token of another user changes what is heard from then on", async () => {
    const name = await table(
      "id int primary key, owner text",
      `alter table % enable row level security;
      create policy own on % for select to authenticated using (owner = (select auth.jwt() ->> 'sub'))`,
    );
    const token = (sub: string) => project.token("authenticated", { sub });
    const client = await following(name, {}, token("ada"));
    const from = client.received.length;
    client.push(`realtime:of ${name}`, "access_token", { access_token: token("grace") });
    await client.until(({ event, payload }) => event === "system" && payload.status === "ok", from);
    await project.db.query(`insert into ${name} values (1, 'ada'), (2, 'grace')`);
    await settled(client, 1);
    expect(client.changes.map(({ record }) => record.id)).toEqual([2]);
  });
});
