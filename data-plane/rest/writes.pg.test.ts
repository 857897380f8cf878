import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";

/** Every write is rolled back unless a test asks otherwise, so that no test meets the rows of another. */
let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  project = await world.createProject({ settings: { txEnd: "rollback-allow-override" } });
});
afterAll(() => world?.close());

const REPRESENTATION = "return=representation";

describe("insert", () => {
  test("answers nothing unless asked", async () => {
    const answer = await project.call("POST /items", { body: { id: 1, name: "x" } });
    expect(answer).toMatchObject({ status: 201, text: "", headers: { "content-range": "*/*" } });
    expect(answer.headers).not.toHaveProperty("content-type");
    expect(answer.headers).not.toHaveProperty("location");
  });

  test("headers-only gives the Location", async () => {
    const answer = await project.call("POST /items", { prefer: "return=headers-only", body: { id: 1, name: "x" } });
    expect(answer).toMatchObject({
      status: 201,
      text: "",
      headers: { location: "/items?id=eq.1", "preference-applied": "return=headers-only" },
    });
    const composite = await project.call("POST /stock", {
      prefer: "return=headers-only",
      body: { shop: "a b", article: "c" },
    });
    expect(composite.headers.location).toBe("/stock?shop=eq.a%20b&article=eq.c");
  });

  test("representation gives the row as selected", async () => {
    const answer = await project.call("POST /items?select=id,label:name,kind", {
      prefer: REPRESENTATION,
      body: { id: 1, name: "x" },
    });
    expect(answer).toMatchObject({
      status: 201,
      body: [{ id: 1, label: "x", kind: "plain" }],
      headers: { "preference-applied": REPRESENTATION, "content-type": "application/json; charset=utf-8" },
    });
  });

  test("in bulk, ordered, counted, with embeds", async () => {
    const answer = await project.call("POST /children?select=id,items(name)&order=id.desc", {
      prefer: `${REPRESENTATION}, count=exact`,
      body: [
        { id: 1, item_id: 101 },
        { id: 2, item_id: null },
      ],
    });
    expect(answer.body).toEqual([
      { id: 2, items: null },
      { id: 1, items: { name: "a" } },
    ]);
    expect(answer.headers["content-range"]).toBe("*/2");
  });

  test("an empty array inserts nothing, an empty object the defaults", async () => {
    const nothing = await project.call("POST /items", { prefer: REPRESENTATION, body: [] });
    expect(nothing).toMatchObject({ status: 201, body: [] });
    const defaults = await project.call("POST /items?select=kind,amount", { prefer: REPRESENTATION, body: {} });
    expect(defaults).toMatchObject({ status: 201, body: [{ kind: "plain", amount: 7 }] });
  });

  test("keys have to match, unless columns says which count", async () => {
    const body = [{ id: 1, name: "x" }, { id: 2 }];
    expect(await project.call("POST /items", { body })).toMatchObject({
      status: 400,
      body: { code: "PGRST102", message: "All object keys must match" },
    });
    const answer = await project.call("POST /items?columns=id,name&select=id,name", { prefer: REPRESENTATION, body });
    expect(answer.body).toEqual([
      { id: 1, name: "x" },
      { id: 2, name: null },
    ]);
  });

  test("columns ignores other keys and refuses unknown ones", async () => {
    const answer = await project.call("POST /items?columns=id&select=id,name", {
      prefer: REPRESENTATION,
      body: { id: 1, name: "ignored", other: true },
    });
    expect(answer.body).toEqual([{ id: 1, name: null }]);
    expect(await project.call("POST /items?columns=id,nope", { body: { id: 1 } })).toMatchObject({
      status: 400,
      body: { code: "PGRST204", message: "Could not find the 'nope' column of 'items' in the schema cache" },
    });
  });

  test("missing=default", async () => {
    const body = [{ id: 1, amount: 1 }, { id: 2 }];
    const target = "POST /items?columns=id,amount,kind&select=id,amount,kind";
    const answer = await project.call(target, { prefer: `${REPRESENTATION}, missing=default`, body });
    expect(answer).toMatchObject({
      status: 201,
      body: [
        { id: 1, amount: 1, kind: "plain" },
        { id: 2, amount: 7, kind: "plain" },
      ],
      headers: { "preference-applied": "missing=default, return=representation" },
    });
  });

  test("bodies that are no JSON, and unknown keys", async () => {
    for (const body of ["", "{", "[1]x"]) {
      expect(await project.call("POST /items", { body })).toMatchObject({
        status: 400,
        body: { code: "PGRST102", message: "Empty or invalid json" },
      });
    }
    expect(await project.call("POST /items", { body: { nope: 1 } })).toMatchObject({
      status: 400,
      body: { code: "PGRST204" },
    });
  });

  test("CSV and forms", async () => {
    const csv = await project.call("POST /items?select=id,name,amount", {
      prefer: REPRESENTATION,
      headers: { "content-type": "text/csv" },
      body: 'id,name,amount\n1,"a, b",NULL\n2,,5\n',
    });
    expect(csv.body).toEqual([
      { id: 1, name: "a, b", amount: null },
      { id: 2, name: "", amount: 5 },
    ]);
    expect(
      await project.call("POST /items", { headers: { "content-type": "text/csv" }, body: "id,name\n1\n" }),
    ).toMatchObject({ status: 400, body: { code: "PGRST102", message: "All lines must have same number of fields" } });
    const form = await project.call("POST /items?select=id,name", {
      prefer: REPRESENTATION,
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: "id=1&name=a+b%26c",
    });
    expect(form.body).toEqual([{ id: 1, name: "a b&c" }]);
  });

  test("violations", async () => {
    expect(await project.call("POST /items", { body: { id: 101 } })).toMatchObject({
      status: 409,
      body: { code: "23505" },
    });
    expect(await project.call("POST /children", { body: { id: 1, item_id: -1 } })).toMatchObject({
      status: 409,
      body: { code: "23503" },
    });
    expect(await project.call("POST /items", { body: { id: 1, feeling: "odd" } })).toMatchObject({
      status: 400,
      body: { code: "22P02" },
    });
  });

  test("a privilege to insert is enough for return=minimal", async () => {
    await project.sql(
      "create table letterbox (id int); revoke all on letterbox from anon; grant insert on letterbox to anon",
    );
    await expect.poll(async () => (await project.call("POST /letterbox", { body: { id: 1 } })).status).toBe(201);
    expect(await project.call("POST /letterbox", { prefer: REPRESENTATION, body: { id: 1 } })).toMatchObject({
      status: 401,
      body: { code: "42501" },
    });
  });
});

