import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";

let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  project = await world.createProject({ settings: { txEnd: "rollback" } });
});
afterAll(() => world?.close());

describe("arguments", () => {
  test("by name in the body or the query, defaults left out", async () => {
    expect(await project.rows("POST /rpc/add_up", { body: { a: 2, b: 3 } })).toBe(5);
    expect(await project.rows("POST /rpc/add_up", { body: { a: 2 } })).toBe(3);
    expect(await project.rows("GET /rpc/add_up?a=2&b=3")).toBe(5);
    expect(await project.rows("GET /rpc/add_up?a=2")).toBe(3);
  });

  test("the first object of a list, and chosen keys", async () => {
    expect(await project.rows("POST /rpc/add_up", { body: [{ a: 2, b: 3 }, { a: 9 }] })).toBe(5);
    expect(await project.rows("POST /rpc/add_up?columns=a", { body: { a: 2, b: 3, other: 1 } })).toBe(3);
  });

  test("a form", async () => {
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    expect(await project.rows("POST /rpc/add_up", { headers, body: "a=2&b=3" })).toBe(5);
  });

  test("repeated ones: the last wins, unless variadic", async () => {
    expect(await project.rows("GET /rpc/add_up?a=1&a=5")).toBe(6);
    expect(await project.rows("GET /rpc/sum_of?numbers=1&numbers=2&numbers=3")).toBe(6);
    expect(await project.rows("POST /rpc/sum_of", { body: { numbers: [4, 5] } })).toBe(9);
  });

  test("arrays as a literal or as JSON", async () => {
    expect(await project.rows("GET /rpc/length_of?list={1,2,3}")).toBe(3);
    expect(await project.rows("POST /rpc/length_of", { body: { list: [1, 2] } })).toBe(2);
  });

  test("one unnamed parameter takes the whole body", async () => {
    expect(await project.rows("POST /rpc/take_json", { body: { a: [1] } })).toEqual({ took: { a: [1] } });
    const text = await project.call("POST /rpc/take_text", {
      headers: { "content-type": "text/plain" },
      body: "hello",
    });
    expect(text.body).toBe("HELLO");
    const bytes = await project.call("POST /rpc/take_bytes", {
      headers: { "content-type": "application/octet-stream" },
      body: Buffer.from([0, 255, 1]),
    });
    expect(bytes.body).toBe(3);
  });
});

describe("which function", () => {
  test("is told by the names of the arguments", async () => {
    expect(await project.rows("GET /rpc/shape?side=1")).toBe("square");
    expect(await project.rows("POST /rpc/shape", { body: { width: 1, height: 2 } })).toBe("oblong");
  });

  test("300 when the names do not tell", async () => {
    const { status, body } = await project.call("GET /rpc/same?a=1");
    expect(status).toBe(300);
    expect(body).toMatchObject({
      code: "PGRST203",
      hint: "Try renaming the parameters or the function itself in the database so function overloading can be resolved",
    });
    expect(body.message).toMatch(/^Could not choose the best candidate function between: /);
    expect(body.message).toContain("public.same(a => integer)");
    expect(body.message).toContain("public.same(a => text)");
  });

  test("404 when none fits", async () => {
    expect(await project.call("GET /rpc/add_up?a=1&c=2")).toMatchObject({
      status: 404,
      body: {
        code: "PGRST202",
        message: "Could not find the function public.add_up(a, c) in the schema cache",
        details:
          "Searched for the function public.add_up with parameters a, c, but no matches were found in the schema cache.",
        hint: "Perhaps you meant to call the function public.add_up(a, b)",
      },
    });
    expect(await project.call("POST /rpc/zzzzqqq")).toMatchObject({
      status: 404,
      body: {
        code: "PGRST202",
        message: "Could not find the function public.zzzzqqq without parameters in the schema cache",
        hint: null,
      },
    });
  });

  test("only GET, HEAD and POST, and no writing by GET", async () => {
    expect(await project.call("PATCH /rpc/add_up", { body: { a: 1 } })).toMatchObject({
      status: 405,
      body: { code: "PGRST101", message: "Cannot use the PATCH method on RPC" },
    });
    expect(await project.call("GET /rpc/write_note")).toMatchObject({ status: 405, body: { code: "25006" } });
    expect(await project.rows("POST /rpc/write_note")).toBe(1);
  });
});

