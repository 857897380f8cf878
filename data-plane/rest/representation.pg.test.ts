import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";

let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  project = await world.createProject({ settings: { schemas: ["public", "museum"] } });
});
afterAll(() => world?.close());

const accepting = (accept: string) => ({ headers: { accept } });

describe("media types", () => {
  test("JSON is the default, and what * / * means", async () => {
    for (const options of [{}, accepting("*/*"), accepting("text/unknown, */*;q=0.1"), accepting("Application/JSON")]) {
      const answer = await project.call("GET /tags?id=eq.1", options);
      expect(answer).toMatchObject({
        status: 200,
        body: [{ id: 1, name: "old" }],
        headers: { "content-type": "application/json; charset=utf-8" },
      });
    }
  });

  test("none of them", async () => {
    expect(await project.call("GET /tags", accepting("image/png, text/unknown"))).toMatchObject({
      status: 406,
      body: { code: "PGRST107", message: "None of these media types are available: image/png, text/unknown" },
    });
  });

  test("CSV", async () => {
    const answer = await project.call("GET /books?select=id,title,pages&id=gte.3&order=id", accepting("text/csv"));
    expect(answer.headers["content-type"]).toBe("text/csv; charset=utf-8");
    expect(answer.text).toBe('id,title,pages\n3,"Running cats",\n4,"Lost 100% pages",300');
  });

  test("one object", async () => {
    const type = "application/vnd.pgrst.object+json";
    const one = await project.call("GET /tags?id=eq.1", accepting(type));
    expect(one).toMatchObject({
      status: 200,
      body: { id: 1, name: "old" },
      headers: { "content-type": `${type}; charset=utf-8` },
    });
    for (const [filter, rows] of [
      ["id=eq.99", 0],
      ["id=lt.3", 2],
    ]) {
      expect(await project.call(`GET /tags?${filter}`, accepting(type))).toMatchObject({
        status: 406,
        body: {
          code: "PGRST116",
          message: "Cannot coerce the result to a single JSON object",
          details: `The result contains ${rows} rows`,
        },
      });
    }
  });

  test("without nulls", async () => {
    const array = "application/vnd.pgrst.array+json;nulls=stripped";
    const answer = await project.call("GET /books?select=id,pages,meta&id=eq.3", accepting(array));
    expect(answer).toMatchObject({ body: [{ id: 3 }], headers: { "content-type": `${array}; charset=utf-8` } });
    expect(answer.body).toEqual([{ id: 3 }]);
    const object = await project.call(
      "GET /books?select=id,pages&id=eq.3",
      accepting("application/vnd.pgrst.object+json;nulls=stripped"),
    );
    expect(object.body).toEqual({ id: 3 });
  });

  test("a type that a function returns", async () => {
    const answer = await project.call("GET /rpc/as_tabs", accepting("text/tab-separated-values"));
    expect(answer).toMatchObject({
      status: 200,
      text: "a\tb",
      headers: { "content-type": "text/tab-separated-values" },
    });
  });

  test("plans only when the project allows them", async () => {
    const type = "application/vnd.pgrst.plan+json";
    expect((await project.call("GET /tags", accepting(type))).status).toBe(406);
    project.configure({ planEnabled: true });
    try {
      const answer = await project.call("GET /tags", accepting(type));
      expect(answer.headers["content-type"]).toBe(`${type}; for="application/json"; charset=utf-8`);
      expect(answer.body[0]).toHaveProperty("Plan");
    } finally {
      project.configure({ planEnabled: false });
    }
  });
});

describe("headers", () => {
  test("of a read", async () => {
    const { headers } = await project.call("GET /tags?select=id&id=eq.1&order=id");
    expect(headers).toMatchObject({
      vary: "Accept, Prefer, Range",
      "content-location": "/tags?id=eq.1&order=id&select=id",
    });
  });

  test("preferences: several headers' worth, unknown ones only refused when strict", async () => {
    const lenient = await project.call("GET /tags", { prefer: "whatever, count=exact, colour=red" });
    expect(lenient).toMatchObject({ status: 200, headers: { "preference-applied": "count=exact" } });
    expect(await project.call("GET /tags", { prefer: "handling=strict, whatever, colour=red" })).toMatchObject({
      status: 400,
      body: {
        code: "PGRST122",
        message: "Invalid preferences given with handling=strict",
        details: "Invalid preferences: whatever, colour=red",
      },
    });
  });

  test("the preferred time zone", async () => {
    const answer = await project.call("GET /rpc/setting?name=timezone", {
      prefer: "handling=strict, timezone=Asia/Tokyo",
    });
    expect(answer).toMatchObject({
      body: "Asia/Tokyo",
      headers: { "preference-applied": "handling=strict, timezone=Asia/Tokyo" },
    });
    expect(await project.call("GET /tags", { prefer: "timezone=Not/There" })).toMatchObject({
      status: 400,
      body: { code: "22023" },
    });
    expect(await project.rows("GET /rpc/setting?name=timezone")).not.toBe("Asia/Tokyo");
  });
});

