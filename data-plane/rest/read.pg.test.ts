import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createTestProjectDatabase } from "../../test/harness/project-database.ts";
import { createTestWorld, type TestWorld } from "./testing/world.ts";

const SCHEMA = `
  create table public.films (
    id int primary key,
    title text not null,
    year int,
    tags text[],
    info jsonb,
    seen boolean,
    words tsvector,
    shown daterange
  );
  insert into public.films values
    (1, 'Alien', 1979, '{space,horror}', '{"cast":[{"name":"Weaver"}],"length":117}', true, to_tsvector('english', 'monsters in space'), '[1979-01-01,1979-12-31]'),
    (2, 'Brazil', 1985, '{satire}', '{"cast":[{"name":"Pryce"}],"length":132}', false, to_tsvector('english', 'ducts and dreams'), '[1985-01-01,1985-06-30]'),
    (3, 'Casablanca', 1942, '{}', '{"length":102}', null, to_tsvector('english', 'letters of transit'), null),
    (4, 'Dune, part "one"', null, null, null, true, null, null);
  create function public.decade(public.films) returns int language sql stable as $$ select $1.year / 10 * 10 $$;
  create table public."odd ,.()" ("a b" int, "c""d" int);
  insert into public."odd ,.()" values (1, 2);
  create table public.empty (id int);
  grant select on all tables in schema public to anon;
`;

let world: TestWorld;
beforeAll(async () => {
  world = await createTestWorld(await createTestProjectDatabase(inject("clusterUrl")), SCHEMA, {
    aggregatesEnabled: true,
  });
});
afterAll(() => world?.close());

const ids = async (query: string) =>
  ((await world.call("GET", `/films?select=id&order=id&${query}`)).json as { id: number }[]).map(({ id }) => id);

describe("filters", () => {
  test.each<[string, number[]]>([
    ["id=eq.1", [1]],
    ["id=neq.1", [2, 3, 4]],
    ["year=gt.1979", [2]],
    ["year=gte.1979&year=lt.1985", [1]],
    ["title=like.*a*", [2, 3, 4]],
    ["title=ilike.A*", [1]],
    ["title=match.^[AB]", [1, 2]],
    ["title=imatch.^a", [1]],
    ["id=in.(1,3)", [1, 3]],
    ["id=not.in.(1,3)", [2, 4]],
    ["id=in.()", []],
    ["id=not.in.()", [1, 2, 3, 4]],
    ['title=in.("Dune, part \\"one\\"",Alien)', [1, 4]],
    ["seen=is.true", [1, 4]],
    ["seen=is.not_null", [1, 2, 4]],
    ["seen=not.is.null", [1, 2, 4]],
    ["year=isdistinct.1979", [2, 3, 4]],
    ["tags=cs.{space}", [1]],
    ["tags=cd.{satire,x}", [2, 3]],
    ["tags=ov.{horror,satire}", [1, 2]],
    ["shown=sl.[1980-01-01,1981-01-01]", [1]],
    ["shown=adj.[1985-07-01,1985-08-01]", [2]],
    ["words=fts(english).monster", [1]],
    ["words=plfts(english).ducts dreams", [2]],
    ["words=wfts(english).transit or space", [1, 3]],
    ["words=not.fts(english).monster", [2, 3]],
    ["title=fts(simple).alien", [1]],
    ["year=eq(any).{1979,1942}", [1, 3]],
    ["title=like(all).{A*,*n}", [1]],
    ["info->>length=eq.117", [1]],
    ["info->cast->0->>name=eq.Pryce", [2]],
    ['tags->0=eq."space"', [1]],
    ["decade=eq.1980", [2]],
    ["or=(id.eq.1,and(year.lt.1980,id.gt.2))", [1, 3]],
    ["not.or=(id.eq.1,id.eq.2)", [3, 4]],
    ['or=(title.eq."Dune, part \\"one\\"",id.in.(1,2))', [1, 2, 4]],
    ["and=(id.gt.1,not.or(id.eq.2,id.eq.3))", [4]],
    ["title=eq.", []],
  ])("%s", async (query, expected) => {
    expect(await ids(query.split("&").map(encodeFilter).join("&"))).toEqual(expected);
  });

  /** As clients do: names and values percent-encoded, the first `=` kept. */
  function encodeFilter(pair: string): string {
    const equals = pair.indexOf("=");
    return `${encodeURIComponent(pair.slice(0, equals))}=${encodeURIComponent(pair.slice(equals + 1))}`;
  }

  test("a value of the wrong type is the client's fault", async () => {
    const response = await world.call("GET", "/films?id=eq.x");
    expect(response).toMatchObject({ status: 400, json: { code: "22P02" } });
  });

  test("a column that does not exist is the server's word", async () => {
    expect(await world.call("GET", "/films?nope=eq.1")).toMatchObject({
      status: 400,
      json: { code: "42703", message: "column films.nope does not exist" },
    });
  });

  test("the same shape with other values is answered by the same statement, with the right rows", async () => {
    for (const id of [1, 2, 3, 1]) {
      expect((await world.call("GET", `/films?id=eq.${id}&select=id`)).json).toEqual([{ id }]);
    }
  });

  test("a bad list in a shape known already is still told where it goes wrong", async () => {
    expect((await world.call("GET", "/films?id=in.(1)&select=id")).status).toBe(200);
    expect(await world.call("GET", "/films?id=in.1&select=id")).toMatchObject({
      status: 400,
      json: { code: "PGRST100", message: '"failed to parse filter (in.1)" (line 1, column 4)' },
    });
  });
});