describe("results", () => {
  test.each([
    ["GET /rpc/no_value", null],
    ["GET /rpc/three", [1, 2, 3]],
    ["GET /rpc/pair", { x: 1, y: "one" }],
    [
      "GET /rpc/totals",
      [
        { kind: "a", n: 1 },
        { kind: "b", n: 2 },
      ],
    ],
    ["GET /rpc/totals?n=gt.1&select=kind", [{ kind: "b" }]],
    ["GET /rpc/one_book?select=id,title", { id: 1, title: "Engines" }],
  ])("%s", async (target, body) => {
    const answer = await project.call(target);
    expect(answer).toMatchObject({ status: 200, headers: { "content-type": "application/json; charset=utf-8" } });
    expect(JSON.parse(answer.text)).toEqual(body);
  });

  test("void is 204 without a body", async () => {
    const answer = await project.call("POST /rpc/nothing");
    expect(answer).toMatchObject({ status: 204, text: "" });
    expect(answer.headers).not.toHaveProperty("content-type");
  });

  test("sets of rows embed, filter, sort, page and count like their table", async () => {
    const answer = await project.call(
      "GET /rpc/books_of?author=1&select=id,authors(name)&id=gt.0&order=id.desc&limit=1",
      { prefer: "count=exact" },
    );
    expect(answer).toMatchObject({
      status: 206,
      body: [{ id: 2, authors: { name: "Ada" } }],
      headers: { "content-range": "0-0/2" },
    });
    const posted = await project.rows("POST /rpc/books_of?select=title&pages=gt.60", { body: { author: 1 } });
    expect(posted).toEqual([{ title: "Engines" }]);
  });

  test("scalars count as one row", async () => {
    const answer = await project.call("GET /rpc/add_up?a=1", { prefer: "count=exact" });
    expect(answer.headers["content-range"]).toBe("0-0/1");
  });

  test("HEAD has no body", async () => {
    expect(await project.call("HEAD /rpc/three")).toMatchObject({ status: 200, text: "" });
  });

  test("max-affected is for sets", async () => {
    const prefer = "handling=strict, max-affected=1";
    expect(await project.call("POST /rpc/drop_items", { prefer })).toMatchObject({
      status: 400,
      body: { code: "PGRST124", details: "The query affects 3 rows" },
    });
    expect(await project.call("POST /rpc/add_up", { prefer, body: { a: 1 } })).toMatchObject({
      status: 400,
      body: {
        code: "PGRST128",
        message: "Function must return SETOF or TABLE when max-affected preference is used with handling=strict",
      },
    });
  });
});

describe("responses that SQL shapes", () => {
  test("status and headers", async () => {
    const answer = await project.call("POST /rpc/teapot");
    expect(answer).toMatchObject({
      status: 418,
      body: "short and stout",
      headers: { "x-tea": "green", "set-cookie": "a=1, b=2" },
    });
  });

  test("that are not well formed are 500", async () => {
    expect(
      await project.call("POST /rpc/bad_guc", { body: { name: "response.headers", value: '{"a": "b"}' } }),
    ).toMatchObject({
      status: 500,
      body: {
        code: "PGRST111",
        message: "response.headers guc must be a JSON array composed of objects with a single key and a string value",
      },
    });
    expect(await project.call("POST /rpc/bad_guc", { body: { name: "response.status", value: "x" } })).toMatchObject({
      status: 500,
      body: { code: "PGRST112", message: "response.status guc must be a valid status code" },
    });
  });

  test("the pre-request function comes first and may refuse", async () => {
    project.configure({ preRequest: "public.no_deletes" });
    try {
      expect(await project.rows("GET /rpc/setting?name=app.checked")).toBe("yes");
      expect(await project.call("DELETE /keyless")).toMatchObject({ status: 423, body: { message: "locked" } });
    } finally {
      project.configure({ preRequest: null });
    }
  });
});

test("SQL sees the request", async () => {
  const setting = async (name: string) =>
    project.rows(`GET /rpc/setting?name=${name}`, {
      role: "authenticated",
      claims: { sub: "u1" },
      headers: { "x-own": "1", cookie: "a=1; b=2" },
    });
  expect(await setting("request.method")).toBe("GET");
  expect(await setting("request.path")).toBe("/rpc/setting");
  expect(await setting("role")).toBe("authenticated");
  expect(JSON.parse(await setting("request.jwt.claims"))).toEqual({ role: "authenticated", sub: "u1" });
  expect(JSON.parse(await setting("request.headers"))).toMatchObject({ "x-own": "1" });
  expect(JSON.parse(await setting("request.cookies"))).toEqual({ a: "1", b: "2" });
});