describe("upsert", () => {
  test("merge-duplicates: 201 when a row is new, 200 when none is", async () => {
    const prefer = `resolution=merge-duplicates, ${REPRESENTATION}`;
    const mixed = await project.call("POST /items?select=id,name&order=id", {
      prefer,
      body: [
        { id: 101, name: "changed" },
        { id: 1, name: "new" },
      ],
    });
    expect(mixed).toMatchObject({
      status: 201,
      body: [
        { id: 1, name: "new" },
        { id: 101, name: "changed" },
      ],
      headers: { "preference-applied": "resolution=merge-duplicates, return=representation" },
    });
    const merged = await project.call("POST /items?select=name", { prefer, body: { id: 101, name: "changed" } });
    expect(merged).toMatchObject({ status: 200, body: [{ name: "changed" }] });
    expect((await project.call("POST /items", { prefer, body: [] })).status).toBe(200);
  });

  test("ignore-duplicates", async () => {
    const answer = await project.call("POST /items?select=id", {
      prefer: `resolution=ignore-duplicates, ${REPRESENTATION}`,
      body: [
        { id: 101, name: "ignored" },
        { id: 1, name: "new" },
      ],
    });
    expect(answer).toMatchObject({ status: 201, body: [{ id: 1 }] });
  });

  test("on_conflict names another key", async () => {
    const answer = await project.call("POST /codes?on_conflict=code", {
      prefer: `resolution=merge-duplicates, ${REPRESENTATION}`,
      body: { id: 1, code: "x", note: "second" },
    });
    expect(answer).toMatchObject({ status: 200, body: [{ id: 1, code: "x", note: "second" }] });
  });

  test("without a primary key the resolution is ignored", async () => {
    const answer = await project.call("POST /keyless", { prefer: "resolution=merge-duplicates", body: { n: 1 } });
    expect(answer.status).toBe(201);
    expect(answer.headers["preference-applied"] ?? "").not.toContain("resolution");
  });
});

