import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createTestProjectDatabase } from "../../test/harness/project-database.ts";
import { createTestWorld, type TestWorld } from "./testing/world.ts";

const SCHEMA = `
  create table public.shapes (id int primary key, name text, note text);
  insert into public.shapes values (1, 'circle', null), (2, 'a "b", c', 'x');
  create domain "text/plain" as text;
  create domain "application/x-rows" as bytea;
  create domain "text/x-any" as text;
  create domain "*/*" as text;
  create function public.add_row(state "application/x-rows", shape public.shapes) returns "application/x-rows"
    language sql immutable as $$ select (state || convert_to(shape.id || ';', 'UTF8'))::"application/x-rows" $$;
  create aggregate public.rows_of_shapes(public.shapes) (initcond = '', stype = "application/x-rows", sfunc = public.add_row);
  create function public.add_any(state "text/x-any", item anyelement) returns "text/x-any"
    language sql immutable as $$ select (state || item::text || E'\\n')::"text/x-any" $$;
  create aggregate public.any_rows(anyelement) (initcond = '', stype = "text/x-any", sfunc = public.add_any);
  create function public.plain() returns "text/plain" language sql stable as $$ select 'just text'::"text/plain" $$;
  create function public.whatever() returns "*/*" language plpgsql stable as $$
    begin
      perform set_config('response.headers', '[{"Content-Type":"app/mine"}]', true);
      return 'anything';
    end $$;
  create function public.all_shapes() returns setof public.shapes language sql stable as $$ select * from public.shapes $$;

  create domain public.color as int;
  create function public.color_to_json(public.color) returns json language sql immutable as $$ select to_json('#' || lpad(to_hex($1), 6, '0')) $$;
  create function public.color_from_text(text) returns public.color language sql immutable as
    $$ select ('x' || lpad(ltrim($1, '#'), 8, '0'))::bit(32)::int::public.color $$;
  create function public.color_from_json(json) returns public.color language sql immutable as $$ select public.color_from_text($1 #>> '{}') $$;
  create cast (public.color as json) with function public.color_to_json(public.color) as implicit;
  create cast (json as public.color) with function public.color_from_json(json) as implicit;
  create cast (text as public.color) with function public.color_from_text(text) as implicit;
  create table public.paints (id int primary key, color public.color);
  grant select, insert, update on all tables in schema public to anon;
`;

let world: TestWorld;
beforeAll(async () => {
  world = await createTestWorld(await createTestProjectDatabase(inject("clusterUrl")), SCHEMA, { planEnabled: true });
});
afterAll(() => world?.close());

const accept = (type: string, target = "/shapes?order=id") => world.call("GET", target, { headers: { accept: type } });

test.each<[string, string, string]>([
  [
    "application/json",
    "application/json; charset=utf-8",
    '[{"id":1,"name":"circle","note":null}, \n {"id":2,"name":"a \\"b\\", c","note":"x"}]',
  ],
  ["text/csv", "text/csv; charset=utf-8", 'id,name,note\n1,circle,\n2,"a ""b"", c",x'],
  [
    "application/vnd.pgrst.array+json;nulls=stripped",
    "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8",
    '[{"id":1,"name":"circle"},{"id":2,"name":"a \\"b\\", c","note":"x"}]',
  ],
  ["application/x-rows", "application/x-rows", "1;2;"],
  ["text/x-any", "text/x-any", '(1,circle,)\n(2,"a ""b"", c",x)\n'],
  [
    "x/y, text/csv;q=0.5, application/json;q=0.9",
    "application/json; charset=utf-8",
    '[{"id":1,"name":"circle","note":null}, \n {"id":2,"name":"a \\"b\\", c","note":"x"}]',
  ],
])("%s", async (type, contentType, text) => {
  const response = await accept(type);
  expect([response.status, response.headers["content-type"], response.text]).toEqual([200, contentType, text]);
});

test("one object, or none of it", async () => {
  expect(await accept("application/vnd.pgrst.object", "/shapes?id=eq.1")).toMatchObject({
    status: 200,
    json: { id: 1, name: "circle", note: null },
    headers: { "content-type": "application/vnd.pgrst.object+json; charset=utf-8" },
  });
  expect(await accept("application/vnd.pgrst.object;nulls=stripped", "/shapes?id=eq.1")).toMatchObject({
    text: '{"id":1,"name":"circle"}',
  });
  expect(await accept("application/vnd.pgrst.object")).toMatchObject({
    status: 406,
    json: { code: "PGRST116", details: "The result contains 2 rows" },
  });
});

test("what nobody can make is refused by name", async () => {
  expect(await accept("x/y, a/b")).toMatchObject({
    status: 406,
    json: { code: "PGRST107", message: "None of these media types are available: x/y, a/b" },
  });
});

test("a handler of a row type needs whole rows, one of any rows takes what is selected", async () => {
  expect((await accept("application/x-rows", "/shapes?select=id")).status).toBe(406);
  expect((await accept("text/x-any", "/shapes?select=id&order=id")).text).toBe("(1)\n(2)\n");
  expect((await accept("application/x-rows", "/rpc/all_shapes")).text).toBe("1;2;");
});

test("a function serves the type it returns", async () => {
  expect(await accept("text/plain", "/rpc/plain")).toMatchObject({
    text: "just text",
    headers: { "content-type": "text/plain; charset=utf-8" },
  });
  expect(await accept("what/ever", "/rpc/whatever")).toMatchObject({
    text: "anything",
    headers: { "content-type": "app/mine" },
  });
});

test("plans, when they are enabled", async () => {
  const plan = await accept('application/vnd.pgrst.plan+json; for="text/csv"; options=verbose', "/shapes");
  expect(plan.headers["content-type"]).toBe(
    'application/vnd.pgrst.plan+json; for="text/csv"; options=verbose; charset=utf-8',
  );
  expect(plan.json).toMatchObject([{ Plan: {} }]);
  expect((await accept("application/vnd.pgrst.plan", "/shapes?id=eq.1")).text).toContain("Aggregate");
  const disabled = await world.call("GET", "/shapes", {
    headers: { accept: "application/vnd.pgrst.plan" },
    settings: { planEnabled: false },
  });
  expect(disabled.status).toBe(406);
});

test("a plan does not run what it explains", async () => {
  const headers = { accept: "application/vnd.pgrst.plan", prefer: "return=representation" };
  expect((await world.call("POST", "/shapes", { headers, body: { id: 9 } })).status).toBe(200);
  expect((await accept("application/json", "/shapes?id=eq.9")).json).toEqual([]);
});

describe("representations of a domain", () => {
  test("format what is read and parse what is written and compared", async () => {
    const headers = { prefer: "return=representation" };
    const inserted = await world.call("POST", "/paints", {
      headers,
      body: [
        { id: 1, color: "#0000ff" },
        { id: 2, color: "#00ff00" },
      ],
    });
    expect(inserted.json).toEqual([
      { id: 1, color: "#0000ff" },
      { id: 2, color: "#00ff00" },
    ]);
    expect((await accept("*/*", "/paints?color=eq.0000ff")).json).toEqual([{ id: 1, color: "#0000ff" }]);
    expect((await accept("*/*", "/paints?color=in.(0000ff,00ff00)&select=id&order=id")).json).toEqual([
      { id: 1 },
      { id: 2 },
    ]);
    const updated = await world.call("PATCH", "/paints?id=eq.1&select=color", { headers, body: { color: "#ff0000" } });
    expect(updated.json).toEqual([{ color: "#ff0000" }]);
  });
});
