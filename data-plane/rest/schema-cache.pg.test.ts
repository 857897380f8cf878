import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";
import { signToken, toServiceRequest } from "./testing/request.ts";

let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  project = await world.createProject();
  await project.rows("GET /tags");
});
afterAll(() => world?.close());

const statusOf = async (target: string) => (await project.call(target)).status;

describe("after DDL", () => {
  test("a new table, column and relationship are served, a dropped table is not", async () => {
    await project.sql("create table shelves (id int primary key, room text); insert into shelves values (1, 'east')");
    await expect.poll(() => statusOf("GET /shelves")).toBe(200);
    await project.sql(
      "create table slots (id int primary key, shelf_id int references shelves); insert into slots values (1, 1)",
    );
    await expect.poll(() => statusOf("GET /slots?select=id,shelves(room)")).toBe(200);
    expect(await project.rows("GET /slots?select=id,shelves(room)")).toEqual([{ id: 1, shelves: { room: "east" } }]);
    await project.sql("alter table slots add column width int");
    await expect
      .poll(async () => (await project.call("PATCH /slots?id=eq.1", { body: { width: 3 } })).status)
      .toBe(204);
    expect(await project.rows("GET /slots")).toEqual([{ id: 1, shelf_id: 1, width: 3 }]);
    await project.sql("drop table slots");
    await expect.poll(() => statusOf("GET /slots")).toBe(404);
  });

  test("an aggregate that makes a media type serves it at once, and no longer when it is dropped", async () => {
    await project.sql(`create domain "text/x-count" as text;
      create function count_tag(so_far "text/x-count", tag tags) returns "text/x-count" language sql
        as $$ select (coalesce(so_far, '') || 'I')::"text/x-count" $$`);
    const statusOfCount = async () => (await project.call("GET /tags", { headers: { accept: "text/x-count" } })).status;
    await expect.poll(statusOfCount).toBe(406);
    await project.sql(`create aggregate tag_count(tags) (initcond = '', stype = "text/x-count", sfunc = count_tag)`);
    await expect.poll(statusOfCount).toBe(200);
    await project.sql("drop aggregate tag_count(tags)");
    await expect.poll(statusOfCount).toBe(406);
  });

  test("a replaced function is called by its new arguments", async () => {
    await project.sql("create function greet(a int) returns text stable language sql as $$ select 'int' $$");
    await expect.poll(() => statusOf("GET /rpc/greet?a=1")).toBe(200);
    await project.sql(
      "drop function greet(int); create function greet(who text) returns text stable language sql as $$ select 'hi ' || who $$",
    );
    await expect.poll(() => statusOf("GET /rpc/greet?who=you")).toBe(200);
    expect(await statusOf("GET /rpc/greet?a=1")).toBe(404);
  });

  test("requests in flight meanwhile are all answered", async () => {
    const statuses: number[] = [];
    for (let round = 0; round < 10; round += 1) {
      await project.sql(`create table burst_${round} (id int)`);
      statuses.push(...(await Promise.all([statusOf("GET /tags"), statusOf("GET /books?select=id,authors(name)")])));
    }
    expect(new Set(statuses)).toEqual(new Set([200]));
    await expect.poll(() => statusOf("GET /burst_9")).toBe(200);
  });

  test("NOTIFY from SQL reloads too", async () => {
    // Without the event triggers, which would tell the service by themselves.
    const admin = new pg.Client({ connectionString: project.adminUrl });
    await admin.connect();
    await admin.query("set event_triggers = off; create table silent (id int); grant select on silent to anon");
    await admin.query("notify pgrst, 'reload schema'");
    await admin.end();
    await expect.poll(() => statusOf("GET /silent")).toBe(200);
  });
});

