import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";

let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  project = await world.createProject({ aggregatesEnabled: true });
});
afterAll(() => world?.close());

const idsOf = async (filter: string): Promise<number[]> =>
  (await project.rows(`GET /books?select=id&order=id&${filter}`)).map(({ id }: { id: number }) => id);

describe("select", () => {
  test("columns, aliases and casts", async () => {
    expect(await project.rows("GET /books?select=id,name:title,cost:price::text&id=eq.2")).toEqual([
      { id: 2, name: "Looms", cost: "5.00" },
    ]);
  });

  test("nothing selected is everything", async () => {
    const all = await project.rows("GET /tags?id=eq.1");
    expect(all).toEqual([{ id: 1, name: "old" }]);
    expect(await project.rows("GET /tags?id=eq.1&select=")).toEqual(all);
    expect(await project.rows("GET /tags?id=eq.1&select=*")).toEqual(all);
  });

  test("JSON paths are keyed by their last name", async () => {
    expect(
      await project.rows("GET /books?select=meta->>lang,meta->size->w,meta->list->0,last:meta->list->-1&id=eq.1"),
    ).toEqual([{ lang: "en", w: 3, list: 7, last: 8 }]);
  });

  test("a JSON path reaches into arrays too", async () => {
    expect(await project.rows("GET /authors?select=nicknames->1&id=eq.1")).toEqual([{ nicknames: "Enchantress" }]);
  });

  test("computed fields are selected, filtered and ordered by, and are not part of *", async () => {
    expect(await project.rows("GET /books?select=label&label=eq.LOOMS")).toEqual([{ label: "LOOMS" }]);
    expect(await project.rows("GET /books?select=id&order=label.desc&limit=1")).toEqual([{ id: 3 }]);
    expect((await project.rows("GET /books?id=eq.1"))[0]).not.toHaveProperty("label");
  });

  test("a view is read like a table", async () => {
    expect(await project.rows("GET /cheap_books?order=id&select=name")).toEqual([
      { name: "Looms" },
      { name: "Running cats" },
    ]);
  });

  test("unknown columns and types are the database's errors", async () => {
    expect(await project.call("GET /books?select=nope")).toMatchObject({ status: 400, body: { code: "42703" } });
    expect(await project.call("GET /books?select=id::nope")).toMatchObject({ status: 400, body: { code: "42704" } });
  });
});

