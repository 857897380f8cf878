import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";

const SCHEMA = `
  create sequence public.counter;
  create function public.count_up() returns bigint language sql as $$ select nextval('public.counter') $$;
  create function public.types(i int, b bool, d date, a text[], j jsonb) returns json immutable language sql as
    $$ select json_build_object('i', i, 'b', b, 'd', d, 'a', a, 'j', j) $$;
  create function public.tail(of text, variadic others text[]) returns text immutable language sql as
    $$ select array_to_string(others, of) $$;
  create function public.all_of(variadic list text[] default '{none}') returns text[] immutable language sql as $$ select list $$;
  create function public.fixed(c char, b bit) returns text immutable language sql as $$ select c || b::text $$;
  create function public."odd name"("a b" int, "ключ" text default 'x') returns text immutable language sql as $$ select "a b" || "ключ" $$;
  create function public.city_of(place public.places) returns text immutable language sql as $$ select place.city $$;
  create function public.takes(json) returns text immutable language sql as $$ select 'json ' || $1::text $$;
  create function public.takes(text) returns text immutable language sql as $$ select 'text ' || $1 $$;
  create function public.takes(xml) returns text immutable language sql as $$ select 'xml ' || $1::text $$;
  create function public.takes(bytea) returns text immutable language sql as $$ select 'bytes ' || encode($1, 'hex') $$;
  create function public.takes(a int) returns text immutable language sql as $$ select 'number ' || a $$;
  create function public.two_unnamed(int, int) returns int immutable language sql as $$ select $1 + $2 $$;
  create function public.one_out(out n int) immutable language sql as $$ select 1 $$;
  create function public.in_and_out(inout n int) immutable language sql as $$ select n + 1 $$;
  create function public.some_record() returns record immutable language sql as $$ select 1 as a, 'b'::text as b $$;
  create function public.some_records() returns setof record immutable language sql as $$ values (1, 'a'::text), (2, 'b') $$;
  create domain public.named_author as public.authors check ((value).name is not null);
  create function public.ada() returns public.named_author stable language sql as
    $$ select author::public.named_author from public.authors author where id = 1 $$;
  create function public.no_author() returns public.authors stable language sql as $$ select * from public.authors where false $$;
  create function public.of_a_trigger() returns trigger language plpgsql as $$ begin return null; end $$;
  create procedure public.by_call() language sql as $$ $$;
  create aggregate public.total(int) (sfunc = int4pl, stype = int);
  create function public.secret() returns int stable language sql as $$ select 1 $$;
  revoke execute on function public.secret from public, anon, authenticated;
`;

let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  project = await world.createProject({ settings: { txEnd: "rollback" }, sql: SCHEMA });
});
afterAll(() => world?.close());

const typed = (type: string) => ({ "content-type": type });
const FORM = typed("application/x-www-form-urlencoded");

describe("arguments in the query string", () => {
  test.each<[string, unknown]>([
    ["add_up?a=2&b=3", 5],
    ["add_up?a=2", 3], // the other has a default
    ["add_up?a=1&a=5", 6], // the last of a repeated one
    ["sum_of?numbers=1&numbers=2&numbers=3", 6], // unless it is variadic
    ["sum_of?numbers=7", 7],
    ["tail?of=-&others=a&others=b,c", "a-b,c"],
    ["all_of?list=a", ["a"]],
    ["all_of", ["none"]],
    ["length_of?list={1,2,3}", 3],
    ["shape?side=1", "square"],
    ["shape?width=1&height=2", "oblong"],
    ['types?i=1&b=t&d=20200102&a={x,y}&j={"k":[1]}', { i: 1, b: true, d: "2020-01-02", a: ["x", "y"], j: { k: [1] } }],
    ["fixed?c=abc&b=101", "abc101"],
    ["odd name?a+b=4&ключ=ы", "4ы"],
    ["city_of?place=(1,Oslo)", "Oslo"],
  ])("GET /rpc/%s", async (target, result) => {
    expect(await project.rows(`GET /rpc/${target}`)).toEqual(result);
  });
});

