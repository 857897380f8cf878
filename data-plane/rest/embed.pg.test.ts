import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createTestProjectDatabase } from "../../test/harness/project-database.ts";
import { createTestWorld, type TestWorld } from "./testing/world.ts";

const SCHEMA = `
  create table public.clients (id int primary key, name text);
  create table public.projects (id int primary key, name text, client_id int constraint client references public.clients);
  create table public.tasks (id int primary key, name text, hours int, project_id int references public.projects);
  create table public.users (id int primary key, name text, boss_id int references public.users);
  create table public.users_tasks (user_id int references public.users, task_id int references public.tasks, primary key (user_id, task_id));
  create table public.details (project_id int primary key references public.projects, note text);
  create table public.trips (id int primary key, from_id int constraint trip_from references public.clients, to_id int constraint trip_to references public.clients);
  insert into public.clients values (1, 'Acme'), (2, 'Bolt'), (3, 'Idle');
  insert into public.projects values (1, 'Anvil', 1), (2, 'Rocket', 1), (3, 'Lamp', 2), (4, 'Orphan', null);
  insert into public.tasks values (1, 'forge', 3, 1), (2, 'polish', 1, 1), (3, 'launch', 8, 2), (4, 'light', 2, 3);
  insert into public.users values (1, 'Ann', null), (2, 'Bob', 1), (3, 'Cid', 1);
  insert into public.users_tasks values (1, 1), (1, 3), (2, 1), (3, 4);
  insert into public.details values (1, 'heavy'), (2, null);
  create view public.project_view as select id as project_id, name as title, client_id as owner_id from public.projects;
  create view public.loop as select 1 as id;
  create or replace view public.loop as select id from public.loop;
  create function public.biggest_task(public.projects) returns setof public.tasks rows 1 language sql stable as
    $$ select * from public.tasks where project_id = $1.id order by hours desc limit 1 $$;
  create function public.same_client(public.projects) returns setof public.projects language sql stable as
    $$ select * from public.projects where client_id = $1.client_id $$;
  create function public.all_projects() returns setof public.projects language sql stable as $$ select * from public.projects $$;
  grant select on all tables in schema public to anon;
`;

let world: TestWorld;
beforeAll(async () => {
  world = await createTestWorld(await createTestProjectDatabase(inject("clusterUrl")), SCHEMA, {
    aggregatesEnabled: true,
  });
});
afterAll(() => world?.close());

const get = async (target: string) => (await world.call("GET", target)).json;

