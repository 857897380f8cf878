import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";

const MEDIA_TYPES = `
  create domain public."text/tab-separated-values" as text;
  create domain public."image/x-dots" as bytea;
  create domain public."text/x-rows" as text;
  create domain public."text/x-final" as text;
  create domain public."text/html" as text;
  create domain museum."*/*" as text;
  create function public.as_tabs() returns public."text/tab-separated-values" stable language sql as $$ select E'a\\tb' $$;
  create function public.dots(n int) returns public."image/x-dots" stable language sql
    as $$ select decode(repeat('00ff', n), 'hex')::public."image/x-dots" $$;
  create function public.no_tabs() returns public."text/tab-separated-values" stable language sql as $$ select null $$;
  -- An aggregate of one relation, one of any, and one whose final function makes the type.
  create function public.add_tag(state public."image/x-dots", tag public.tags) returns public."image/x-dots"
    immutable language sql as $$ select (state || convert_to(tag.id || ';', 'UTF8'))::public."image/x-dots" $$;
  create aggregate public.tags_as_dots(public.tags) (initcond = '', stype = public."image/x-dots", sfunc = public.add_tag);
  create function public.add_row(state public."text/x-rows", item anyelement) returns public."text/x-rows"
    immutable language sql as $$ select (state || item::text || E'\\n')::public."text/x-rows" $$;
  create aggregate public.any_as_rows(anyelement) (initcond = '', stype = public."text/x-rows", sfunc = public.add_row);
  create function public.count_row(state int, item anyelement) returns int immutable language sql as $$ select state + 1 $$;
  create function public.finish(state int) returns public."text/x-final" immutable language sql as $$ select (state || ' rows')::public."text/x-final" $$;
  create aggregate public.any_counted(anyelement) (initcond = '0', stype = int, sfunc = public.count_row, finalfunc = public.finish);
  create function public.page() returns public."text/html" volatile language plpgsql as $$ begin
    perform set_config('response.headers', '[{"Content-Type": "text/html; charset=latin1"}]', true);
    return '<p>hi</p>';
  end $$;
  create function museum.whatever() returns museum."*/*" stable language plpgsql as $$ begin
    perform set_config('response.headers', '[{"Content-Type": "app/mine"}]', true);
    return 'anything';
  end $$;
  create function museum.plain() returns museum."*/*" stable language sql as $$ select 'bytes'::museum."*/*" $$;
`;

/** A colour is a number that is read and written as #rrggbb; a weight only has a form for output. */
const DOMAINS = `
  create domain public.color as int;
  create domain public.grams as int;
  create function public.color_to_json(public.color) returns json immutable language sql as $$ select to_json('#' || lpad(to_hex($1), 6, '0')) $$;
  create function public.color_of_text(text) returns public.color immutable language sql
    as $$ select ('x' || lpad(ltrim($1, '#'), 8, '0'))::bit(32)::int::public.color $$;
  create function public.color_of_json(json) returns public.color immutable language sql as $$ select public.color_of_text($1 #>> '{}') $$;
  create function public.grams_to_json(public.grams) returns json immutable language sql as $$ select to_json($1 || ' g') $$;
  create cast (public.color as json) with function public.color_to_json(public.color) as implicit;
  create cast (json as public.color) with function public.color_of_json(json) as implicit;
  create cast (text as public.color) with function public.color_of_text(text) as implicit;
  create cast (public.grams as json) with function public.grams_to_json(public.grams) as implicit;
  create table public.paints (
    id int primary key, color public.color default 255, weight public.grams, author_id int references public.authors
  );
  insert into public.paints values (1, 255, 5, 1), (2, 65280, 6, 1), (3, null, null, 2);
  create view public.bright_paints as select id, color as shade from public.paints;
  create function public.paints_of(author int) returns setof public.paints stable language sql
    as $$ select * from public.paints where author_id = author order by id $$;
`;

/** A stand-in for the one function of PostGIS that is used. */
const GEOMETRY = `
  create function museum.st_asgeojson(record) returns text immutable language plpgsql as $$ begin
    return json_build_object('type', 'Feature', 'properties', to_json($1))::text;
  end $$;
  grant execute on all functions in schema museum to anon;
`;