describe("arguments in the body", () => {
  test.each<[string, unknown, unknown]>([
    ["add_up", { a: 2, b: 3 }, 5],
    ["add_up", { a: 2 }, 3],
    ["add_up", [{ a: 2, b: 3 }, { a: 9 }], 5], // the first of a list
    ["add_up?columns=a", { a: 2, b: 3, other: 1 }, 3], // chosen keys
    ["sum_of", { numbers: [4, 5] }, 9],
    ["tail", { of: "-", others: ["a", "b"] }, "a-b"],
    ["all_of", {}, ["none"]],
    ["length_of", { list: [1, 2] }, 2],
    ["shape", { width: 1, height: 2 }, "oblong"],
    [
      "types",
      { i: 1, b: true, d: "2020-01-02", a: ["x", "y,z"], j: { k: [1] } },
      { i: 1, b: true, d: "2020-01-02", a: ["x", "y,z"], j: { k: [1] } },
    ],
    ["types", { i: null, b: null, d: null, a: null, j: null }, { i: null, b: null, d: null, a: null, j: null }],
    ["fixed", { c: "abc", b: "101" }, "abc101"],
    ["odd%20name", { "a b": 4, ключ: "ы" }, "4ы"],
    ["city_of", { place: { id: 1, city: "Oslo" } }, "Oslo"],
    ["three", undefined, [1, 2, 3]],
    ["three", {}, [1, 2, 3]],
  ])("POST /rpc/%s with %j", async (target, body, result) => {
    expect(await project.rows(`POST /rpc/${target}`, { body })).toEqual(result);
  });

  test("a form gives them as text, repeated ones to a variadic", async () => {
    expect(await project.rows("POST /rpc/add_up", { headers: FORM, body: "a=2&b=3" })).toBe(5);
    expect(await project.rows("POST /rpc/sum_of", { headers: FORM, body: "numbers=1&numbers=2" })).toBe(3);
  });

  test("are values, never SQL", async () => {
    const name = "'); drop table books; --";
    expect(await project.rows("POST /rpc/setting", { body: { name } })).toBe(null);
    expect(await project.rows(`GET /rpc/setting?name=${name}`)).toBe(null);
    expect(await project.rows("GET /books?select=id&id=eq.1")).toEqual([{ id: 1 }]);
  });
});

describe("a single parameter without a name takes the whole body", () => {
  test.each<[string, string, string | Buffer, string]>([
    ["JSON", "application/json", '[1, {"a":2}]', 'json [1, {"a":2}]'],
    ["text", "text/plain", "half an {", "text half an {"],
    ["XML", "text/xml", "<a>ы</a>", "xml <a>ы</a>"],
    ["bytes", "application/octet-stream", Buffer.from([0, 255, 10]), "bytes 00ff0a"],
  ])("%s", async (_, type, body, result) => {
    expect(await project.rows("POST /rpc/takes", { headers: typed(type), body })).toBe(result);
  });

  test("as jsonb too", async () => {
    expect(await project.rows("POST /rpc/take_json", { body: { a: [1] } })).toEqual({ took: { a: [1] } });
  });

  test("unless the keys of the body are the arguments of another", async () => {
    expect(await project.rows("POST /rpc/takes", { body: { a: 1 } })).toBe("number 1");
  });

  test.each([
    ["text/xml", "<a>", 400, "2200N"],
    ["application/json", "{", 400, "PGRST102"],
  ])("%s has to be well formed", async (type, body, status, code) => {
    expect(await project.call("POST /rpc/takes", { headers: typed(type), body })).toMatchObject({
      status,
      body: { code },
    });
  });

  test("is told of when there is none", async () => {
    for (const [type, name] of [
      ["text/plain", "text"],
      ["text/xml", "xml"],
      ["application/octet-stream", "bytea"],
    ]) {
      expect(await project.call("POST /rpc/add_up", { headers: typed(`${type}`), body: "x" })).toMatchObject({
        status: 404,
        body: {
          code: "PGRST202",
          message: "Could not find the function public.add_up in the schema cache",
          details: `Searched for the function public.add_up with a single unnamed ${name} parameter, but no matches were found in the schema cache.`,
        },
      });
    }
  });
});

