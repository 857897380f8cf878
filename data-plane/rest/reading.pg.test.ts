import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";

let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  project = await world.createProject({ settings: { aggregatesEnabled: true } });
});
afterAll(() => world?.close());

async function idsOf(target: string, headers: Record<string, string> = {}): Promise<number[]> {
  const rows: { id: number }[] = await project.rows(`GET ${target}`, { headers });
  return rows.map(({ id }) => id);
}

describe("select", () => {
  test.each<[string, object]>([
    ["id,name:title,cost:price::text", { id: 1, name: "Engines", cost: "12.50" }],
    ["id,title,id", { id: 1, title: "Engines" }],
    [" id , title ", { id: 1, title: "Engines" }],
    // JSON paths are keyed by their last name, or by the column when they have none.
    ["meta->>lang,meta->size->w", { lang: "en", w: 3 }],
    ["meta->list->0,last:meta->list->-1", { list: 7, last: 8 }],
    ["meta->size->>w::int", { w: 3 }],
    ["label", { label: "ENGINES" }],
  ])("select=%s", async (select, row) => {
    expect(await project.rows(`GET /books?id=eq.1&select=${select}`)).toEqual([row]);
  });

  test("a path reaches into arrays too", async () => {
    expect(await project.rows("GET /authors?select=nicknames->1&id=eq.1")).toEqual([{ nicknames: "Enchantress" }]);
  });

  test("nothing selected is everything, but for computed fields", async () => {
    const all = await project.rows("GET /tags?id=eq.1");
    expect(all).toEqual([{ id: 1, name: "old" }]);
    expect(await project.rows("GET /tags?id=eq.1&select=")).toEqual(all);
    expect(await project.rows("GET /tags?id=eq.1&select=*")).toEqual(all);
    expect((await project.rows("GET /books?id=eq.1"))[0]).not.toHaveProperty("label");
    expect((await project.rows("GET /books?id=eq.1&select=*,label"))[0]).toMatchObject({ id: 1, label: "ENGINES" });
  });

  test.each([
    ["a view", "/cheap_books?order=id&select=name", [{ name: "Looms" }, { name: "Running cats" }]],
    ["a view of a view", "/bargains?select=number", [{ number: 2 }]],
    ["a materialized view", "/tag_counts?order=tag_id&limit=1", [{ tag_id: 1, books: 2 }]],
    ["a partitioned table", "/parcels?select=id,town", [{ id: 1, town: "Oslo" }]],
  ])("%s is read like a table", async (_, target, rows) => {
    expect(await project.rows(`GET ${target}`)).toEqual(rows);
  });

  test("a partition is not served", async () => {
    expect(await project.call("GET /parcels_of_oslo")).toMatchObject({ status: 404, body: { code: "PGRST205" } });
  });

  test("unknown columns and types are the database's errors", async () => {
    expect(await project.call("GET /books?select=nope")).toMatchObject({ status: 400, body: { code: "42703" } });
    expect(await project.call("GET /books?select=id::nope")).toMatchObject({ status: 400, body: { code: "42704" } });
  });
});

describe("order", () => {
  test.each([
    ["pages", [2, 1, 4, 3]],
    ["pages.desc", [3, 4, 1, 2]],
    ["pages.desc.nullslast,id", [4, 1, 2, 3]],
    ["pages.nullsfirst", [3, 2, 1, 4]],
    ["meta->>lang.asc.nullsfirst,id.desc", [3, 4, 1, 2]],
    ["meta->size->w.desc.nullslast,id", [1, 2, 3, 4]],
    ["label.desc", [3, 4, 2, 1]],
  ])("order=%s", async (order, ids) => {
    expect(await idsOf(`/books?select=id&order=${order}`)).toEqual(ids);
  });
});

