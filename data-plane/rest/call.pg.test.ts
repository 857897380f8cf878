import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createTestProjectDatabase } from "../../test/harness/project-database.ts";
import { createTestWorld, type TestWorld } from "./testing/world.ts";

const SCHEMA = `
  create table public.notes (id int primary key, body text, rank int);
  insert into public.notes values (1, 'one', 3), (2, 'two', 2), (3, 'three', 1);
  grant select on public.notes to anon;
  create sequence public.counter;
  grant usage on sequence public.counter to anon;

  create function public.hello(name text) returns text language sql immutable as $$ select 'Hello, ' || name $$;
  create function public.add(a int, b int default 10) returns int language sql immutable as $$ select a + b $$;
  create function public.count_up() returns bigint language sql as $$ select nextval('public.counter') $$;
  create function public.nothing() returns void language sql as $$ select $$;
  create function public.null_int() returns int language sql stable as $$ select null::int $$;
  create function public.numbers(variadic v int[]) returns int[] language sql immutable as $$ select v $$;
  create function public.three() returns setof int language sql stable as $$ select generate_series(1, 3) $$;
  create function public.pair(out x int, out y text) language sql stable as $$ select 1, 'a' $$;
  create function public.single(inout n int) language sql stable as $$ select n + 1 $$;
  create function public.grid(n int) returns table (i int, sq int) language sql stable as $$ select i, i * i from generate_series(1, n) i $$;
  create function public.some_record() returns record language sql stable as $$ select 1 as a, 'b'::text as b $$;
  create function public.notes_above(rank int) returns setof public.notes language sql stable as $$ select * from public.notes n where n.rank > notes_above.rank $$;
  create function public.first_note() returns public.notes language sql stable as $$ select * from public.notes order by id limit 1 $$;
  create function public.over(a int) returns text language sql stable as $$ select 'int' $$;
  create function public.over(a int, b int) returns text language sql stable as $$ select 'two' $$;
  create function public.same(a int) returns text language sql stable as $$ select 'int' $$;
  create function public.same(a text) returns text language sql stable as $$ select 'text' $$;
  create function public.whole(json) returns json language sql stable as $$ select $1 $$;
  create function public.raw_text(text) returns text language sql stable as $$ select upper($1) $$;
  create function public.raw_bytes(bytea) returns int language sql stable as $$ select length($1) $$;
  create function public.trigger_function() returns trigger language plpgsql as $$ begin return null; end $$;
  create function public.fixed(c char) returns text language sql stable as $$ select c::text $$;
  create function public.types(i int, b bool, d date, a text[], j jsonb) returns json language sql stable as
    $$ select json_build_object('i', i, 'b', b, 'd', d, 'a', a, 'j', j) $$;
  create function public."odd name"("a b" int) returns int language sql stable as $$ select "a b" $$;
  create function public.secret() returns int language sql stable as $$ select 1 $$;
  revoke execute on function public.secret from public, anon, authenticated;
  create function public.fail(kind text) returns void language plpgsql as $$
    begin
      if kind = 'plain' then raise exception 'refused' using detail = 'd', hint = 'h'; end if;
      if kind = 'status' then raise sqlstate 'PT402' using message = 'Payment Required'; end if;
      if kind = 'whole' then raise sqlstate 'PGRST' using
        message = '{"code":"X1","message":"mine"}', detail = '{"status":418,"headers":{"X-Pot":"tea"}}'; end if;
    end $$;
  create function public.respond(headers text, status text) returns int language plpgsql stable as $$
    begin
      perform set_config('response.headers', headers, true), set_config('response.status', status, true);
      return 1;
    end $$;
  create function public.slow() returns text language sql stable set statement_timeout = '1s' as $$ select current_setting('statement_timeout') $$;
`;

let world: TestWorld;
beforeAll(async () => {
  world = await createTestWorld(await createTestProjectDatabase(inject("clusterUrl")), SCHEMA);
});
afterAll(() => world?.close());

const post = (target: string, body?: unknown, headers = {}) => world.call("POST", target, { body, headers });