describe("which function", () => {
  test("300 when names do not tell", async () => {
    expect(await project.call("GET /rpc/same?a=1")).toMatchObject({
      status: 300,
      body: {
        code: "PGRST203",
        message:
          "Could not choose the best candidate function between: public.same(a => integer), public.same(a => text)",
        hint: "Try renaming the parameters or the function itself in the database so function overloading can be resolved",
      },
    });
  });

  const searched = (parameters: string) =>
    `Searched for the function public.${parameters}, but no matches were found in the schema cache.`;

  test.each<[string, unknown, object]>([
    [
      "GET /rpc/add_up?a=1&c=2",
      undefined,
      {
        message: "Could not find the function public.add_up(a, c) in the schema cache",
        details: searched("add_up with parameters a, c"),
        hint: "Perhaps you meant to call the function public.add_up(a, b)",
      },
    ],
    ["GET /rpc/add_up?b=1", undefined, { details: searched("add_up with parameter b") }], // a is required
    [
      "POST /rpc/add_up",
      { d: 1, c: 2 },
      { details: searched("add_up with parameters c, d or with a single unnamed json/jsonb parameter") },
    ],
    [
      "POST /rpc/zzzzqqq",
      undefined,
      { message: "Could not find the function public.zzzzqqq without parameters in the schema cache", hint: null },
    ],
    ["GET /rpc/total", undefined, { details: searched("total without parameters") }],
    ["GET /rpc/thre", undefined, { hint: "Perhaps you meant to call the function public.three" }],
    ["GET /rpc/take_json", undefined, {}], // it takes a body
    ["GET /rpc/two_unnamed", undefined, {}],
    ["GET /rpc/of_a_trigger", undefined, {}],
    ["POST /rpc/by_call", undefined, {}],
    ["POST /rpc/total", { a: 1 }, {}],
  ])("404 when none fits: %s %j", async (target, body, error) => {
    expect(await project.call(target, { body })).toMatchObject({ status: 404, body: { code: "PGRST202", ...error } });
  });

  test.each(["PATCH", "PUT", "DELETE"])("405 for %s", async (method) => {
    expect(await project.call(`${method} /rpc/add_up`, { body: { a: 1 } })).toMatchObject({
      status: 405,
      body: { code: "PGRST101", message: `Cannot use the ${method} method on RPC` },
    });
  });

  test("by those who may", async () => {
    expect(await project.call("GET /rpc/secret")).toMatchObject({ status: 401, body: { code: "42501" } });
    expect((await project.call("GET /rpc/secret", { role: "authenticated" })).status).toBe(403);
    expect(await project.rows("GET /rpc/secret", { role: "service_role" })).toBe(1);
  });
});

describe("results", () => {
  test.each<[string, unknown, string]>([
    ["no_value", null, "0-0/1"],
    ["add_up?a=1", 2, "0-0/1"],
    ["three", [1, 2, 3], "0-2/3"],
    ["three?limit=1&offset=1", [2], "1-1/3"],
    ["pair", { x: 1, y: "one" }, "0-0/1"],
    ["one_out", { n: 1 }, "0-0/1"],
    ["in_and_out?n=1", { n: 2 }, "0-0/1"],
    [
      "totals",
      [
        { kind: "a", n: 1 },
        { kind: "b", n: 2 },
      ],
      "0-1/2",
    ],
    ["totals?n=gt.1&select=kind", [{ kind: "b" }], "0-0/1"],
    ["one_book?select=id,title,authors(name)", { id: 1, title: "Engines", authors: { name: "Ada" } }, "0-0/1"],
    ["ada?select=name,books(id)&books.order=id", { name: "Ada", books: [{ id: 1 }, { id: 2 }] }, "0-0/1"],
    ["some_record", { a: 1, b: "b" }, "0-0/1"],
    ["length_of?list={1,2}", 2, "0-0/1"],
  ])("of /rpc/%s", async (target, result, range) => {
    const answer = await project.call(`GET /rpc/${target}`, { prefer: "count=exact" });
    expect(answer.headers).toMatchObject({
      "content-type": "application/json; charset=utf-8",
      "content-range": range,
    });
    expect(JSON.parse(answer.text)).toEqual(result);
  });

  test("void is 204 without a body", async () => {
    const answer = await project.call("POST /rpc/nothing");
    expect(answer).toMatchObject({ status: 204, text: "" });
    expect(answer.headers).not.toHaveProperty("content-type");
  });

  test("sets of rows are filtered, shaped, sorted, paged and counted like their table", async () => {
    const target = "/rpc/books_of?author=1&select=title,authors(name)&id=gt.0&order=id.desc&limit=1";
    for (const [request, body] of [
      [`GET ${target}`, undefined],
      [`POST ${target.replace("author=1&", "")}`, { author: 1 }],
    ] as const) {
      expect(await project.call(request, { prefer: "count=exact", body })).toMatchObject({
        status: 206,
        body: [{ title: "Looms", authors: { name: "Ada" } }],
        headers: { "content-range": "0-0/2" },
      });
    }
  });

  test.each([
    ["GET /rpc/books_of?author=1&limit=1", undefined],
    ["POST /rpc/books_of?limit=1&title=not.eq.x", { author: 1 }],
    ["GET /rpc/add_up?a=1", undefined],
  ])("rows can be estimated, with the call's arguments: %s", async (target, body) => {
    const answer = await project.call(target, { body, prefer: "count=planned" });
    expect(answer.status).toBeLessThan(300);
    expect(answer.headers["content-range"]).toMatch(/^0-0\/\d+$/);
    expect(answer.headers["preference-applied"]).toBe("count=planned");
  });

  test("an argument and a filter may have one name", async () => {
    await project.sql(
      "create or replace function pages_above(pages int) returns setof books stable language sql as $$ select * from books b where b.pages > pages_above.pages $$",
    );
    await expect.poll(async () => (await project.call("GET /rpc/pages_above?pages=1")).status).toBe(200);
    expect(await project.rows("GET /rpc/pages_above?pages=60&pages=lt.200&select=id")).toEqual([{ id: 1 }]);
  });

  test("HEAD has the headers alone", async () => {
    expect(await project.call("HEAD /rpc/three?limit=2", { prefer: "count=exact" })).toMatchObject({
      status: 206,
      text: "",
      headers: { "content-range": "0-1/3" },
    });
  });
});

