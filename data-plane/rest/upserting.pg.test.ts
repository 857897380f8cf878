import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";

/** Every write is rolled back unless a test asks otherwise, so that no test meets the rows of another. */
let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  project = await world.createProject({
    settings: { txEnd: "rollback-allow-override" },
    sql: "create table public.slots (slot int primary key); insert into public.slots values (1);",
  });
});
afterAll(() => world?.close());

const REPRESENTATION = "return=representation";

describe("an upsert", () => {
  const MERGE = `resolution=merge-duplicates, ${REPRESENTATION}`;
  const IGNORE = `resolution=ignore-duplicates, ${REPRESENTATION}`;

  test.each<[string, string, string, unknown, number, object[]]>([
    [
      "201 when a row is new",
      "/items?select=id,name&order=id",
      MERGE,
      [
        { id: 101, name: "changed" },
        { id: 1, name: "new" },
      ],
      201,
      [
        { id: 1, name: "new" },
        { id: 101, name: "changed" },
      ],
    ],
    ["200 when none is", "/items?select=name", MERGE, { id: 101, name: "changed" }, 200, [{ name: "changed" }]],
    ["200 for no rows at all", "/items", MERGE, [], 200, []],
    [
      "other columns stay as they are",
      "/items?select=name,amount",
      MERGE,
      { id: 101, amount: 9 },
      200,
      [{ name: "a", amount: 9 }],
    ],
    [
      "by a key of several columns",
      "/stock?select=quantity",
      MERGE,
      { shop: "north", article: "tea", quantity: 8 },
      200,
      [{ quantity: 8 }],
    ],
    ["of nothing but the key, new", "/slots", MERGE, [{ slot: 2 }], 201, [{ slot: 2 }]],
    ["of nothing but the key, known", "/slots", MERGE, [{ slot: 1 }], 200, [{ slot: 1 }]],
    [
      "ignoring gives the new rows alone",
      "/items?select=id",
      IGNORE,
      [
        { id: 101, name: "ignored" },
        { id: 1, name: "new" },
      ],
      201,
      [{ id: 1 }],
    ],
    ["201 also when all are ignored", "/items", IGNORE, { id: 101, name: "ignored" }, 201, []],
    [
      "by the key that on_conflict names",
      "/codes?on_conflict=code",
      MERGE,
      { id: 1, code: "x", note: "second" },
      200,
      [{ id: 1, code: "x", note: "second" }],
    ],
    [
      "by that key when others are ignored",
      "/codes?on_conflict=code",
      IGNORE,
      [
        { id: 8, code: "x" },
        { id: 9, code: "y" },
      ],
      201,
      [{ id: 9, code: "y", note: null }],
    ],
  ])("%s", async (_, target, prefer, body, status, rows) => {
    expect(await project.call(`POST ${target}`, { prefer, body })).toMatchObject({
      status,
      body: rows,
      headers: { "preference-applied": prefer },
    });
  });

  test("merging takes defaults for missing keys when asked", async () => {
    const answer = await project.rows("POST /items?columns=id,amount&select=id,amount&order=id", {
      prefer: `${MERGE}, missing=default`,
      body: [{ id: 101 }, { id: 1, amount: 5 }],
    });
    expect(answer).toEqual([
      { id: 1, amount: 5 },
      { id: 101, amount: 7 },
    ]);
  });

  test("without a primary key there is nothing to resolve", async () => {
    expect(await project.call("POST /keyless", { prefer: MERGE, body: { n: 1 } })).toMatchObject({
      status: 201,
      headers: { "preference-applied": REPRESENTATION },
    });
  });

  test("by columns that are no key is the database's error", async () => {
    expect(await project.call("POST /codes?on_conflict=note", { prefer: MERGE, body: { id: 1 } })).toMatchObject({
      status: 400,
      body: { code: "42P10" },
    });
  });
});

describe("PUT", () => {
  const TEA = "PUT /stock?shop=eq.north&article=eq.tea";
  const SALT = "PUT /stock?shop=eq.north&article=eq.salt";
  const row = (article: string) => ({ shop: "north", article, quantity: 9 });

  test.each<[string, string, unknown, string | undefined, number, object[] | undefined]>([
    ["inserts without a word", SALT, row("salt"), undefined, 204, undefined],
    ["replaces without a word", TEA, row("tea"), undefined, 204, undefined],
    ["gives the row it inserted", SALT, row("salt"), REPRESENTATION, 201, [row("salt")]],
    ["gives the row it replaced", TEA, row("tea"), REPRESENTATION, 200, [row("tea")]],
    ["takes the first of a list", SALT, [row("salt"), row("tea")], REPRESENTATION, 201, [row("salt")]],
  ])("%s", async (_, target, body, prefer, status, rows) => {
    const answer = await project.call(target, { body, ...(prefer && { prefer }) });
    expect(answer.status).toBe(status);
    expect(answer.body).toEqual(rows);
  });

  test.each([
    ["without the whole key", "/stock?shop=eq.north", 405, "PGRST105"],
    ["without any filter", "/stock", 405, "PGRST105"],
    ["with more than the key", "/stock?shop=eq.north&article=eq.salt&quantity=eq.1", 405, "PGRST105"],
    ["with another operator", "/stock?shop=eq.north&article=gt.salt", 405, "PGRST105"],
    ["with a negation", "/stock?shop=eq.north&article=not.eq.salt", 405, "PGRST105"],
    ["with logic", "/stock?shop=eq.north&and=(article.eq.salt)", 405, "PGRST105"],
    ["with a limit", "/stock?shop=eq.north&article=eq.salt&limit=1", 400, "PGRST114"],
    ["with an offset", "/stock?shop=eq.north&article=eq.salt&offset=1", 400, "PGRST114"],
    ["of another row than its address names", "/stock?shop=eq.north&article=eq.other", 400, "PGRST115"],
  ])("%s is refused and changes nothing", async (_, target, status, code) => {
    const before = await project.rows("GET /stock?order=article");
    expect(await project.call(`PUT ${target}`, { prefer: "tx=commit", body: row("salt") })).toMatchObject({
      status,
      body: { code, message: MESSAGES[code] },
    });
    expect(await project.rows("GET /stock?order=article")).toEqual(before);
  });

  test.each([
    ["no row", []],
    ["nothing", {}],
    ["no key", { note: "x" }],
    ["another key", { id: 2 }],
  ])("whose body has %s does not match its address", async (_, body) => {
    expect(await project.call("PUT /codes?id=eq.1", { body })).toMatchObject({
      status: 400,
      body: { code: "PGRST115" },
    });
  });

  test("of a relation without a key is refused", async () => {
    expect(await project.call("PUT /keyless?n=eq.1", { body: { n: 1 } })).toMatchObject({
      status: 405,
      body: { code: "PGRST105" },
    });
  });

  const MESSAGES: Readonly<Record<string, string>> = {
    PGRST105: "Filters must include all and only primary key columns with 'eq' operators",
    PGRST114: "limit/offset querystring parameters are not allowed for PUT",
    PGRST115: "Payload values do not match URL in primary key column(s)",
  };
});