describe("pages", () => {
  test.each<[string, Record<string, string>, number[], string]>([
    ["limit=2&offset=1", {}, [2, 3], "1-2/*"],
    ["limit=0", {}, [], "*/*"],
    ["offset=-1&limit=1", {}, [1], "0-0/*"],
    ["", { "range-unit": "items", range: "1-2" }, [2, 3], "1-2/*"],
    ["", { range: "2-" }, [3, 4], "2-3/*"],
    ["limit=2", { range: "1-2" }, [2], "1-1/*"], // they intersect
    ["limit=3", { range: "0-1" }, [1, 2], "0-1/*"],
    ["offset=2", { range: "0-2" }, [3], "2-2/*"],
  ])("%s with %j", async (page, headers, ids, range) => {
    const answer = await project.call(`GET /books?select=id&order=id&${page}`, { headers });
    expect(answer).toMatchObject({ status: 200, headers: { "content-range": range } });
    expect(answer.body).toEqual(ids.map((id) => ({ id })));
  });

  test("an empty page has no range", async () => {
    expect((await project.call("GET /empty")).headers["content-range"]).toBe("*/*");
    expect((await project.call("GET /books?offset=9")).headers["content-range"]).toBe("*/*");
  });

  test.each<[string, Record<string, string>, string]>([
    ["", { range: "3-1" }, "The lower boundary must be lower than or equal to the upper boundary in the Range header."],
    ["limit=-1", {}, "Limit should be greater than or equal to zero."],
    ["offset=9", { prefer: "count=exact" }, "An offset of 9 was requested, but there are only 4 rows."],
    ["limit=0&offset=9", { prefer: "count=exact" }, "An offset of 9 was requested, but there are only 4 rows."],
  ])("%s with %j is 416", async (page, headers, details) => {
    const answer = await project.call(`GET /books?${page}`, { headers });
    expect(answer).toMatchObject({ status: 416, body: { code: "PGRST103", details } });
    expect(answer.body.message).toBe("Requested range not satisfiable");
    expect(answer.headers["content-range"]).toBe(headers.prefer ? "*/4" : undefined);
  });

  test("offset 0 is never beyond the end", async () => {
    const answer = await project.call("GET /empty?offset=0", { prefer: "count=exact" });
    expect(answer).toMatchObject({ status: 200, body: [], headers: { "content-range": "*/0" } });
  });

  test("have no more rows than the project allows, on any level but of to-one embeds", async () => {
    const settings = { maxRows: 1 };
    const page = await project.call("GET /books?select=id&order=id&limit=3", { settings });
    expect(page).toMatchObject({ body: [{ id: 1 }], headers: { "content-range": "0-0/*" } });
    const embedded = "GET /authors?select=id,books(id)&order=id&books.order=id";
    expect(await project.rows(embedded, { settings })).toEqual([{ id: 1, books: [{ id: 1 }] }]);
    expect(await project.rows("GET /books?select=authors(id)&id=eq.2", { settings })).toEqual([{ authors: { id: 1 } }]);
    expect(await project.rows("GET /rpc/three", { settings })).toEqual([1]);
  });
});

describe("count", () => {
  test.each([
    ["/books", "exact", 200, "0-3/4"],
    ["/books?limit=2", "exact", 206, "0-1/4"],
    ["/books?limit=2&offset=3", "exact", 206, "3-3/4"],
    ["/books?id=lt.3", "exact", 200, "0-1/2"],
    ["/books?id=lt.0", "exact", 200, "*/0"],
    ["/books?limit=0", "exact", 206, "*/4"],
    ["/counted?limit=1", "planned", 206, "0-0/50"],
    ["/counted?limit=1", "estimated", 206, "0-0/50"],
  ])("of %s, %s", async (target, count, status, range) => {
    await analyzedRows();
    expect(await project.call(`GET ${target}`, { prefer: `count=${count}` })).toMatchObject({
      status,
      headers: { "content-range": range, "preference-applied": `count=${count}` },
    });
  });

  test("estimated is exact as far as a page may reach, and the planner's word beyond", async () => {
    await analyzedRows();
    await project.sql("delete from counted where n > 45"); // the planner has not heard of it
    const range = async (maxRows: number | null) =>
      (await project.call("GET /counted", { prefer: "count=estimated", settings: { maxRows } })).headers[
        "content-range"
      ];
    expect(await range(100)).toBe("0-44/45");
    expect(await range(10)).toBe("0-9/50");
    expect(await range(null)).toBe("0-44/50"); // no limit of rows: whichever is more
    await project.sql("insert into counted select generate_series(46, 50)");
  });

  async function analyzedRows(): Promise<void> {
    if ((await project.call("GET /counted?limit=0")).status === 200) return;
    await project.sql("create table counted with (autovacuum_enabled = off) as select generate_series(1, 50) as n");
    await project.sql("analyze counted");
    await expect.poll(async () => (await project.call("GET /counted?limit=0")).status).toBe(200);
  }
});