let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  project = await world.createProject({
    settings: { schemas: ["public", "museum"], txEnd: "rollback-allow-override", aggregatesEnabled: true },
    sql: MEDIA_TYPES + DOMAINS + GEOMETRY,
  });
});
afterAll(() => world?.close());

const accepting = (accept: string, profile = "public") => ({ headers: { accept, "accept-profile": profile } });
const REPRESENTATION = "return=representation";

describe("media types", () => {
  test.each([
    [undefined, "application/json; charset=utf-8"],
    ["*/*", "application/json; charset=utf-8"],
    ["Application/JSON", "application/json; charset=utf-8"],
    ["text/unknown, */*;q=0.1", "application/json; charset=utf-8"],
    ["text/csv;q=0.5, application/json;q=0.9", "application/json; charset=utf-8"],
    ["application/json;q=0.5, text/csv", "text/csv; charset=utf-8"],
    ["text/unknown, text/csv, application/json", "text/csv; charset=utf-8"],
  ])("Accept: %s is answered with %s", async (accept, type) => {
    const answer = await project.call("GET /tags?id=eq.1", accept === undefined ? {} : accepting(accept));
    expect(answer).toMatchObject({ status: 200, headers: { "content-type": type } });
    expect(answer.text).toBe(type.startsWith("text/csv") ? "id,name\n1,old" : '[{"id":1,"name":"old"}]');
  });

  test("none of them is 406 and names them all", async () => {
    expect(await project.call("GET /tags", accepting("image/png, text/unknown"))).toMatchObject({
      status: 406,
      body: { code: "PGRST107", message: "None of these media types are available: image/png, text/unknown" },
    });
  });

  test("CSV quotes what has to be, and null is empty", async () => {
    const csv = (target: string) => project.call(target, accepting("text/csv"));
    const answer = await csv("GET /books?select=id,title,pages,meta->>lang&id=in.(1,3)&order=id");
    expect(answer).toMatchObject({ status: 200, headers: { "content-type": "text/csv; charset=utf-8" } });
    expect(answer.text).toBe('id,title,pages,lang\n1,Engines,100,en\n3,"Running cats",,');
    expect((await csv("GET /rpc/totals")).text).toBe("kind,n\na,1\nb,2");
    expect((await csv("GET /empty")).text.trim()).toBe("");
  });

  test.each([
    ["application/vnd.pgrst.object+json", "/books?select=id,pages&id=eq.3", '{"id":3,"pages":null}'],
    ["application/vnd.pgrst.object+json;nulls=stripped", "/books?select=id,pages&id=eq.3", '{"id":3}'],
    ["application/vnd.pgrst.array+json;nulls=stripped", "/books?select=id,pages&id=eq.3", '[{"id":3}]'],
    ["application/vnd.pgrst.object+json", "/rpc/one_book?select=id", '{"id":1}'],
  ])("%s of %s", async (type, target, text) => {
    expect(await project.call(`GET ${target}`, accepting(type))).toMatchObject({
      status: 200,
      text,
      headers: { "content-type": `${type}; charset=utf-8` },
    });
  });

  test.each([
    ["id=eq.99", 0],
    ["id=lt.3", 2],
  ])("one object of tags with %s is refused", async (filter, rows) => {
    expect(await project.call(`GET /tags?${filter}`, accepting("application/vnd.pgrst.object"))).toMatchObject({
      status: 406,
      body: {
        code: "PGRST116",
        message: "Cannot coerce the result to a single JSON object",
        details: `The result contains ${rows} rows`,
      },
    });
  });
});

describe("plans", () => {
  const PLAN = "application/vnd.pgrst.plan";

  test("are 406 unless the project allows them", async () => {
    expect(await project.call("GET /tags", accepting(PLAN))).toMatchObject({
      status: 406,
      body: { code: "PGRST107" },
    });
  });

  test("explain and do not execute", async () => {
    const settings = { planEnabled: true, txEnd: "commit" as const };
    const text = await project.call("GET /tags", { ...accepting(PLAN), settings });
    expect(text.text).toContain("Aggregate");
    const json = await project.call("GET /tags", {
      ...accepting(`${PLAN}+json; for="text/csv"; options=verbose`),
      settings,
    });
    expect(json.headers["content-type"]).toBe(`${PLAN}+json; for="text/csv"; options=verbose; charset=utf-8`);
    expect(json.body[0]).toHaveProperty("Plan");
    const write = { ...accepting(PLAN), settings, prefer: REPRESENTATION, body: { id: 9, name: "x" } };
    expect((await project.call("POST /tags", write)).status).toBe(200);
    expect(await project.rows("GET /tags?id=eq.9")).toEqual([]);
  });
});