describe("PUT", () => {
  test("inserts or replaces one row", async () => {
    expect(
      await project.call("PUT /stock?shop=eq.a&article=eq.b", { body: { shop: "a", article: "b" } }),
    ).toMatchObject({
      status: 204,
      text: "",
    });
    const put = (article: string) =>
      project.call(`PUT /stock?shop=eq.north&article=eq.${article}`, {
        prefer: REPRESENTATION,
        body: { shop: "north", article, quantity: 9 },
      });
    expect(await put("salt")).toMatchObject({ status: 201, body: [{ article: "salt", quantity: 9 }] });
    expect(await put("tea")).toMatchObject({ status: 200, body: [{ article: "tea", quantity: 9 }] });
  });

  test("needs exactly the key, the same as the body's, and no page", async () => {
    const body = { shop: "a", article: "b" };
    expect(await project.call("PUT /stock?shop=eq.a", { body })).toMatchObject({
      status: 405,
      body: {
        code: "PGRST105",
        message: "Filters must include all and only primary key columns with 'eq' operators",
      },
    });
    expect(await project.call("PUT /stock?shop=eq.a&article=eq.b&limit=1", { body })).toMatchObject({
      status: 400,
      body: { code: "PGRST114", message: "limit/offset querystring parameters are not allowed for PUT" },
    });
    expect(await project.call("PUT /stock?shop=eq.a&article=eq.other", { body, prefer: "tx=commit" })).toMatchObject({
      status: 400,
      body: { code: "PGRST115", message: "Payload values do not match URL in primary key column(s)" },
    });
    expect(await project.rows("GET /stock?shop=eq.a")).toEqual([]);
  });
});

describe("update", () => {
  test("answers by return=", async () => {
    const body = { amount: 50 };
    const minimal = await project.call("PATCH /items?id=in.(101,102)", { body });
    expect(minimal).toMatchObject({ status: 204, text: "", headers: { "content-range": "0-1/*" } });
    expect(minimal.headers).not.toHaveProperty("content-type");
    const rows = await project.call("PATCH /items?id=in.(101,102)&select=id,amount&order=id.desc", {
      prefer: REPRESENTATION,
      body,
    });
    expect(rows).toMatchObject({
      status: 200,
      body: [
        { id: 102, amount: 50 },
        { id: 101, amount: 50 },
      ],
    });
  });

  test("nothing to set or nobody to change", async () => {
    for (const body of [{}, [], [{}]]) {
      const answer = await project.call("PATCH /items", { prefer: REPRESENTATION, body });
      expect(answer).toMatchObject({ status: 200, body: [], headers: { "content-range": "*/*" } });
    }
    const none = await project.call("PATCH /items?id=eq.-1", { prefer: REPRESENTATION, body: { amount: 1 } });
    expect(none).toMatchObject({ status: 200, body: [], headers: { "content-range": "*/*" } });
  });

  test("missing=default", async () => {
    const answer = await project.call("PATCH /items?id=eq.101&columns=amount&select=amount", {
      prefer: `${REPRESENTATION}, missing=default`,
      body: {},
    });
    expect(answer.body).toEqual([{ amount: 7 }]);
  });

  test("of a view that cannot be updated", async () => {
    expect(
      (await project.call("PATCH /frozen_items?id=eq.101", { body: { name: "x" } })).status,
    ).toBeGreaterThanOrEqual(400);
  });
});