describe("schemas", () => {
  test("the first is the default, others are asked for by profile", async () => {
    const first = await project.call("GET /tags?id=eq.1");
    expect(first).toMatchObject({ status: 200, headers: { "content-profile": "public" } });
    const second = await project.call("GET /pieces", { headers: { "accept-profile": "museum" } });
    expect(second).toMatchObject({
      status: 200,
      body: [{ id: 1, title: "vase" }],
      headers: { "content-profile": "museum" },
    });
    expect((await project.call("GET /pieces")).status).toBe(404);
    const written = await project.call("PATCH /pieces?id=eq.-1", {
      headers: { "content-profile": "museum" },
      body: { title: "x" },
    });
    expect(written.status).toBe(204);
  });

  test("an unlisted one is refused", async () => {
    for (const profile of ["auth", "pg_catalog", "supalove"]) {
      expect(await project.call("GET /users", { headers: { "accept-profile": profile } })).toMatchObject({
        status: 406,
        body: {
          code: "PGRST106",
          message: `Invalid schema: ${profile}`,
          hint: "Only the following schemas are exposed: public, museum",
        },
      });
    }
  });
});

describe("OPTIONS", () => {
  test.each([
    ["/", "OPTIONS,GET,HEAD"],
    ["/items", "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"],
    ["/keyless", "OPTIONS,GET,HEAD,POST,PATCH,DELETE"],
    ["/frozen_items", "OPTIONS,GET,HEAD"],
    ["/rpc/add_up", "OPTIONS,GET,HEAD,POST"],
    ["/rpc/write_note", "OPTIONS,POST"],
  ])("%s", async (target, allow) => {
    expect(await project.call(`OPTIONS ${target}`)).toMatchObject({ status: 200, text: "", headers: { allow } });
  });

  test("an unknown relation", async () => {
    expect((await project.call("OPTIONS /nowhere")).status).toBe(404);
  });
});

describe("the root", () => {
  test("describes relations and functions by privilege", async () => {
    const { status, body, headers } = await project.call("GET /");
    expect(status).toBe(200);
    expect(headers["content-type"]).toBe("application/openapi+json; charset=utf-8");
    expect(body.swagger).toBe("2.0");
    expect(Object.keys(body.paths["/books"]).sort()).toEqual(["delete", "get", "patch", "post"]);
    expect(Object.keys(body.paths["/rpc/add_up"]).sort()).toEqual(["get", "post"]);
    expect(Object.keys(body.paths["/rpc/write_note"])).toEqual(["post"]);
    expect(body.definitions.books).toMatchObject({
      type: "object",
      required: ["id", "title"],
      properties: {
        id: { type: "integer", format: "int32", description: "Note:\nThis is a Primary Key.<pk/>" },
        author_id: {
          description: "Note:\nThis is a Foreign Key to `authors.id`.<fk table='authors' column='id'/>",
        },
      },
    });
    expect(body.paths).not.toHaveProperty("/secrets");
    const asService = await project.rows("GET /", { role: "service_role" });
    expect(asService.paths).toHaveProperty("/secrets");
  });

  test("is of the asked schema, may be disabled or a function's", async () => {
    const museum = await project.rows("GET /", { headers: { "accept-profile": "museum" } });
    expect(Object.keys(museum.paths)).toEqual(["/", "/pieces"]);
    project.configure({ openApiMode: "disabled" });
    try {
      expect(await project.call("GET /")).toMatchObject({
        status: 404,
        body: { code: "PGRST126", message: "Root endpoint metadata is disabled" },
      });
      project.configure({ openApiMode: "follow-privileges", rootSpec: "root" });
      expect(await project.rows("GET /")).toEqual({ own: "document" });
    } finally {
      project.configure({ openApiMode: "follow-privileges", rootSpec: null });
    }
  });
});
