import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest";
import { createTestProjectDatabase } from "../../test/harness/project-database.ts";
import { createTestWorld, signToken, type TestWorld } from "./testing/world.ts";

const SCHEMA = `
  create schema other;
  grant usage on schema other to anon, authenticated;
  create table public.notes (id int primary key, owner uuid default auth.uid(), body text);
  create table other.notes (id int primary key, place text default 'other');
  insert into other.notes values (1);
  alter table public.notes enable row level security;
  create policy own on public.notes using (owner = auth.uid()) with check (owner = auth.uid());
  grant select on other.notes to anon, authenticated;
  grant select, insert, update, delete on public.notes to anon, authenticated;
  create function public.setting(name text) returns text language sql stable as $$ select current_setting(name, true) $$;
  create function public.path_and_role() returns json language sql stable as
    $$ select json_build_object('path', current_setting('search_path'), 'role', current_user, 'db', current_database()) $$;
  create function public.at_noon() returns timestamptz language sql stable as $$ select '2020-01-01 12:00Z'::timestamptz $$;
  create function public.escalate() returns text language plpgsql as $$
    begin perform set_config('role', 'service_role', false); return current_user; end $$;
  create function public.gate() returns void language plpgsql as $$
    begin
      if current_setting('request.headers', true)::json->>'x-banned' is not null then
        raise sqlstate 'PT451' using message = 'banned';
      end if;
    end $$;
  create function public.root() returns json language sql stable as $$ select '{"swagger":"2.0"}'::json $$;
`;

let world: TestWorld;
beforeAll(async () => {
  world = await createTestWorld(await createTestProjectDatabase(inject("clusterUrl")), SCHEMA, { schemas: ["public"] });
});
afterAll(() => world?.close());

const ANN = { role: "authenticated", sub: "00000000-0000-4000-8000-00000000000a" };
const BOB = { role: "authenticated", sub: "00000000-0000-4000-8000-00000000000b" };

test("row-level security sees the token's claims, of each request its own", async () => {
  const insert = (id: number, claims: Record<string, unknown>) =>
    world.call("POST", "/notes", { body: { id, body: "x" }, claims });
  expect((await insert(1, ANN)).status).toBe(201);
  expect((await insert(2, BOB)).status).toBe(201);
  const many = await Promise.all(
    Array.from({ length: 40 }, (_, index) =>
      world.call("GET", "/notes?select=id", { claims: index % 2 === 0 ? ANN : BOB }),
    ),
  );
  many.forEach((response, index) => {
    expect(response.json).toEqual([{ id: index % 2 === 0 ? 1 : 2 }]);
  });
  expect((await world.call("GET", "/notes")).json).toEqual([]);
  expect((await world.call("POST", "/notes", { body: { id: 3 } })).json).toMatchObject({ code: "42501" });
});

test("SQL sees method, path, headers, cookies and claims", async () => {
  const setting = async (name: string) =>
    (
      await world.call("GET", `/rpc/setting?name=${name}`, {
        claims: ANN,
        headers: { "x-a": "b", cookie: "c=d; e=f=g" },
      })
    ).json;
  expect(await setting("request.method")).toBe("GET");
  expect(await setting("request.path")).toBe("/rpc/setting");
  expect(JSON.parse((await setting("request.headers")) as string)).toMatchObject({ "x-a": "b" });
  expect(JSON.parse((await setting("request.cookies")) as string)).toEqual({ c: "d", e: "f=g" });
  expect(JSON.parse((await setting("request.jwt.claims")) as string)).toEqual(ANN);
});

test("settings of one request are gone in the next", async () => {
  await world.call("GET", "/notes", { claims: ANN });
  const claims = (await world.call("GET", "/rpc/setting?name=request.jwt.claims")).json as string;
  expect(JSON.parse(claims)).toEqual({ role: "anon" });
});

test("a function that changes the role of its session changes nothing for the next request", async () => {
  await world.call("POST", "/rpc/escalate", { claims: ANN });
  for (let count = 0; count < 6; count += 1) {
    expect((await world.call("GET", "/rpc/path_and_role")).json).toMatchObject({ role: "anon" });
  }
});

test("app settings and the preferred time zone", async () => {
  const app = await world.call("GET", "/rpc/setting?name=app.settings.x", { settings: { appSettings: { x: "y" } } });
  expect(app.json).toBe("y");
  const noon = await world.call("GET", "/rpc/at_noon", { headers: { prefer: "timezone=America/Los_Angeles" } });
  expect(noon.json).toBe("2020-01-01T04:00:00-08:00");
  expect(noon.headers["preference-applied"]).toBe("timezone=America/Los_Angeles");
  expect(await world.call("GET", "/rpc/at_noon", { headers: { prefer: "timezone=Nowhere" } })).toMatchObject({
    status: 400,
    json: { code: "22023" },
  });
});

