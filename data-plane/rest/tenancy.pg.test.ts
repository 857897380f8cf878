import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";

const BECOME = `
  create function public.where_am_i() returns text stable language sql as $$ select current_database()::text $$;
  create function public.become(name text) returns text volatile language plpgsql
    as $$ begin perform set_config('role', name, true); return current_user; end $$;
`;

/** One service, two projects. */
let world: RestWorld;
let left: RestProject;
let right: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  left = await world.createProject({
    sql: `${BECOME} create table public.only_left as select 1 as n;
      create table public.same_name (a int, b int); insert into public.same_name values (1, 2);`,
  });
  right = await world.createProject({
    sql: `${BECOME} create table public.same_name (c text); insert into public.same_name values ('x');`,
  });
});
afterAll(() => world?.close());

test("each reads and writes its own database, also when asked at once", async () => {
  await left.call("POST /keyless", { body: { n: 1 } });
  await right.call("POST /keyless", { body: { n: 2 } });
  const rounds = Array.from({ length: 20 }, () => Promise.all([left.rows("GET /keyless"), right.rows("GET /keyless")]));
  for (const answers of await Promise.all(rounds)) expect(answers).toEqual([[{ n: 1 }], [{ n: 2 }]]);
  for (const project of [left, right]) {
    expect(await project.rows("GET /rpc/where_am_i")).toBe(project.snapshot.database.database);
  }
});

test("a token of one is nothing to the other, not even one just accepted", async () => {
  const headers = { authorization: `Bearer ${left.token({ role: "service_role" })}` };
  expect((await left.call("GET /secrets", { headers })).status).toBe(200);
  expect(await right.call("GET /secrets", { headers })).toMatchObject({ status: 401, body: { code: "PGRST301" } });
});

test("a table of one is not there for the other, nor is its name suggested", async () => {
  expect((await left.call("GET /only_left")).status).toBe(200);
  expect(await right.call("GET /only_left")).toMatchObject({ status: 404, body: { code: "PGRST205" } });
  expect((await right.call("GET /only_lef")).body.hint).toBe(null);
});

test("settings of one are not those of the other", async () => {
  const settings = { maxRows: 1, aggregatesEnabled: true };
  expect(await left.rows("GET /tags", { settings })).toHaveLength(1);
  expect((await left.call("GET /tags?select=count()", { settings })).status).toBe(200);
  expect(await right.rows("GET /tags")).toHaveLength(3);
  expect((await right.call("GET /tags?select=count()")).status).toBe(400);
});

test("a relation of the same name and another shape is answered by a statement of its own", async () => {
  for (let round = 0; round < 3; round += 1) {
    expect(await left.rows("GET /same_name")).toEqual([{ a: 1, b: 2 }]);
    expect(await right.rows("GET /same_name")).toEqual([{ c: "x" }]);
  }
});

describe("nobody becomes somebody of another project", () => {
  const foreign = () => {
    const { user } = right.snapshot.database;
    return [user, user.replace("authenticator", "user"), "supabase_admin", "postgres"];
  };

  test("by a token", async () => {
    for (const role of foreign()) expect((await left.call("GET /tags", { role })).status).toBe(403);
  });

  test("by a function", async () => {
    for (const name of foreign()) {
      expect((await left.call("POST /rpc/become", { body: { name } })).status).toBeGreaterThanOrEqual(400);
    }
    expect(await left.rows("GET /rpc/setting?name=role")).toBe("anon");
  });
});