describe("HEAD", () => {
  test("has the headers of GET and no body, of the whole whatever the Range header says", async () => {
    const head = await project.call("HEAD /books?select=id&limit=2", {
      prefer: "count=exact",
      headers: { range: "0-0" },
    });
    expect(head).toMatchObject({
      status: 206,
      text: "",
      headers: { "content-range": "0-1/4", "content-type": "application/json; charset=utf-8" },
    });
    expect(head.headers).not.toHaveProperty("content-length");
  });

  test("of what is not there has the status of GET", async () => {
    expect(await project.call("HEAD /nowhere")).toMatchObject({ status: 404, text: "" });
    expect(await project.call("HEAD /books?id=eq.x")).toMatchObject({ status: 400, text: "" });
  });
});

test("a read names its own address, with the parameters in order", async () => {
  const { headers } = await project.call("GET /tags?select=id&id=eq.1&order=id");
  expect(headers).toMatchObject({
    vary: "Accept, Prefer, Range",
    "content-location": "/tags?id=eq.1&order=id&select=id",
  });
  expect((await project.call("GET /tags")).headers["content-location"]).toBe("/tags");
});

describe("aggregates", () => {
  test.each<[string, object[]]>([
    [
      "/books?select=count(),pages.sum(),least:pages.min(),pages.max()::text,price.avg()::int",
      [{ count: 4, sum: 450, least: 50, max: "300", avg: 31 }],
    ],
    ["/books?select=count", [{ count: 4 }]],
    ["/books?select=pages::text.count()::text,width:meta->size->>w::int.max()", [{ count: "3", width: 3 }]],
    ["/books?select=count()&id=gt.2", [{ count: 2 }]],
    // What is not aggregated makes the groups, an embed as well.
    [
      "/books?select=author_id,count()&order=author_id.nullslast",
      [
        { author_id: 1, count: 2 },
        { author_id: 2, count: 1 },
        { author_id: null, count: 1 },
      ],
    ],
    ["/books?select=pages.sum(),authors(name)&author_id=eq.1", [{ sum: 150, authors: { name: "Ada" } }]],
    // Within an embed they are of the embed; from a to-one spread they go up.
    ["/authors?select=name,books(pages.sum())&id=eq.1", [{ name: "Ada", books: [{ sum: 150 }] }]],
    ["/authors?select=name,books(count)&id=eq.1", [{ name: "Ada", books: [{ count: 2 }] }]],
    ["/books?select=count(),...authors(name)&author_id=eq.1", [{ count: 2, name: "Ada" }]],
    ["/books?select=id.max(),...authors(born.max())&author_id=eq.1", [{ max: 1815 }]],
    ["/book_tags?select=book_id.count(),...books(...authors(name))&order=books(name)", [{ count: 3, name: "Ada" }]],
  ])("%s", async (target, rows) => {
    expect(await project.rows(`GET ${target}`)).toEqual(rows);
  });

  test("are refused within a to-many spread", async () => {
    expect(await project.call("GET /authors?select=name,...books(pages.sum())")).toMatchObject({
      status: 400,
      body: {
        code: "PGRST127",
        message: "Feature not implemented",
        details: "Aggregates are not implemented for one-to-many or many-to-many spreads.",
      },
    });
  });

  test.each(["id.sum()", "count()", "authors(born.max())"])("%s is refused unless enabled", async (select) => {
    const answer = await project.call(`GET /books?select=${select}`, { settings: { aggregatesEnabled: false } });
    expect(answer).toMatchObject({
      status: 400,
      body: { code: "PGRST123", message: "Use of aggregate functions is not allowed" },
    });
  });
});
