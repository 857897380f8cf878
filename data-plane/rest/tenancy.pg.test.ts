import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";

/** One service, two projects. */
let world: RestWorld;
let left: RestProject;
let right: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  [left, right] = [await world.createProject(), await world.createProject()];
});
afterAll(() => world?.close());

describe("two projects in one service", () => {
  test("each reads and writes its own database, also when asked at once", async () => {
    await left.call("POST /keyless", { body: { n: 1 } });
    await right.call("POST /keyless", { body: { n: 2 } });
    const rounds = Array.from({ length: 20 }, async () => {
      const [ofLeft, ofRight] = await Promise.all([left.rows("GET /keyless"), right.rows("GET /keyless")]);
      expect(ofLeft).toEqual([{ n: 1 }]);
      expect(ofRight).toEqual([{ n: 2 }]);
    });
    await Promise.all(rounds);
    for (const project of [left, right]) {
      await project.sql(
        "create or replace function public.where_am_i() returns text stable language sql as $$ select current_database()::text $$",
      );
      await expect.poll(async () => (await project.call("GET /rpc/where_am_i")).status).toBe(200);
      expect(await project.rows("GET /rpc/where_am_i")).toBe(project.snapshot.database.database);
    }
  });

  test("a token of one is nothing to the other, not even one just accepted", async () => {
    const token = left.token({ role: "service_role" });
    const headers = { authorization: `Bearer ${token}` };
    expect((await left.call("GET /secrets", { headers })).status).toBe(200);
    expect(await right.call("GET /secrets", { headers })).toMatchObject({ status: 401, body: { code: "PGRST301" } });
  });

  test("schemas and settings are apart", async () => {
    await left.sql("create table only_left as select 1 as n");
    await expect.poll(async () => (await left.call("GET /only_left")).status).toBe(200);
    expect(await right.call("GET /only_left")).toMatchObject({ status: 404, body: { code: "PGRST205" } });
    expect((await right.call("GET /only_lef")).body.hint).toBe(null);
    left.configure({ maxRows: 1, aggregatesEnabled: true });
    try {
      expect(await left.rows("GET /tags")).toHaveLength(1);
      expect(await right.rows("GET /tags")).toHaveLength(3);
      expect((await right.call("GET /tags?select=count()")).status).toBe(400);
    } finally {
      left.configure({ maxRows: null, aggregatesEnabled: false });
    }
  });

  test("the same relation of another shape is answered by its own statement", async () => {
    await left.sql("create table same_name (a int, b int); insert into same_name values (1, 2)");
    await right.sql("create table same_name (c text); insert into same_name values ('x')");
    for (const project of [left, right]) {
      await expect.poll(async () => (await project.call("GET /same_name")).status).toBe(200);
    }
    for (let round = 0; round < 3; round += 1) {
      expect(await left.rows("GET /same_name")).toEqual([{ a: 1, b: 2 }]);
      expect(await right.rows("GET /same_name")).toEqual([{ c: "x" }]);
    }
  });
});

describe("roles", () => {
  test("that no token may have, although its signature is good", async () => {
    const names = [
      "supabase_admin",
      "supabase_auth_admin",
      "supabase_storage_admin",
      "supabase_replication_admin",
      "postgres",
      "authenticator",
      "pg_read_all_data",
      left.snapshot.database.user,
      `project_${left.snapshot.projectRef}_user`,
      `project_${right.snapshot.projectRef}_user`,
      "no_such_role",
      "none",
      'anon"; reset role; --',
    ];
    for (const role of names) {
      const { status, text } = await left.call("GET /tags", { role });
      expect([401, 403], `${role}: ${text}`).toContain(status);
    }
  });

  test("a function cannot leave its role for the login's others", async () => {
    await left.sql(
      "create or replace function public.become(name text) returns text volatile language plpgsql as $$ begin perform set_config('role', name, true); return current_user; end $$",
    );
    await expect.poll(async () => (await left.call("OPTIONS /rpc/become")).status).toBe(200);
    for (const name of [`project_${right.snapshot.projectRef}_user`, "supabase_admin", "postgres"]) {
      expect((await left.call("POST /rpc/become", { body: { name } })).status).toBeGreaterThanOrEqual(400);
    }
    expect(await left.rows("GET /rpc/setting?name=role")).toBe("anon");
  });

  test("row-level security sees each token's own user", async () => {
    const asUser = (id: string) => ({
      role: "authenticated",
      claims: { sub: `00000000-0000-0000-0000-00000000000${id}` },
    });
    const [ofA, ofB, ofNobody, ofService] = await Promise.all([
      left.rows("GET /notes?select=id", asUser("a")),
      left.rows("GET /notes?select=id", asUser("b")),
      left.rows("GET /notes?select=id"),
      left.rows("GET /notes?select=id&order=id", { role: "service_role" }),
    ]);
    expect(ofA).toEqual([{ id: 1 }]);
    expect(ofB).toEqual([{ id: 2 }]);
    expect(ofNobody).toEqual([]);
    expect(ofService).toEqual([{ id: 1 }, { id: 2 }]);
    const foreign = { id: 9, owner: "00000000-0000-0000-0000-00000000000b", body: "forged" };
    expect(await left.call("POST /notes", { ...asUser("a"), body: foreign })).toMatchObject({
      status: 403,
      body: { code: "42501" },
    });
    const untouched = await left.call("DELETE /notes?id=eq.2", { ...asUser("a"), prefer: "count=exact" });
    expect(untouched.headers["content-range"]).toBe("*/0");
  });
});