describe("delete", () => {
  test("answers by return=", async () => {
    const minimal = await project.call("DELETE /stock?article=eq.tea", { prefer: "count=exact" });
    expect(minimal).toMatchObject({ status: 204, text: "", headers: { "content-range": "*/1" } });
    const rows = await project.call("DELETE /stock?select=article&order=article", { prefer: REPRESENTATION });
    expect(rows).toMatchObject({ status: 200, body: [{ article: "rice" }, { article: "tea" }] });
  });
});

describe("limits of a write", () => {
  const SINGULAR = { accept: "application/vnd.pgrst.object+json" };

  test("singular gives the object, or refuses and keeps nothing", async () => {
    const one = await project.call("PATCH /items?id=eq.101&select=id", {
      prefer: REPRESENTATION,
      headers: SINGULAR,
      body: { amount: 60 },
    });
    expect(one).toMatchObject({ status: 200, body: { id: 101 } });
    const two = await project.call("PATCH /items?id=in.(101,102)", {
      prefer: "return=minimal, tx=commit",
      headers: SINGULAR,
      body: { amount: 61 },
    });
    expect(two).toMatchObject({
      status: 406,
      body: {
        code: "PGRST116",
        message: "Cannot coerce the result to a single JSON object",
        details: "The result contains 2 rows",
        hint: null,
      },
    });
    expect(await project.rows("GET /items?amount=eq.61")).toEqual([]);
  });

  test("max-affected with strict handling refuses and keeps nothing", async () => {
    const answer = await project.call("DELETE /stock", { prefer: "handling=strict, max-affected=1, tx=commit" });
    expect(answer).toMatchObject({
      status: 400,
      body: {
        code: "PGRST124",
        message: "Query result exceeds max-affected preference constraint",
        details: "The query affects 2 rows",
      },
    });
    expect(await project.rows("GET /stock?select=article&order=article")).toEqual([
      { article: "rice" },
      { article: "tea" },
    ]);
  });

  test("max-affected counts for nothing with lenient handling", async () => {
    const answer = await project.call("DELETE /stock", { prefer: "handling=lenient, max-affected=1" });
    expect(answer.status).toBe(204);
    expect(answer.headers["preference-applied"] ?? "").not.toContain("max-affected");
    const enough = await project.call("DELETE /stock", { prefer: "handling=strict, max-affected=2" });
    expect(enough).toMatchObject({
      status: 204,
      headers: { "preference-applied": "handling=strict, max-affected=2" },
    });
  });
});

describe("the end of the transaction", () => {
  test("tx=commit and tx=rollback where the setting allows", async () => {
    const kept = await project.call("POST /keyless", { prefer: "tx=commit", body: { n: 501 } });
    expect(kept.headers["preference-applied"]).toContain("tx=commit");
    const dropped = await project.call("POST /keyless", { prefer: "tx=rollback", body: { n: 502 } });
    expect(dropped.headers["preference-applied"]).toContain("tx=rollback");
    expect(await project.rows("GET /keyless?n=in.(501,502)")).toEqual([{ n: 501 }]);
  });

  test("tx is ignored where the setting does not allow it", async () => {
    const other = await world.createProject({ settings: { txEnd: "commit" } });
    const answer = await other.call("POST /keyless", { prefer: "tx=rollback", body: { n: 1 } });
    expect(answer.headers["preference-applied"] ?? "").not.toContain("tx");
    expect(await other.rows("GET /keyless")).toEqual([{ n: 1 }]);
  });
});