describe("relationships", () => {
  test.each<[string, [string, unknown]]>([
    [
      "many-to-one",
      [
        "/projects?select=name,clients(name)&id=in.(1,4)&order=id",
        [
          { name: "Anvil", clients: { name: "Acme" } },
          { name: "Orphan", clients: null },
        ],
      ],
    ],
    [
      "one-to-many",
      [
        "/clients?select=name,projects(id)&order=id&projects.order=id",
        [
          { name: "Acme", projects: [{ id: 1 }, { id: 2 }] },
          { name: "Bolt", projects: [{ id: 3 }] },
          { name: "Idle", projects: [] },
        ],
      ],
    ],
    [
      "many-to-many",
      [
        "/users?select=name,tasks(name)&order=id&tasks.order=id",
        [
          { name: "Ann", tasks: [{ name: "forge" }, { name: "launch" }] },
          { name: "Bob", tasks: [{ name: "forge" }] },
          { name: "Cid", tasks: [{ name: "light" }] },
        ],
      ],
    ],
    [
      "one-to-one both ways",
      [
        "/details?select=note,projects(name,details(note))&project_id=eq.1",
        [{ note: "heavy", projects: { name: "Anvil", details: { note: "heavy" } } }],
      ],
    ],
    [
      "a self-reference by column and by name",
      [
        "/users?select=name,boss_id(name),users(name)&id=eq.1&users.order=id",
        [{ name: "Ann", boss_id: null, users: [{ name: "Bob" }, { name: "Cid" }] }],
      ],
    ],
    [
      "by constraint, with an alias",
      ["/projects?select=name,owner:client(name)&id=eq.1", [{ name: "Anvil", owner: { name: "Acme" } }]],
    ],
    ["by hint where there are two", ["/trips?select=id,from:clients!trip_from(name)", []]],
    [
      "through a view with renamed columns",
      [
        "/project_view?select=title,clients(name),tasks(name)&project_id=eq.3",
        [{ title: "Lamp", clients: { name: "Bolt" }, tasks: [{ name: "light" }] }],
      ],
    ],
    [
      "to a view",
      ["/tasks?select=name,project_view(title)&id=eq.3", [{ name: "launch", project_view: { title: "Rocket" } }]],
    ],
    [
      "computed, to one",
      ["/projects?select=name,biggest_task(name)&id=eq.1", [{ name: "Anvil", biggest_task: { name: "forge" } }]],
    ],
    [
      "computed, to many",
      [
        "/projects?select=name,same_client(id)&id=eq.1&same_client.order=id",
        [{ name: "Anvil", same_client: [{ id: 1 }, { id: 2 }] }],
      ],
    ],
    [
      "of a function's rows",
      ["/rpc/all_projects?select=name,clients(name)&id=eq.3", [{ name: "Lamp", clients: { name: "Bolt" } }]],
    ],
    [
      "twice under aliases, each filtered",
      [
        "/projects?select=short:tasks(id),long:tasks(id)&short.hours=lt.2&long.hours=gt.2&id=eq.1",
        [{ short: [{ id: 2 }], long: [{ id: 1 }] }],
      ],
    ],
    [
      "nested, with order, limit and offset",
      [
        "/clients?select=projects(tasks(id))&id=eq.1&projects.order=id&projects.tasks.order=id.desc&projects.tasks.limit=1",
        [{ projects: [{ tasks: [{ id: 2 }] }, { tasks: [{ id: 3 }] }] }],
      ],
    ],
  ])("%s", async (_, [target, expected]) => {
    expect(await get(target)).toEqual(expected);
  });
});

describe("which rows of the parent", () => {
  test.each<[string, string, number[]]>([
    ["an inner join keeps those with a row", "/projects?select=id,clients!inner()&order=id", [1, 2, 3]],
    ["after the embed's own filters", "/projects?select=id,tasks!inner(id)&tasks.hours=gt.5&order=id", [2]],
    [
      "nested inner joins filter their parent only",
      "/projects?select=id,tasks(id,users!inner())&order=id",
      [1, 2, 3, 4],
    ],
    ["an embed that is null", "/projects?select=id,clients()&clients=is.null", [4]],
    ["an embed that is not null", "/projects?select=id,details(note)&details=not.is.null&order=id", [1, 2]],
    [
      "either of two embeds",
      "/clients?select=id,projects(),trips!trip_from()&or=(projects.not.is.null,trips.not.is.null)&order=id",
      [1, 2],
    ],
    ["sorted by the embed", "/projects?select=id,clients(name)&order=clients(name).desc.nullslast,id", [3, 1, 2, 4]],
    [
      "sorted by a column the embed does not show",
      "/projects?select=id,clients(id)&order=clients(name).desc.nullslast,id.desc",
      [3, 2, 1, 4],
    ],
  ])("%s", async (_, target, expected) => {
    const rows = (await get(target)) as { id: number }[];
    expect(rows.map(({ id }) => id)).toEqual(expected);
    const counted = await world.call("GET", target, { headers: { prefer: "count=exact" } });
    expect(counted.headers["content-range"]).toBe(`0-${expected.length - 1}/${expected.length}`);
  });
});