describe("schemas", () => {
  const settings = { schemas: ["public", "other"], extraSearchPath: ["extensions"] };
  const get = (target: string, profile: string) =>
    world.call("GET", target, { settings, headers: { "accept-profile": profile } });

  test("that are newly exposed are served as soon as they are loaded", async () => {
    await vi.waitFor(async () => expect((await get("/notes", "other")).status).toBe(200));
    expect(await get("/notes", "other")).toMatchObject({
      json: [{ id: 1, place: "other" }],
      headers: { "content-profile": "other" },
    });
  });

  test("make the search path", async () => {
    await vi.waitFor(async () => expect((await get("/notes", "other")).status).toBe(200));
    expect((await get("/rpc/path_and_role", "public")).json).toMatchObject({ path: '"public", "extensions"' });
  });

  test("only those exposed", async () => {
    await vi.waitFor(async () => expect((await get("/notes", "other")).status).toBe(200));
    expect(await get("/users", "auth")).toMatchObject({
      status: 406,
      json: { code: "PGRST106", hint: "Only the following schemas are exposed: public, other" },
    });
  });
});

describe("tokens", () => {
  test.each(["supabase_auth_admin", "supabase_storage_admin", "supabase_admin", "postgres"])(
    "cannot name %s, which the login may become for another service",
    async (role) => {
      expect(await world.call("GET", "/notes", { claims: { role } })).toMatchObject({
        status: 403,
        json: { code: "42501", message: `permission denied to set role "${role}"` },
      });
    },
  );

  test("cannot name a role that does not exist, or that the login may not become", async () => {
    expect(await world.call("GET", "/notes", { claims: { role: "nobody" } })).toMatchObject({
      status: 401,
      json: { code: "22023", message: 'role "nobody" does not exist' },
    });
  });

  test("of another project are refused", async () => {
    const authorization = `Bearer ${signToken({ role: "service_role" }, "the secret of another project, long enough")}`;
    expect(await world.call("GET", "/notes", { headers: { authorization } })).toMatchObject({
      status: 401,
      json: { code: "PGRST301" },
      headers: { "www-authenticate": /^Bearer error="invalid_token"/ },
    });
  });
});

test("the pre-request function comes before every statement and may refuse", async () => {
  const settings = { preRequest: "public.gate" };
  expect((await world.call("GET", "/notes", { settings })).status).toBe(200);
  expect(await world.call("GET", "/notes", { settings, headers: { "x-banned": "1" } })).toMatchObject({
    status: 451,
    json: { message: "banned" },
  });
});

test("server timing, when asked for", async () => {
  const response = await world.call("GET", "/notes", { settings: { serverTimingEnabled: true } });
  expect(response.headers["server-timing"]).toMatch(
    /^jwt;dur=[\d.]+, parse;dur=[\d.]+, plan;dur=[\d.]+, transaction;dur=[\d.]+, response;dur=[\d.]+$/,
  );
});

test("errors say less when the project wants so", async () => {
  const response = await world.call("GET", "/nope", { settings: { clientErrorVerbosity: "minimal" } });
  expect(Object.keys(response.json as object).sort()).toEqual(["code", "message"]);
});

describe("the root", () => {
  test("describes what the role may see", async () => {
    const response = await world.call("GET", "/");
    expect(response.headers["content-type"]).toBe("application/openapi+json; charset=utf-8");
    expect(response.json).toMatchObject({
      swagger: "2.0",
      paths: {
        "/notes": { get: { tags: ["notes"] } },
        "/rpc/setting": {
          get: { parameters: [{ name: "name", in: "query", required: true, type: "string", format: "text" }] },
        },
      },
      definitions: {
        notes: {
          required: ["id"],
          properties: { id: { type: "integer", format: "int32", description: "Note:\nThis is a Primary Key.<pk/>" } },
        },
      },
    });
    await world.sql("revoke all on public.notes from anon");
    expect((await world.call("GET", "/")).json).not.toHaveProperty(["paths", "/notes"]);
    const all = await world.call("GET", "/", { settings: { openApiMode: "ignore-privileges" } });
    expect(all.json).toHaveProperty(["paths", "/notes"]);
    await world.sql("grant select on public.notes to anon");
  });

  test("can be hidden, or be a function", async () => {
    expect(await world.call("GET", "/", { settings: { openApiMode: "disabled" } })).toMatchObject({
      status: 404,
      json: { code: "PGRST126" },
    });
    const own = await world.call("GET", "/", {
      settings: { rootSpec: "root" },
      headers: { accept: "application/openapi+json" },
    });
    expect(own).toMatchObject({
      status: 200,
      json: { swagger: "2.0" },
      headers: { "content-type": "application/openapi+json; charset=utf-8" },
    });
  });

  test("OPTIONS tells what can be done", async () => {
    expect((await world.call("OPTIONS", "/")).headers.allow).toBe("OPTIONS,GET,HEAD");
    expect((await world.call("OPTIONS", "/notes")).headers.allow).toBe("OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE");
    expect((await world.call("OPTIONS", "/nope")).status).toBe(404);
  });
});