describe("execution", () => {
  test("once per request, counted or not, and not at all by GET when it would write", async () => {
    const first = await project.rows("POST /rpc/count_up");
    expect(await project.rows("POST /rpc/count_up", { prefer: "count=exact" })).toBe(first + 1);
    for (const method of ["GET", "HEAD"]) {
      expect((await project.call(`${method} /rpc/count_up`)).status).toBe(405);
    }
    expect(await project.call("GET /rpc/write_note")).toMatchObject({ status: 405, body: { code: "25006" } });
    expect(await project.rows("POST /rpc/count_up")).toBe(first + 2);
    expect(await project.rows("POST /rpc/write_note")).toBe(1);
  });

  test("max-affected is for sets, and undoes", async () => {
    const prefer = "handling=strict, max-affected=1";
    const settings = { txEnd: "commit" } as const;
    expect(await project.call("POST /rpc/drop_items", { prefer, settings })).toMatchObject({
      status: 400,
      body: { code: "PGRST124", details: "The query affects 3 rows" },
    });
    expect(await project.rows("GET /items?select=count()", { settings: { aggregatesEnabled: true } })).toEqual([
      { count: 3 },
    ]);
    expect(await project.call("POST /rpc/add_up", { prefer, body: { a: 1 } })).toMatchObject({
      status: 400,
      body: {
        code: "PGRST128",
        message: "Function must return SETOF or TABLE when max-affected preference is used with handling=strict",
      },
    });
    expect((await project.call("POST /rpc/drop_items", { prefer: "max-affected=1" })).status).toBe(200);
  });
});

describe("the response as SQL wants it", () => {
  const respond = (name: string, value: string) => project.call("POST /rpc/bad_guc", { body: { name, value } });

  test("with its status and headers, repeated ones as well", async () => {
    expect(await project.call("POST /rpc/teapot")).toMatchObject({
      status: 418,
      body: "short and stout",
      headers: { "x-tea": "green", "set-cookie": "a=1, b=2" },
    });
  });

  test("its headers replace the server's own, but not those that frame the body", async () => {
    const set = '[{"content-type": "x/y"}, {"Content-Length": "999"}, {"Vary": "X"}]';
    await project.sql(
      `create or replace function shaped(headers text) returns int volatile language plpgsql as
       $$ begin perform set_config('response.headers', headers, true); return 1; end $$`,
    );
    await expect.poll(async () => (await project.call("OPTIONS /rpc/shaped")).status).toBe(200);
    const answer = await project.call("POST /rpc/shaped", { body: { headers: set } });
    expect(answer).toMatchObject({ status: 200, text: "1", headers: { "content-type": "x/y", vary: "X" } });
    expect(answer.headers).not.toHaveProperty("content-length");
  });

  test.each([
    "nonsense",
    '{"a": "b"}',
    '[{"a": 1}]',
    '[{"a": "b", "c": "d"}]',
    "[{}]",
    '[{"X-A": "b\\r\\nX-B: c"}]',
    '[{"X A": "b"}]',
  ])("500 for the headers %s", async (headers) => {
    expect(await respond("response.headers", headers)).toMatchObject({
      status: 500,
      body: {
        code: "PGRST111",
        message: "response.headers guc must be a JSON array composed of objects with a single key and a string value",
      },
    });
  });

  test.each(["x", "99", "1000", "200 OK"])("500 for the status %s", async (status) => {
    expect(await respond("response.status", status)).toMatchObject({
      status: 500,
      body: { code: "PGRST112", message: "response.status guc must be a valid status code" },
    });
  });
});