describe("results", () => {
  test.each<[string, unknown, unknown]>([
    ["hello", { name: "wörld" }, "Hello, wörld"],
    ["null_int", undefined, null],
    ["three", undefined, [1, 2, 3]],
    ["pair", undefined, { x: 1, y: "a" }],
    ["single", { n: 1 }, { n: 2 }],
    [
      "grid",
      { n: 2 },
      [
        { i: 1, sq: 1 },
        { i: 2, sq: 4 },
      ],
    ],
    ["some_record", undefined, { a: 1, b: "b" }],
    ["first_note", undefined, { id: 1, body: "one", rank: 3 }],
    ["numbers", { v: [1, 2] }, [1, 2]],
    ["fixed", { c: "abc" }, "abc"],
    [
      "types",
      { i: 1, b: true, d: "2020-01-02", a: ["x", "y,z"], j: { k: [1] } },
      { i: 1, b: true, d: "2020-01-02", a: ["x", "y,z"], j: { k: [1] } },
    ],
  ])("%s", async (name, body, result) => {
    expect(await post(`/rpc/${name}`, body)).toMatchObject({ status: 200, json: result });
  });

  test("nothing is 204", async () => {
    const response = await post("/rpc/nothing");
    expect([response.status, response.text, response.headers["content-type"]]).toEqual([204, "", undefined]);
  });

  test("rows are filtered, shaped, sorted, paged and counted like a table's", async () => {
    const response = await world.call("GET", "/rpc/notes_above?rank=0&rank=gt.1&select=body&order=id.desc&limit=1", {
      headers: { prefer: "count=exact" },
    });
    expect(response).toMatchObject({ status: 206, json: [{ body: "two" }], headers: { "content-range": "0-0/2" } });
    expect((await world.call("HEAD", "/rpc/three?limit=2")).headers["content-range"]).toBe("0-1/*");
    expect((await post("/rpc/three?limit=1&offset=1", {})).json).toEqual([2]);
  });
});

describe("arguments", () => {
  test.each<[string, unknown]>([
    ["/rpc/add?a=1", 11],
    ["/rpc/add?a=1&b=2", 3],
    ["/rpc/add?a=1&a=5", 15],
    ["/rpc/numbers?v=1&v=2", [1, 2]],
    ["/rpc/over?a=1", "int"],
    ["/rpc/over?a=1&b=2", "two"],
    ["/rpc/types?i=1&b=t&d=20200102&a={x,y}&j={}", { i: 1, b: true, d: "2020-01-02", a: ["x", "y"], j: {} }],
    ["/rpc/odd%20name?a+b=4", 4],
  ])("%s", async (target, result) => {
    expect(await world.call("GET", target)).toMatchObject({ status: 200, json: result });
  });

  test("of a form, of the first of a list, of chosen keys", async () => {
    const form = { "content-type": "application/x-www-form-urlencoded" };
    expect((await post("/rpc/numbers", "v=1&v=2", form)).json).toEqual([1, 2]);
    expect(
      (
        await post("/rpc/add", [
          { a: 1, b: 1 },
          { a: 5, b: 5 },
        ])
      ).json,
    ).toBe(2);
    expect((await post("/rpc/add?columns=a", { a: 1, b: 1 })).json).toBe(11);
  });

  test("a single unnamed parameter takes the body whole", async () => {
    expect((await post("/rpc/whole", '[1, {"a":2}]')).text).toBe('[1, {"a":2}]');
    expect((await post("/rpc/raw_text", "abc", { "content-type": "text/plain" })).json).toBe("ABC");
    expect(
      (await post("/rpc/raw_bytes", Buffer.from([0, 255, 10]), { "content-type": "application/octet-stream" })).json,
    ).toBe(3);
  });

  test("an argument is a value, not SQL", async () => {
    const name = `'); drop table public.notes; --`;
    expect((await world.call("GET", `/rpc/hello?name=${encodeURIComponent(name)}`)).json).toBe(`Hello, ${name}`);
    expect((await post("/rpc/hello", { name })).json).toBe(`Hello, ${name}`);
  });
});