describe("select", () => {
  test.each<[string, unknown]>([
    ["id,t:title", { id: 1, t: "Alien" }],
    ["year::text", { year: "1979" }],
    ["info->>length", { length: "117" }],
    ["info->cast->0->name", { name: "Weaver" }],
    ["tags->0", { tags: "space" }],
    ["decade", { decade: 1970 }],
    ["id,title,id", { id: 1, title: "Alien" }],
  ])("select=%s", async (select, row) => {
    expect((await world.call("GET", `/films?id=eq.1&select=${select}`)).json).toEqual([row]);
  });

  test("names may hold anything", async () => {
    const path = `/${encodeURIComponent("odd ,.()")}`;
    expect((await world.call("GET", path)).json).toEqual([{ "a b": 1, 'c"d': 2 }]);
    const query = `select=${encodeURIComponent('"c\\"d"')}&${encodeURIComponent('"a b"')}=eq.1`;
    expect((await world.call("GET", `${path}?${query}`)).json).toEqual([{ 'c"d': 2 }]);
  });

  test("an unknown cast is told by the server", async () => {
    expect(await world.call("GET", "/films?select=id::nope")).toMatchObject({ status: 400, json: { code: "42704" } });
  });

  test("a table that is not there, with the nearest name", async () => {
    expect(await world.call("GET", "/filmes")).toMatchObject({
      status: 404,
      json: {
        code: "PGRST205",
        message: "Could not find the table 'public.filmes' in the schema cache",
        hint: "Perhaps you meant the table 'public.films'",
      },
    });
  });
});

describe("aggregates", () => {
  test.each<[string, unknown]>([
    ["select=count()", [{ count: 4 }]],
    ["select=year.max(),year.min(),n:id.count()", [{ max: 1985, min: 1942, n: 4 }]],
    [
      "select=seen,id.sum()&order=seen.nullsfirst",
      [
        { seen: null, sum: 3 },
        { seen: false, sum: 2 },
        { seen: true, sum: 5 },
      ],
    ],
    ["select=year::text.count()::text", [{ count: "3" }]],
  ])("%s", async (query, expected) => {
    expect((await world.call("GET", `/films?${query}`)).json).toEqual(expected);
  });

  test("are refused unless allowed", async () => {
    const response = await world.call("GET", "/films?select=id.sum()", { settings: { aggregatesEnabled: false } });
    expect(response).toMatchObject({ status: 400, json: { code: "PGRST123" } });
  });
});

describe("order, pages and counts", () => {
  test.each<[string, number[]]>([
    ["order=year", [3, 1, 2, 4]],
    ["order=year.desc", [4, 2, 1, 3]],
    ["order=year.desc.nullslast,id", [2, 1, 3, 4]],
    ["order=info->length.desc.nullslast", [2, 1, 3, 4]],
    ["order=decade.nullsfirst,id", [4, 3, 1, 2]],
    ["order=id&limit=2&offset=1", [2, 3]],
    ["order=id&limit=0", []],
  ])("%s", async (query, expected) => {
    const rows = (await world.call("GET", `/films?select=id&${query}`)).json as { id: number }[];
    expect(rows.map(({ id }) => id)).toEqual(expected);
  });

  test.each<[string, Record<string, string>, number, string]>([
    ["/films", {}, 200, "0-3/*"],
    ["/films", { prefer: "count=exact" }, 200, "0-3/4"],
    ["/films?limit=2", { prefer: "count=exact" }, 206, "0-1/4"],
    ["/films?limit=2&offset=3", { prefer: "count=exact" }, 206, "3-3/4"],
    ["/films?id=gt.2", { prefer: "count=exact" }, 200, "0-1/2"],
    ["/films", { range: "1-2" }, 200, "1-2/*"],
    ["/films?limit=3", { range: "0-0" }, 200, "0-0/*"],
    ["/empty", {}, 200, "*/*"],
    ["/empty", { prefer: "count=exact" }, 200, "*/0"],
  ])("%s with %j", async (target, headers, status, range) => {
    const response = await world.call("GET", target, { headers });
    expect([response.status, response.headers["content-range"]]).toEqual([status, range]);
  });

  test("a page beyond the end is refused with the total", async () => {
    expect(await world.call("GET", "/films?offset=9", { headers: { prefer: "count=exact" } })).toMatchObject({
      status: 416,
      headers: { "content-range": "*/4" },
      json: { code: "PGRST103", details: "An offset of 9 was requested, but there are only 4 rows." },
    });
  });

  test("HEAD has the headers and no body, whatever the Range", async () => {
    const response = await world.call("HEAD", "/films", { headers: { range: "0-0" } });
    expect(response).toMatchObject({ status: 200, text: "", headers: { "content-range": "0-3/*" } });
  });

  test("the most rows a request gets are the project's choice", async () => {
    const settings = { maxRows: 2 };
    const page = await world.call("GET", "/films?order=id&limit=3", { settings });
    expect(page.headers["content-range"]).toBe("0-1/*");
    const estimated = await world.call("GET", "/films?id=lt.3", { settings, headers: { prefer: "count=estimated" } });
    expect(estimated.headers["content-range"]).toBe("0-1/2");
    const planned = await world.call("GET", "/films", { settings, headers: { prefer: "count=planned" } });
    expect(planned.headers["content-range"]).toMatch(/^0-1\/\d+$/);
  });

  test("parameters are sorted in the resource's own address", async () => {
    const response = await world.call("GET", "/films?select=id&id=eq.1");
    expect(response.headers["content-location"]).toBe("/films?id=eq.1&select=id");
  });
});
