import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";

let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  project = await world.createProject();
});
afterAll(() => world?.close());

describe("what is not there", () => {
  test("a relation, with the nearest name of the exposed schema", async () => {
    const answer = await project.call("GET /book");
    expect(answer).toMatchObject({
      status: 404,
      headers: { "content-type": "application/json; charset=utf-8", "proxy-status": "PostgREST; error=PGRST205" },
    });
    expect(answer.body).toEqual({
      code: "PGRST205",
      message: "Could not find the table 'public.book' in the schema cache",
      details: null,
      hint: "Perhaps you meant the table 'public.books'",
    });
  });

  test.each([
    ["qqqqq", null], // nothing like it
    ["piece", null], // of a schema that is not exposed
    ["user", null],
    ["autors", "authors"],
    ["chidlren", "children"],
    ["BOOKS", "books"],
  ])("%s: perhaps %s", async (name, hint) => {
    const { body } = await project.call(`GET /${name}`);
    expect(body.hint).toBe(hint === null ? null : `Perhaps you meant the table 'public.${hint}'`);
  });

  test.each([
    ["GET /books/1", 404, "PGRST125", "Invalid path specified in request URL"],
    ["GET /rpc", 404, "PGRST205", "Could not find the table 'public.rpc' in the schema cache"],
    ["GET /rpc/a/b", 404, "PGRST125", "Invalid path specified in request URL"],
    ["BREW /books", 405, "PGRST117", "Unsupported HTTP method: BREW"],
  ])("%s is %i %s", async (target, status, code, message) => {
    expect(await project.call(target)).toMatchObject({ status, body: { code, message } });
  });
});

describe("what cannot be parsed is PGRST100", () => {
  test.each([
    ["select=id,(", "select parameter"],
    ["select=id::", "select parameter"],
    ["order=id.up", "order"],
    ["order=id.asc.nullslast.x", "order"],
    ["or=(id.eq.1", "logic tree"],
    ["id=eqq.1", "filter"],
    ["id=is.maybe", "filter"],
    ["columns=id,,", "columns parameter"],
  ])("%s", async (query, what) => {
    const { status, body } = await project.call(`GET /books?${query}`);
    expect(status).toBe(400);
    expect(body.code).toBe("PGRST100");
    expect(body.message).toMatch(new RegExp(`^"failed to parse ${what} \\(.*\\)" \\(line 1, column \\d+\\)$`));
    expect(body.details).toMatch(/unexpected|expecting/);
  });
});

describe("errors of SQL", () => {
  // By class and code in error.test.ts; here that they reach the client as such.
  test.each([
    ["P0001", 400],
    ["PT402", 402],
    ["08000", 503],
    ["40001", 500],
    ["23503", 409],
    ["ABCDE", 400],
  ])("%s is %i, with message, details and hint", async (state, status) => {
    const answer = await project.call("POST /rpc/fail", { body: { state, message: "so" } });
    expect(answer).toMatchObject({ status, headers: { "proxy-status": `PostgREST; error=${state}` } });
    expect(answer.body).toEqual({ code: state, message: "so", details: "more", hint: "try" });
  });

  test("are shortened by setting, as are the service's own", async () => {
    const settings = { clientErrorVerbosity: "minimal" as const };
    const raised = await project.call("POST /rpc/fail", { body: { state: "P0001", message: "so" }, settings });
    expect(raised.body).toEqual({ code: "P0001", message: "so" });
    const { body } = await project.call("GET /nope", { settings });
    expect(Object.keys(body).sort()).toEqual(["code", "message"]);
  });

  test("undo what came before", async () => {
    await project.sql(`create function half() returns void language plpgsql as
      $$ begin insert into keyless values (77); raise exception 'no'; end $$`);
    await expect.poll(async () => (await project.call("OPTIONS /rpc/half")).status).toBe(200);
    expect((await project.call("POST /rpc/half")).status).toBe(400);
    expect(await project.rows("GET /keyless?n=eq.77")).toEqual([]);
  });

  test("PGRST sets the whole response", async () => {
    const answer = await project.call("POST /rpc/fail_fully", {
      body: {
        message: JSON.stringify({ code: "123", message: "own", details: "d", hint: "h" }),
        detail: JSON.stringify({ status: 332, status_text: "Own words", headers: { "X-Own": "1" } }),
      },
    });
    expect(answer).toMatchObject({ status: 332, statusText: "Own words", headers: { "x-own": "1" } });
    expect(answer.body).toEqual({ code: "123", message: "own", details: "d", hint: "h" });
  });

  test("PGRST has to be well formed", async () => {
    expect(await project.call("POST /rpc/fail_fully", { body: { message: "x", detail: "{}" } })).toMatchObject({
      status: 500,
      body: { code: "PGRST121", details: "Invalid JSON value for MESSAGE: 'x'" },
    });
    expect(await project.call("POST /rpc/fail_without_detail")).toMatchObject({
      status: 500,
      body: { code: "PGRST121", details: "DETAIL is missing in the RAISE statement" },
    });
  });

  test("insufficient privilege asks to sign in, unless one has", async () => {
    expect(await project.call("GET /secrets")).toMatchObject({
      status: 401,
      headers: { "www-authenticate": "Bearer" },
      body: { code: "42501" },
    });
    const signedIn = await project.call("GET /secrets", { role: "authenticated" });
    expect(signedIn).toMatchObject({ status: 403, body: { code: "42501" } });
    expect(signedIn.headers).not.toHaveProperty("www-authenticate");
  });
});
