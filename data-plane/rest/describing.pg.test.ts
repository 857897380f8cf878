import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";

let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  project = await world.createProject({ settings: { schemas: ["public", "museum"] } });
});
afterAll(() => world?.close());

describe("OPTIONS tells what can be done", () => {
  test.each([
    ["/", "OPTIONS,GET,HEAD"],
    ["/items", "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"],
    ["/secrets", "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"], // whoever may do it
    ["/keyless", "OPTIONS,GET,HEAD,POST,PATCH,DELETE"],
    ["/cheap_books", "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"],
    ["/frozen_items", "OPTIONS,GET,HEAD"],
    ["/tag_counts", "OPTIONS,GET,HEAD"],
    ["/rpc/add_up", "OPTIONS,GET,HEAD,POST"],
    ["/rpc/write_note", "OPTIONS,POST"],
  ])("with %s", async (target, allow) => {
    expect(await project.call(`OPTIONS ${target}`)).toMatchObject({ status: 200, text: "", headers: { allow } });
  });

  test.each([
    ["/nowhere", "PGRST205"],
    ["/rpc/nothing_at_all", "PGRST202"],
    ["/books/1", "PGRST125"],
  ])("but not with %s", async (target, code) => {
    expect(await project.call(`OPTIONS ${target}`)).toMatchObject({ status: 404, body: { code } });
  });
});

describe("the root", () => {
  test("describes relations and functions", async () => {
    const { status, body, headers } = await project.call("GET /");
    expect(status).toBe(200);
    expect(headers["content-type"]).toBe("application/openapi+json; charset=utf-8");
    expect(body.swagger).toBe("2.0");
    expect(Object.keys(body.paths["/books"]).sort()).toEqual(["delete", "get", "patch", "post"]);
    expect(Object.keys(body.paths["/rpc/add_up"]).sort()).toEqual(["get", "post"]);
    expect(Object.keys(body.paths["/rpc/write_note"])).toEqual(["post"]);
    expect(body.paths["/rpc/setting"].get.parameters).toEqual([
      { name: "name", in: "query", required: true, type: "string", format: "text" },
    ]);
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
  });

  test("shows a role what it may use, or everybody everything", async () => {
    const paths = async (options = {}) => Object.keys((await project.rows("GET /", options)).paths);
    expect(await paths()).not.toContain("/secrets");
    expect(await paths({ role: "service_role" })).toContain("/secrets");
    expect(await paths({ settings: { openApiMode: "ignore-privileges" } })).toContain("/secrets");
  });

  test("is of the schema that is asked for", async () => {
    const museum = await project.rows("GET /", { headers: { "accept-profile": "museum" } });
    expect(Object.keys(museum.paths)).toEqual(["/", "/pieces"]);
  });

  test("names the public address, and how to sign in when the project wants it", async () => {
    const plain = await project.rows("GET /");
    const { hostname, port, pathname } = new URL(project.snapshot.publicUrl);
    expect(plain).toMatchObject({ host: `${hostname}:${port}`, basePath: `${pathname}/rest/v1`, schemes: ["http"] });
    expect(plain).not.toHaveProperty("securityDefinitions");
    const secured = await project.rows("GET /", { settings: { openApiSecurityActive: true } });
    expect(secured.securityDefinitions).toEqual({
      JWT: expect.objectContaining({ type: "apiKey", in: "header", name: "Authorization" }),
    });
    expect(secured.security).toEqual([{ JWT: [] }]);
  });

  test("has the headers alone for HEAD", async () => {
    const head = await project.call("HEAD /");
    expect([head.status, head.text]).toEqual([200, ""]);
    expect(head.headers["content-type"]).toBe("application/openapi+json; charset=utf-8");
  });

  test("may be disabled", async () => {
    expect(await project.call("GET /", { settings: { openApiMode: "disabled" } })).toMatchObject({
      status: 404,
      body: { code: "PGRST126", message: "Root endpoint metadata is disabled" },
    });
  });

  test("may be a function's, in the form that is asked for", async () => {
    for (const [accept, type] of [
      ["application/openapi+json", "application/openapi+json; charset=utf-8"],
      ["application/json", "application/json; charset=utf-8"],
    ]) {
      const own = await project.call("GET /", { settings: { rootSpec: "root" }, headers: { accept: `${accept}` } });
      expect(own).toMatchObject({ status: 200, body: { own: "document" }, headers: { "content-type": type } });
    }
  });
});