describe("spreads", () => {
  test.each<[string, string, unknown]>([
    [
      "to-one: columns of the parent",
      "/projects?select=name,...clients(client:name)&id=in.(1,4)&order=id",
      [
        { name: "Anvil", client: "Acme" },
        { name: "Orphan", client: null },
      ],
    ],
    [
      "to-many: arrays",
      "/clients?select=name,...projects(ids:id,names:name)&projects.order=id.desc&order=id",
      [
        { name: "Acme", ids: [2, 1], names: ["Rocket", "Anvil"] },
        { name: "Bolt", ids: [3], names: ["Lamp"] },
        { name: "Idle", ids: [], names: [] },
      ],
    ],
    [
      "null elements are kept",
      "/clients?select=...projects(...details(note))&id=eq.1&projects.order=id",
      [{ note: ["heavy", null] }],
    ],
    [
      "to-many inside to-many",
      "/clients?select=...projects(...tasks(id))&id=eq.1&projects.order=id&projects.tasks.order=id",
      [{ id: [[1, 2], [3]] }],
    ],
    ["of all columns", "/details?select=...projects(*)&project_id=eq.1", [{ id: 1, name: "Anvil", client_id: 1 }]],
    [
      "aggregated further up",
      "/tasks?select=hours.sum(),...projects(...clients(client:name))&order=projects(client)",
      [
        { sum: 12, client: "Acme" },
        { sum: 2, client: "Bolt" },
      ],
    ],
    [
      "grouped by an embed",
      "/tasks?select=hours.sum(),projects(client_id)&project_id=eq.1",
      [{ sum: 4, projects: { client_id: 1 } }],
    ],
  ])("%s", async (_, target, expected) => {
    expect(await get(target)).toEqual(expected);
  });

  test("cannot be aggregated to-many", async () => {
    expect(await world.call("GET", "/clients?select=...projects(id.sum())")).toMatchObject({
      status: 400,
      json: { code: "PGRST127", details: "Aggregates are not implemented for one-to-many or many-to-many spreads." },
    });
  });
});

describe("what cannot be told or done", () => {
  test("two ways to the same relation are listed", async () => {
    const response = await world.call("GET", "/trips?select=clients(name)");
    expect(response).toMatchObject({
      status: 300,
      json: {
        code: "PGRST201",
        message: "Could not embed because more than one relationship was found for 'trips' and 'clients'",
        hint: "Try changing 'clients' to one of the following: 'clients!trip_from', 'clients!trip_to'. Find the desired relationship in the 'details' key.",
        details: [
          {
            cardinality: "many-to-one",
            embedding: "trips with clients",
            relationship: "trip_from using trips(from_id) and clients(id)",
          },
          {
            cardinality: "many-to-one",
            embedding: "trips with clients",
            relationship: "trip_to using trips(to_id) and clients(id)",
          },
        ],
      },
    });
  });

  test.each<[string, string, Record<string, unknown>]>([
    [
      "no relationship",
      "/clients?select=qqqq(id)",
      {
        code: "PGRST200",
        hint: null,
        details:
          "Searched for a foreign key relationship between 'clients' and 'qqqq' in the schema 'public', but no matches were found.",
      },
    ],
    [
      "a misspelled one",
      "/clients?select=projekts(id)",
      { code: "PGRST200", hint: "Perhaps you meant 'projects' instead of 'projekts'." },
    ],
    [
      "a filter of what is not embedded",
      "/clients?projects.id=eq.1",
      { code: "PGRST108", hint: "Verify that 'projects' is included in the 'select' query parameter." },
    ],
    ["an operator on an embed", "/clients?select=projects(id)&projects=eq.1", { code: "PGRST120" }],
    [
      "an order by a to-many embed",
      "/clients?select=projects(id)&order=projects(id)",
      { code: "PGRST118", details: "'clients' and 'projects' do not form a many-to-one or one-to-one relationship" },
    ],
  ])("%s", async (_, target, error) => {
    expect(await world.call("GET", target)).toMatchObject({ status: 400, json: error });
  });

  test("an alias goes before the name it stands for, which is deprecated or refused", async () => {
    const target = "/clients?select=id,work:projects(id)&projects.id=eq.1&id=eq.1";
    const legacy = await world.call("GET", target);
    expect(legacy.json).toEqual([{ id: 1, work: [{ id: 1 }] }]);
    expect(legacy.headers.warning).toContain("Update `projects` to `work`");
    expect(await world.call("GET", target, { settings: { urlUseLegacyTargetNames: false } })).toMatchObject({
      status: 400,
      json: { code: "PGRST108", hint: "Change 'projects' to 'work' in filters, orders or limits." },
    });
  });

  test("a view that refers to itself does no harm but to itself", async () => {
    expect((await world.call("GET", "/loop")).status).toBe(500);
    expect((await world.call("GET", "/clients")).status).toBe(200);
  });
});