describe("media types of the database's own", () => {
  test.each([
    ["by the function that returns it", "text/tab-separated-values", "/rpc/as_tabs", "a\tb"],
    ["by an aggregate over the relation", "image/x-dots", "/tags?order=id", "1;2;3;"],
    ["by one over any rows", "text/x-rows", "/tags?order=id", "(1,old)\n(2,new)\n(3,unused)\n"],
    ["as selected", "text/x-rows", "/tags?select=name&order=id&limit=1", "(old)\n"],
    ["by the final function of one", "text/x-final", "/tags", "3 rows"],
    ["of a function's rows", "text/x-final", "/rpc/books_of?author=1", "2 rows"],
  ])("%s", async (_, type, target, text) => {
    expect(await project.call(`GET ${target}`, accepting(type))).toMatchObject({
      status: 200,
      text,
      headers: { "content-type": type },
    });
  });

  test("bytes are sent as they are", async () => {
    const answer = await project.call("GET /rpc/dots?n=2", accepting("image/x-dots"));
    expect(answer.bytes).toEqual(Buffer.from([0, 255, 0, 255]));
  });

  test("no value is an empty body", async () => {
    const answer = await project.call("GET /rpc/no_tabs", accepting("text/tab-separated-values"));
    expect(answer).toMatchObject({ status: 200, text: "" });
  });

  test("an aggregate over a relation needs its whole rows", async () => {
    expect((await project.call("GET /tags?select=id", accepting("image/x-dots"))).status).toBe(406);
    expect((await project.call("GET /books", accepting("image/x-dots"))).status).toBe(406);
  });

  test("a handler may name another content type", async () => {
    const answer = await project.call("POST /rpc/page", accepting("text/html"));
    expect(answer).toMatchObject({ text: "<p>hi</p>", headers: { "content-type": "text/html; charset=latin1" } });
  });

  test("*/* serves every type, by default as bytes", async () => {
    const whatever = await project.call("GET /rpc/whatever", accepting("what/ever", "museum"));
    expect(whatever).toMatchObject({ text: "anything", headers: { "content-type": "app/mine" } });
    const plain = await project.call("GET /rpc/plain", accepting("*/*", "museum"));
    expect(plain).toMatchObject({ text: "bytes", headers: { "content-type": "application/octet-stream" } });
  });
});

describe("GeoJSON", () => {
  const GEOJSON = "application/geo+json";

  test("is a collection of what ST_AsGeoJSON makes of each row", async () => {
    const answer = await project.call("GET /pieces?select=id,title", accepting(GEOJSON, "museum"));
    expect(answer).toMatchObject({ status: 200, headers: { "content-type": `${GEOJSON}; charset=utf-8` } });
    expect(answer.body).toEqual({
      type: "FeatureCollection",
      features: [{ type: "Feature", properties: { id: 1, title: "vase" } }],
    });
    const none = await project.call("GET /pieces?id=eq.9", accepting(GEOJSON, "museum"));
    expect(none.body).toEqual({ type: "FeatureCollection", features: [] });
  });

  test("has geometries and embeds with PostGIS, and needs a geometry", async ({ skip }) => {
    const [postgis] = await project.sql("select from pg_available_extensions where name = 'postgis'");
    if (!postgis) skip("this PostgreSQL has no PostGIS");
    const admin = new pg.Client({ connectionString: project.adminUrl });
    await admin.connect();
    await admin.query("create extension postgis schema extensions");
    await admin.end();
    await project.sql(
      `create table spots (id int primary key, author_id int references authors, shape extensions.geometry);
       insert into spots values (1, 1, extensions.st_makepoint(1, 2))`,
    );
    await expect.poll(async () => (await project.call("GET /spots?select=id")).status).toBe(200);
    expect((await project.call("GET /spots?select=id,shape,authors(name)", accepting(GEOJSON))).body).toEqual({
      type: "FeatureCollection",
      features: [
        {
          type: "Feature",
          geometry: { type: "Point", coordinates: [1, 2] },
          properties: { id: 1, authors: { name: "Ada" } },
        },
      ],
    });
    const inserted = await project.call("POST /spots", {
      headers: { accept: GEOJSON },
      prefer: REPRESENTATION,
      body: { id: 2, shape: { type: "Point", coordinates: [3, 4] } },
    });
    expect(inserted).toMatchObject({ status: 201, body: { features: [{ geometry: { coordinates: [3, 4] } }] } });
    expect(await project.call("GET /tags", accepting(GEOJSON))).toMatchObject({
      status: 400,
      body: { code: "22023", message: "geometry column is missing" },
    });
  });
});

