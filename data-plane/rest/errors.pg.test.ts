import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";
import { signToken } from "./testing/request.ts";

let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  project = await world.createProject();
});
afterAll(() => world?.close());

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
const seconds = () => Math.floor(Date.now() / 1000);

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
    expect((await project.call("GET /qqqqq")).body.hint).toBe(null);
    expect((await project.call("GET /piece")).body.hint).toBe(null);
  });

  test("a deeper path, and an unknown verb", async () => {
    expect(await project.call("GET /books/1")).toMatchObject({ status: 404, body: { code: "PGRST125" } });
    expect(await project.call("BREW /books")).toMatchObject({ status: 405, body: { code: "PGRST117" } });
  });

  test("aggregates, when they are not enabled", async () => {
    expect(await project.call("GET /books?select=id.sum()")).toMatchObject({
      status: 400,
      body: { code: "PGRST123", message: "Use of aggregate functions is not allowed" },
    });
  });
});

describe("what cannot be parsed is PGRST100", () => {
  test.each([
    ["select=id,(", "select parameter"],
    ["order=id.up", "order"],
    ["or=(id.eq.1", "logic tree"],
    ["id=eqq.1", "filter"],
  ])("%s", async (query, what) => {
    const { status, body } = await project.call(`GET /books?${query}`);
    expect(status).toBe(400);
    expect(body.code).toBe("PGRST100");
    expect(body.message).toMatch(new RegExp(`^"failed to parse ${what} \\(.*\\)" \\(line 1, column \\d+\\)$`));
    expect(body.details).toMatch(/unexpected|expecting/);
  });
});

describe("errors of SQL", () => {
  test.each([
    ["P0001", 400],
    ["P0002", 500],
    ["PT402", 402],
    ["PTABC", 500],
    ["08000", 503],
    ["53400", 500],
    ["53300", 503],
    ["40001", 500],
    ["23503", 409],
    ["42P17", 500],
    ["0LP01", 403],
    ["28000", 403],
    ["ABCDE", 400],
  ])("%s is %i", async (state, status) => {
    expect(await project.call("POST /rpc/fail", { body: { state } })).toMatchObject({ status });
  });

  test("carry message, details and hint", async () => {
    expect((await project.call("POST /rpc/fail", { body: { state: "P0001", message: "so" } })).body).toEqual({
      code: "P0001",
      message: "so",
      details: "more",
      hint: "try",
    });
  });

  test("are shortened by setting", async () => {
    project.configure({ clientErrorVerbosity: "minimal" });
    try {
      const { body } = await project.call("POST /rpc/fail", { body: { state: "P0001", message: "so" } });
      expect(body).toEqual({ code: "P0001", message: "so" });
    } finally {
      project.configure({ clientErrorVerbosity: "verbose" });
    }
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

describe("tokens", () => {
  async function refused(token: string, code: string, message: string) {
    expect(await project.call("GET /tags", bearer(token))).toMatchObject({
      status: 401,
      body: { code, message },
      headers: { "www-authenticate": `Bearer error="invalid_token", error_description="${message}"` },
    });
  }

  test("that are no tokens", async () => {
    await refused("", "PGRST301", "Empty JWT is sent in Authorization header");
    await refused("a.b", "PGRST301", "Expected 3 parts in JWT; got 2");
  });

  test("of another secret, unsigned, or tampered with", async () => {
    const forged = signToken({ role: "service_role" }, "another secret of more than 32 characters");
    expect((await project.call("GET /tags", bearer(forged))).status).toBe(401);
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const unsigned = `${encode({ alg: "none" })}.${encode({ role: "service_role" })}.`;
    expect((await project.call("GET /tags", bearer(unsigned))).status).toBe(401);
    const [head, , signature] = project.token({ role: "anon" }).split(".");
    const tampered = `${head}.${encode({ role: "service_role" })}.${signature}`;
    expect((await project.call("GET /tags", bearer(tampered))).status).toBe(401);
  });

  test("of another time", async () => {
    const at = (claims: Record<string, unknown>) => project.token({ role: "anon", ...claims });
    await refused(at({ exp: seconds() - 60 }), "PGRST303", "JWT expired");
    await refused(at({ nbf: seconds() + 60 }), "PGRST303", "JWT not yet valid");
    await refused(at({ iat: seconds() + 60 }), "PGRST303", "JWT issued at future");
    await refused(at({ exp: "soon" }), "PGRST303", "The JWT 'exp' claim must be a number");
  });

  test("of another audience", async () => {
    project.configure({ jwtAudience: "library" });
    try {
      const status = async (aud: unknown) =>
        (await project.call("GET /tags", { claims: { role: "anon", aud } })).status;
      expect(await status("library")).toBe(200);
      expect(await status(["other", "library"])).toBe(200);
      await refused(project.token({ role: "anon", aud: "other" }), "PGRST303", "JWT not in audience");
    } finally {
      project.configure({ jwtAudience: null });
    }
  });

  test("the role's claim is a setting", async () => {
    project.configure({ jwtRoleClaimKey: ".app.roles[1]" });
    try {
      const claims = { app: { roles: ["x", "service_role"] } };
      expect(await project.rows("GET /rpc/setting?name=role", { claims })).toBe("service_role");
    } finally {
      project.configure({ jwtRoleClaimKey: ".role" });
    }
  });

  test("the scheme may be written in any case; without a role it is the anonymous one", async () => {
    const headers = { authorization: `bEaReR ${project.token({ sub: "x" })}` };
    expect(await project.rows("GET /rpc/setting?name=role", { headers })).toBe("anon");
  });
});