describe("filters", () => {
  test.each([
    ["id=eq.1", [1]],
    ["id=neq.1", [2, 3, 4]],
    ["id=gt.3", [4]],
    ["id=gte.3", [3, 4]],
    ["id=lt.2", [1]],
    ["id=lte.2", [1, 2]],
    ["id=not.lte.2", [3, 4]],
    ["id=gt.1&id=lt.3", [2]],
    ["title=like.*s", [1, 2, 3, 4]],
    ["title=like.L*s", [2, 4]],
    ["title=ilike.lOOMS", [2]],
    ["title=like.*100%25*", [4]],
    ["title=match.^L", [2, 4]],
    ["title=imatch.^l", [2, 4]],
    ["title=not.match.^L", [1, 3]],
    ["id=in.(1,3)", [1, 3]],
    ['title=in.("Looms","Lost 100%25 pages")', [2, 4]],
    ["id=in.()", []],
    ["id=not.in.()", [1, 2, 3, 4]],
    ["pages=is.null", [3]],
    ["pages=is.not_null", [1, 2, 4]],
    ["pages=not.is.NULL", [1, 2, 4]],
    ["pages=isdistinct.50", [1, 3, 4]],
    ["meta->>lang=eq.en", [1, 4]],
    ["meta->size->w=eq.3", [1]],
    ['meta=cs.{"lang":"fr"}', [2]],
    ['meta=cd.{"lang":"fr","x":1}', [2]],
    ["loan=ov.[3,6)", [1, 2]],
    ["loan=sl.[5,9)", [1, 4]],
    ["loan=sr.[1,5)", [2]],
    ["loan=nxr.[2,5)", [1, 4]],
    ["loan=nxl.[2,9)", [2, 4]],
    ["loan=adj.[1,5)", [2]],
    ["title=fts.run", [3]],
    ["title=fts(english).cat", [3]],
    ["title=plfts(english).running cat", [3]],
    ["title=phfts(english).cat running", []],
    ["title=wfts(english).loom or engine", [1, 2]],
    ["title=not.fts(english).cat", [1, 2, 4]],
    ["title=like(any).{Loo*,Eng*}", [1, 2]],
    ["title=like(all).{L*,*pages}", [4]],
    ["id=eq(any).{1,4}", [1, 4]],
    ["id=gt(all).{1,2}", [3, 4]],
    ["or=(id.eq.1,id.eq.4)", [1, 4]],
    ["and=(id.gt.1,id.lt.4)", [2, 3]],
    ["not.or=(id.eq.1,id.eq.4)", [2, 3]],
    ["not.and=(id.gt.1,id.lt.4)", [1, 4]],
    ["or=(id.eq.1,and(pages.is.null,id.not.eq.9),not.and(id.lt.4))", [1, 3, 4]],
    ['or=(title.eq."Lost 100%25 pages",id.in.(1,2))', [1, 2, 4]],
  ])("%s", async (filter, ids) => {
    expect(await idsOf(filter)).toEqual(ids);
  });

  test("a value is a parameter, never SQL", async () => {
    expect(await idsOf("title=eq.x'); drop table books;--")).toEqual([]);
    expect(await idsOf("id=eq.1")).toEqual([1]);
  });

  test("a value that the column's type refuses is 400", async () => {
    expect(await project.call("GET /books?id=eq.one")).toMatchObject({ status: 400, body: { code: "22P02" } });
  });

  test("an operator is needed", async () => {
    expect(await project.call("GET /books?id=0")).toMatchObject({
      status: 400,
      body: {
        code: "PGRST100",
        message: '"failed to parse filter (0)" (line 1, column 1)',
        details: 'unexpected "0" expecting "not" or operator (eq, gt, ...)',
        hint: null,
      },
    });
  });
});

describe("order and page", () => {
  test("directions and nulls", async () => {
    const order = async (by: string) =>
      (await project.rows(`GET /books?select=id&order=${by}`)).map(({ id }: { id: number }) => id);
    expect(await order("pages.desc.nullslast,id")).toEqual([4, 1, 2, 3]);
    expect(await order("pages.nullsfirst")).toEqual([3, 2, 1, 4]);
    expect(await order("meta->>lang.asc.nullsfirst,id.desc")).toEqual([3, 4, 1, 2]);
  });

  test("by a column of a to-one embed", async () => {
    expect(
      await project.rows("GET /books?select=id,authors(name)&order=authors(name).desc.nullslast,id.desc"),
    ).toMatchObject([{ id: 3 }, { id: 2 }, { id: 1 }, { id: 4 }]);
    expect(await project.call("GET /authors?select=id,books(id)&order=books(id)")).toMatchObject({
      status: 400,
      body: {
        code: "PGRST118",
        message: "A related order on 'books' is not possible",
        details: "'authors' and 'books' do not form a many-to-one or one-to-one relationship",
      },
    });
  });

  test("limit and offset", async () => {
    const page = await project.call("GET /books?select=id&order=id&limit=2&offset=1");
    expect(page.body).toEqual([{ id: 2 }, { id: 3 }]);
    expect(page).toMatchObject({ status: 200, headers: { "content-range": "1-2/*" } });
    const none = await project.call("GET /books?select=id&limit=0");
    expect(none).toMatchObject({ status: 200, text: "[]", headers: { "content-range": "*/*" } });
  });

  test("the Range header and parameters intersect", async () => {
    const headers = { "range-unit": "items", range: "1-2" };
    expect(await project.rows("GET /books?select=id&order=id", { headers })).toEqual([{ id: 2 }, { id: 3 }]);
    expect(await project.rows("GET /books?select=id&order=id&limit=2", { headers })).toEqual([{ id: 2 }]);
    const open = await project.rows("GET /books?select=id&order=id", { headers: { range: "2-" } });
    expect(open).toEqual([{ id: 3 }, { id: 4 }]);
  });

  test("impossible ranges are 416", async () => {
    expect(await project.call("GET /books", { headers: { range: "3-1" } })).toMatchObject({
      status: 416,
      body: {
        code: "PGRST103",
        details: "The lower boundary must be lower than or equal to the upper boundary in the Range header.",
      },
    });
    expect(await project.call("GET /books?limit=-1")).toMatchObject({
      status: 416,
      body: { code: "PGRST103", details: "Limit should be greater than or equal to zero." },
    });
    expect(await project.call("GET /books?offset=9", { prefer: "count=exact" })).toMatchObject({
      status: 416,
      headers: { "content-range": "*/4" },
      body: {
        code: "PGRST103",
        message: "Requested range not satisfiable",
        details: "An offset of 9 was requested, but there are only 4 rows.",
      },
    });
    expect((await project.call("GET /books?offset=9")).status).toBe(200);
  });
});