describe("a domain's own representation", () => {
  test.each<[string, object[]]>([
    ["/paints?select=id,color&order=id&limit=1", [{ id: 1, color: "#0000ff" }]],
    ["/paints?select=*&id=eq.1", [{ id: 1, color: "#0000ff", weight: "5 g", author_id: 1 }]],
    ["/paints?select=hue:color,weight&id=eq.2", [{ hue: "#00ff00", weight: "6 g" }]],
    ["/paints?select=color&id=eq.3", [{ color: null }]],
    [
      "/authors?select=paints(color)&id=eq.1&paints.order=id",
      [{ paints: [{ color: "#0000ff" }, { color: "#00ff00" }] }],
    ],
    ["/authors?select=...paints(color)&id=eq.1&paints.order=id", [{ color: ["#0000ff", "#00ff00"] }]],
    ["/bright_paints?select=shade&id=eq.1", [{ shade: "#0000ff" }]],
    ["/rpc/paints_of?author=1&select=color&limit=1", [{ color: "#0000ff" }]],
    // Not of other columns that are cast to the domain, and aggregates work on the value.
    ["/paints?select=id::color&id=eq.1", [{ id: 1 }]],
    ["/paints?select=color.max()", [{ max: 65280 }]],
  ])("is what is read: %s", async (target, rows) => {
    expect(await project.rows(`GET ${target}`)).toEqual(rows);
  });

  test.each<[string, number[]]>([
    ["color=eq.0000ff", [1]],
    ["color=eq.%230000ff", [1]],
    ["color=neq.0000ff", [2]],
    ["color=gt.0000ff", [2]],
    ["color=in.(0000ff,00ff00)", [1, 2]],
    ["color=not.in.(0000ff)", [2]],
    ["or=(color.eq.0000ff,color.is.null)", [1, 3]],
    ["color=is.not_null", [1, 2]],
    ["weight=eq.5", [1]], // without a cast from text: as its base type
    ["order=color.desc.nullslast", [2, 1, 3]],
  ])("is what is compared: %s", async (query, ids) => {
    const rows: { id: number }[] = await project.rows(
      `GET /paints?select=id&${query}&order=id`.replace(/(order=\w+\S*)&order=id/, "$1"),
    );
    expect(rows.map(({ id }) => id)).toEqual(ids);
  });

  test.each<[string, string, unknown, object[]]>([
    [
      "POST /paints?select=color,weight",
      REPRESENTATION,
      { id: 9, color: "#00ffff", weight: 7 },
      [{ color: "#00ffff", weight: "7 g" }],
    ],
    [
      "POST /paints?select=color",
      REPRESENTATION,
      [
        { id: 8, color: "#000001" },
        { id: 9, color: null },
      ],
      [{ color: "#000001" }, { color: null }],
    ],
    [
      "POST /paints?columns=id,color&select=color",
      `${REPRESENTATION}, missing=default`,
      [{ id: 9 }],
      [{ color: "#0000ff" }],
    ],
    [
      "POST /paints?select=color",
      `${REPRESENTATION}, resolution=merge-duplicates`,
      [{ id: 1, color: "#123456" }],
      [{ color: "#123456" }],
    ],
    ["PATCH /paints?id=eq.1&select=color", REPRESENTATION, { color: "#ff0000" }, [{ color: "#ff0000" }]],
    [
      "PATCH /paints?color=eq.0000ff&select=id,color",
      REPRESENTATION,
      { color: "#ff0000" },
      [{ id: 1, color: "#ff0000" }],
    ],
    ["DELETE /paints?color=eq.0000ff&select=color", REPRESENTATION, undefined, [{ color: "#0000ff" }]],
  ])("is what is written: %s with %s, %j", async (target, prefer, body, rows) => {
    expect(await project.rows(target, { prefer, body })).toEqual(rows);
  });
});