describe("which function", () => {
  test.each<[string, string, unknown, Record<string, unknown>]>([
    [
      "GET",
      "/rpc/helo",
      undefined,
      {
        code: "PGRST202",
        message: "Could not find the function public.helo without parameters in the schema cache",
        hint: "Perhaps you meant to call the function public.hello",
      },
    ],
    [
      "GET",
      "/rpc/hello?nam=x",
      undefined,
      {
        code: "PGRST202",
        details:
          "Searched for the function public.hello with parameter nam, but no matches were found in the schema cache.",
        hint: "Perhaps you meant to call the function public.hello(name)",
      },
    ],
    [
      "POST",
      "/rpc/hello",
      { b: 1, a: 2 },
      {
        code: "PGRST202",
        details:
          "Searched for the function public.hello with parameters a, b or with a single unnamed json/jsonb parameter, but no matches were found in the schema cache.",
      },
    ],
    ["GET", "/rpc/trigger_function", undefined, { code: "PGRST202" }],
    ["GET", "/rpc/whole", undefined, { code: "PGRST202" }],
  ])("%s %s", async (method, target, body, error) => {
    expect(await world.call(method, target, { body })).toMatchObject({ status: 404, json: error });
  });

  test("two that differ in types only cannot be told apart", async () => {
    expect(await world.call("GET", "/rpc/same?a=1")).toMatchObject({
      status: 300,
      json: {
        code: "PGRST203",
        message:
          "Could not choose the best candidate function between: public.same(a => integer), public.same(a => text)",
      },
    });
  });

  test("the verbs of a function", async () => {
    expect(await world.call("DELETE", "/rpc/hello")).toMatchObject({ status: 405, json: { code: "PGRST101" } });
    expect((await world.call("OPTIONS", "/rpc/hello")).headers.allow).toBe("OPTIONS,GET,HEAD,POST");
    expect((await world.call("OPTIONS", "/rpc/count_up")).headers.allow).toBe("OPTIONS,POST");
  });
});

describe("execution", () => {
  test("once per request, and not at all by GET when it would write", async () => {
    const first = (await post("/rpc/count_up")).json as number;
    expect((await post("/rpc/count_up", {}, { prefer: "count=exact" })).json).toBe(first + 1);
    expect(await world.call("GET", "/rpc/count_up")).toMatchObject({ status: 405, json: { code: "25006" } });
    expect((await post("/rpc/count_up")).json).toBe(first + 2);
  });

  test("by those who may", async () => {
    expect(await world.call("GET", "/rpc/secret")).toMatchObject({ status: 401, json: { code: "42501" } });
    expect((await world.call("GET", "/rpc/secret", { claims: { role: "authenticated" } })).status).toBe(403);
    expect((await world.call("GET", "/rpc/secret", { claims: { role: "service_role" } })).status).toBe(200);
  });

  test("errors raised are the response", async () => {
    expect(await post("/rpc/fail", { kind: "plain" })).toMatchObject({
      status: 400,
      json: { code: "P0001", message: "refused", details: "d", hint: "h" },
      headers: { "proxy-status": "PostgREST; error=P0001" },
    });
    expect((await post("/rpc/fail", { kind: "status" })).status).toBe(402);
    expect(await post("/rpc/fail", { kind: "whole" })).toMatchObject({
      status: 418,
      json: { code: "X1" },
      headers: { "x-pot": "tea" },
    });
  });

  test("SQL sets headers and the status, but nothing that breaks framing", async () => {
    const respond = (headers: string, status: string | null) => post("/rpc/respond", { headers, status });
    expect(await respond('[{"X-A":"1"},{"Content-Type":"x/y"},{"Content-Length":"999"}]', "202")).toMatchObject({
      status: 202,
      headers: { "x-a": "1", "content-type": "x/y" },
      text: "1",
    });
    for (const bad of ["nonsense", '{"a":"b"}', '[{"a":1}]', '[{"a":"b","c":"d"}]', '[{"X-A":"b\\r\\nX-B: c"}]']) {
      expect(await respond(bad, null)).toMatchObject({ status: 500, json: { code: "PGRST111" } });
    }
    expect(await respond("[]", "many")).toMatchObject({ status: 500, json: { code: "PGRST112" } });
  });

  test("a function's settings hold for the whole transaction where that is allowed", async () => {
    const response = await world.call("GET", "/rpc/slow", { settings: { hoistedTxSettings: ["statement_timeout"] } });
    expect(response.json).toBe("1s");
  });

  test("max-affected is for functions that return sets", async () => {
    const strict = { prefer: "handling=strict, max-affected=1" };
    expect(await post("/rpc/three", {}, strict)).toMatchObject({
      status: 400,
      json: { code: "PGRST124", details: "The query affects 3 rows" },
    });
    expect(await post("/rpc/hello", { name: "x" }, strict)).toMatchObject({ status: 400, json: { code: "PGRST128" } });
  });
});