describe("count", () => {
  test("exact", async () => {
    const page = await project.call("GET /books?select=id&limit=2", { prefer: "count=exact" });
    expect(page).toMatchObject({
      status: 206,
      headers: { "content-range": "0-1/4", "preference-applied": "count=exact" },
    });
    const whole = await project.call("GET /books?id=lt.3", { prefer: "count=exact" });
    expect(whole).toMatchObject({ status: 200, headers: { "content-range": "0-1/2" } });
    const none = await project.call("GET /books?id=lt.0", { prefer: "count=exact" });
    expect(none).toMatchObject({ status: 200, headers: { "content-range": "*/0" } });
  });

  test("planned and estimated", async () => {
    await project.sql("create table planned_rows as select generate_series(1, 50) as n; analyze planned_rows");
    await expect.poll(async () => (await project.call("GET /planned_rows")).status).toBe(200);
    const planned = await project.call("GET /planned_rows?limit=1", { prefer: "count=planned" });
    expect(planned).toMatchObject({ status: 206, headers: { "content-range": "0-0/50" } });
    const estimated = await project.call("GET /planned_rows?limit=1", { prefer: "count=estimated" });
    expect(estimated).toMatchObject({ status: 206, headers: { "content-range": "0-0/50" } });
  });

  test("HEAD has the headers alone", async () => {
    const head = await project.call("HEAD /books?select=id&limit=2", { prefer: "count=exact" });
    expect(head).toMatchObject({ status: 206, text: "", headers: { "content-range": "0-1/4" } });
    expect(head.headers).not.toHaveProperty("content-length");
  });
});

describe("aggregates", () => {
  test("over everything, with casts and aliases", async () => {
    expect(
      await project.rows("GET /books?select=count(),pages.sum(),least:pages.min(),pages.max()::text,price.avg()::int"),
    ).toEqual([{ count: 4, sum: 450, least: 50, max: "300", avg: 31 }]);
  });

  test("other columns are the groups", async () => {
    expect(await project.rows("GET /books?select=author_id,count()&order=author_id.nullslast")).toEqual([
      { author_id: 1, count: 2 },
      { author_id: 2, count: 1 },
      { author_id: null, count: 1 },
    ]);
  });

  test("within an embed, and hoisted from a to-one spread", async () => {
    expect(await project.rows("GET /authors?select=name,books(pages.sum())&id=eq.1")).toEqual([
      { name: "Ada", books: [{ sum: 150 }] },
    ]);
    expect(await project.rows("GET /books?select=count(),...authors(name)&author_id=eq.1")).toEqual([
      { count: 2, name: "Ada" },
    ]);
  });

  test("not in a to-many spread", async () => {
    expect(await project.call("GET /authors?select=name,...books(pages.sum())")).toMatchObject({
      status: 400,
      body: {
        code: "PGRST127",
        message: "Feature not implemented",
        details: "Aggregates are not implemented for one-to-many or many-to-many spreads.",
      },
    });
  });
});