describe("a new snapshot", () => {
  test("changes settings from the next request on", async () => {
    expect(await statusOf("GET /tags?select=count()")).toBe(400);
    project.configure({ aggregatesEnabled: true, maxRows: 2 });
    expect(await project.rows("GET /tags?select=count()")).toEqual([{ count: 3 }]);
    expect(await project.rows("GET /tags")).toHaveLength(2);
    project.configure({ aggregatesEnabled: false, maxRows: null });
    expect(await statusOf("GET /tags?select=count()")).toBe(400);
  });

  test("that is older than one seen already changes nothing", async () => {
    const older = project.snapshot;
    project.configure({ aggregatesEnabled: true });
    expect(await statusOf("GET /tags?select=count()")).toBe(200);
    const request = toServiceRequest("GET", "/tags?select=count()", {});
    expect((await world.service.handle(request, older)).status).toBe(200);
    project.configure({ aggregatesEnabled: false });
  });

  test("exposes another schema once that is loaded", async () => {
    const museum = async () => (await project.call("GET /pieces", { headers: { "accept-profile": "museum" } })).status;
    expect(await museum()).toBe(406);
    project.configure({ schemas: ["public", "museum"] });
    await expect.poll(museum).toBe(200);
    project.configure({ schemas: ["public"] });
    await expect.poll(museum).toBe(406);
  });

  test("searches another schema for functions, and for views between views", async () => {
    await project.sql(
      "create function museum.shout(t text) returns text immutable language sql as $$ select upper(t) $$",
    );
    await project.sql(
      "create function loud(t text) returns text immutable language plpgsql as $$ begin return shout(t); end $$; grant execute on function museum.shout to anon",
    );
    await expect.poll(() => statusOf("OPTIONS /rpc/loud")).toBe(200);
    const loud = () => project.call("GET /rpc/loud?t=x");
    expect(await loud()).toMatchObject({ status: 404, body: { code: "42883" } });
    project.configure({ extraSearchPath: ["public", "museum"] });
    await expect.poll(async () => (await loud()).body).toBe("X");
    project.configure({ extraSearchPath: ["public", "extensions"] });
  });
});

describe("configuration in the project's database", () => {
  let admin: pg.Client;
  beforeAll(async () => {
    admin = new pg.Client({ connectionString: project.adminUrl });
    await admin.connect();
  });
  afterAll(() => admin?.end());

  async function configure(settings: Readonly<Record<string, string>>): Promise<void> {
    const { user, database } = project.snapshot.database;
    const login = `alter role ${user} in database ${database}`;
    const statements = Object.entries(settings).map(([name, value]) => `${login} set ${name} = '${value}'`);
    await admin.query([`${login} reset all`, ...statements, "notify pgrst, 'reload config'"].join(";"));
  }
  const tags = async () => (await project.rows("GET /tags")).length;

  test("goes before the project's settings, until it is taken back", async () => {
    await configure({ "pgrst.db_max_rows": "1", "pgrst.db_aggregates_enabled": "true", "app.settings.shop": "south" });
    await expect.poll(tags).toBe(1);
    expect(await project.rows("GET /tags?select=count()")).toEqual([{ count: 3 }]);
    await configure({});
    await expect.poll(tags).toBe(3);
    expect(await statusOf("GET /tags?select=count()")).toBe(400);
  });

  test("says nothing of who is anonymous, nor which keys are good", async () => {
    const secret = "a secret that somebody put into the database";
    await configure({ "pgrst.db_max_rows": "2", "pgrst.db_anon_role": "service_role", "pgrst.jwt_secret": secret });
    await expect.poll(tags).toBe(2);
    expect(await statusOf("GET /secrets")).toBe(401);
    const headers = { authorization: `Bearer ${signToken({ role: "service_role" }, secret)}` };
    expect((await project.call("GET /secrets", { headers })).status).toBe(401);
    await configure({});
    await expect.poll(tags).toBe(3);
  });

  test("that is not usable is left out as a whole", async () => {
    await configure({ "pgrst.db_max_rows": "1" });
    await expect.poll(tags).toBe(1);
    await configure({ "pgrst.db_max_rows": "1", "pgrst.db_schemas": "pg_catalog" });
    await expect.poll(tags).toBe(3);
    await configure({});
  });
});

test("a database that is gone is 503, and is served again when it is back", async () => {
  const own = await world.createProject();
  expect((await own.call("GET /tags")).status).toBe(200);
  const cluster = new pg.Client({ connectionString: inject("clusterUrl") });
  await cluster.connect();
  try {
    const { database } = own.snapshot.database;
    await cluster.query(`alter database ${database} allow_connections false`);
    await cluster.query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", [database]);
    await expect.poll(async () => (await own.call("GET /tags")).status).toBe(503);
    const gone = await own.call("GET /tags");
    expect(gone).toMatchObject({ status: 503, headers: { "retry-after": expect.stringMatching(/^\d+$/) } });
    expect(["PGRST000", "PGRST001", "PGRST002"]).toContain(gone.body.code);
    expect(await project.rows("GET /tags")).toHaveLength(3);
    await cluster.query(`alter database ${database} allow_connections true`);
    await expect.poll(async () => (await own.call("GET /tags")).status, { timeout: 20_000 }).toBe(200);
  } finally {
    await cluster.end();
  }
});
