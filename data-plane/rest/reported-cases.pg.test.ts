/** Behaviour that bug reports and client suites asked for, each beside its kin. */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";

const SCHEMA = `
  create table public.docs (id int primary key, js jsonb, js_text json);
  insert into public.docs select id, value, value::json from (values
    (1, '{"a.b": "x", "k": 3, "UP": "u", "say \\"hi\\"": 1, "b\\\\s": 2, "0": "zero", "in": {"c,d": [5]}}'::jsonb),
    (2, '{"a.b": "y", "k": 1}'),
    (3, '{"k": 2}')) as given (id, value);
  create table public.doc_notes (id int primary key, doc_id int references public.docs, js jsonb);
  insert into public.doc_notes values (1, 1, '{"a.b": "n1"}'), (2, 1, '{"a.b": "n2"}');
  create type public.pair as (x int, y text);
  create table public.pairs (id int primary key, both_of public.pair, list int[]);
  insert into public.pairs values (1, '(7,seven)', '{4,5}'), (2, '(3,three)', '{6}');
  create function public.some_pairs() returns table (n int, both_of public.pair, list int[], js json) stable language sql as
    $$ select id, both_of, list, json_build_object('a.b', id) from public.pairs $$;
  create table public.people (id int primary key, name text);
  create table public.best_friends (
    id int primary key,
    first_user int constraint first_user references public.people, second_user int constraint second_user references public.people
  );
  insert into public.people values (1, 'a'), (2, 'b');
  insert into public.best_friends values (1, 1, 2);
  create function public.whole(text) returns text immutable language sql as $$ select $1 $$;
  create function public.whole_json(json) returns json immutable language sql as $$ select $1 $$;
  create function public.overloaded() returns int immutable language sql as $$ select 1 $$;
  create function public.overloaded(text default 'd') returns int immutable language sql as $$ select 2 $$;
  create function public.only_default(text default 'd') returns text immutable language sql as $$ select $1 $$;
  create function public.internal_cleanup() returns int immutable language sql as $$ select 1 $$;
  create table public.closed (id int);
  revoke all on public.closed from anon, authenticated;
  create table public.guarded (id int);
  alter table public.guarded enable row level security;
  create view public.guarded_view as select id from public.guarded;
`;

let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  project = await world.createProject({ settings: { txEnd: "rollback" }, sql: SCHEMA });
});
afterAll(() => world?.close());

describe("JSON keys in double quotes", () => {
  test.each<[string, unknown]>([
    ['/docs?select=v:js->>"a.b"&id=lte.2&order=id', [{ v: "x" }, { v: "y" }]],
    ['/docs?select=v:js_text->>"a.b"&id=eq.1', [{ v: "x" }]],
    ['/docs?select=js->>"UP"&id=eq.1', [{ UP: "u" }]],
    ['/docs?select=js->"in"->"c,d"->0&id=eq.1', [{ "c,d": 5 }]],
    ['/docs?select=v:js->"in"->"c,d"->>0::int&id=eq.1', [{ v: 5 }]],
    ['/docs?select=v:js->"say \\"hi\\""&id=eq.1', [{ v: 1 }]],
    ['/docs?select=v:js->"b\\\\s"&id=eq.1', [{ v: 2 }]],
    ['/docs?select=v:js->>"0"&id=eq.1', [{ v: "zero" }]],
    ['/docs?select=id&js->>"a.b"=eq.x', [{ id: 1 }]],
    ['/docs?select=id&js->"in"->"c,d"->>0=eq.5', [{ id: 1 }]],
    ['/docs?select=id&js->>"a.b"=in.(x,y)&order=id', [{ id: 1 }, { id: 2 }]],
    ['/docs?select=id&order=js->>"k"', [{ id: 2 }, { id: 3 }, { id: 1 }]],
    ['/docs?select=id&order=js->"k".desc.nullslast', [{ id: 1 }, { id: 3 }, { id: 2 }]],
    ['/docs?select=id&or=(js->>"k".eq.3,js->>"a.b".eq.y)&order=id', [{ id: 1 }, { id: 2 }]],
    ['/docs?select=id&and=(js->>"a.b".not.is.null,or(js->>"a.b".eq.x,js->>"k".eq.9))', [{ id: 1 }]],
    [
      '/docs?select=id,doc_notes(v:js->>"a.b")&id=eq.1&doc_notes.js->>"a.b"=eq.n2',
      [{ id: 1, doc_notes: [{ v: "n2" }] }],
    ],
    [
      '/docs?select=id,doc_notes(v:js->>"a.b")&id=eq.1&doc_notes.order=js->>"a.b".desc',
      [{ id: 1, doc_notes: [{ v: "n2" }, { v: "n1" }] }],
    ],
  ])("%s", async (target, rows) => {
    expect(await project.rows(`GET ${target}`)).toEqual(rows);
  });

  test.each(['/docs?select=js->>"open', '/docs?select=js->>"a"b', '/docs?js->>"open=eq.1', '/docs?order=js->>"a"b'])(
    "a quote that does not end is refused: %s",
    async (target) => {
      expect(await project.call(`GET ${target}`)).toMatchObject({ status: 400, body: { code: "PGRST100" } });
    },
  );
});

describe("arrows into what is no JSON", () => {
  test.each<[string, unknown]>([
    [
      "/pairs?select=id,both_of->x,both_of->>y&order=both_of->x",
      [
        { id: 2, x: 3, y: "three" },
        { id: 1, x: 7, y: "seven" },
      ],
    ],
    ["/pairs?select=id&both_of->>y=eq.seven", [{ id: 1 }]],
    [
      "/rpc/some_pairs?select=n,both_of->>y,list->0&order=both_of->x",
      [
        { n: 2, y: "three", list: 6 },
        { n: 1, y: "seven", list: 4 },
      ],
    ],
    ['/rpc/some_pairs?select=n&both_of->>x=eq.7&js->>"a.b"=eq.1', [{ n: 1 }]],
  ])("%s", async (target, rows) => {
    expect(await project.rows(`GET ${target}`)).toEqual(rows);
  });
});

describe("what cannot be read is refused, never left out", () => {
  test.each(["select=id,js->>k)", "select=id)", "select=id;name", "select=id name(", "select=people(id))"])(
    "%s",
    async (query) => {
      expect(await project.call(`GET /docs?${query}`)).toMatchObject({ status: 400, body: { code: "PGRST100" } });
    },
  );
});

describe("one object has no two members of a name", () => {
  test.each([
    "/best_friends?select=people!first_user(*),people!second_user(*)",
    "/best_friends?select=a:people!first_user(*),a:people!second_user(*)",
    "/best_friends?select=id,a:people!first_user(id,best_friends!first_user(id),best_friends!second_user(id))",
  ])("%s", async (target) => {
    expect(await project.call(`GET ${target}`)).toMatchObject({ status: 400, body: { code: "42712" } });
  });

  test("aliases tell them apart", async () => {
    expect(await project.rows("GET /best_friends?select=people!first_user(id),b:people!second_user(id)")).toEqual([
      { people: { id: 1 }, b: { id: 2 } },
    ]);
  });
});

test.each(["nodes!nodes_parent_id_fkey(id)", "nodes_parent_id_fkey(id)"])(
  "a self-reference has two ends, so its constraint names none: %s",
  async (embed) => {
    expect(await project.call(`GET /nodes?select=id,${embed}`)).toMatchObject({
      status: 400,
      body: { code: "PGRST200" },
    });
  },
);

describe("a single unnamed parameter", () => {
  test("has the argument name of no characters and takes the whole body", async () => {
    expect(await project.rows("POST /rpc/whole", { body: '{"":"foo"}' })).toBe('{"":"foo"}');
    expect(await project.rows("POST /rpc/whole_json", { body: '{"":"foo"}' })).toEqual({ "": "foo" });
  });

  test("counts where overloads are told apart", async () => {
    expect(await project.call("POST /rpc/overloaded", { body: {} })).toMatchObject({
      status: 300,
      body: {
        code: "PGRST203",
        message:
          "Could not choose the best candidate function between: public.overloaded(), public.overloaded( => text)",
      },
    });
    expect(await project.rows("POST /rpc/overloaded", { body: '{"":1}' })).toBe(2);
  });

  test("with a default may be left out", async () => {
    expect(await project.rows("POST /rpc/only_default", { body: {} })).toBe("d");
    expect(await project.rows("GET /rpc/only_default")).toBe("d");
  });

  test("takes a body of text whole", async () => {
    const headers = { "content-type": "text/plain" };
    expect(await project.rows("POST /rpc/only_default", { body: "as it is", headers })).toBe("as it is");
  });
});

test("a hint tells of a function only when its name is nearly the one asked for", async () => {
  const hintFor = async (name: string) => (await project.call(`GET /rpc/${name}`)).body.hint;
  expect(await hintFor("internal_cleanups")).toBe("Perhaps you meant to call the function public.internal_cleanup");
  expect(await hintFor("internal")).toBeNull();
  expect(await hintFor("clean")).toBeNull();
});

describe("who lacks a right may sign in when he is nobody, and is refused when he is somebody", () => {
  const refusals = ["GET /closed", "POST /guarded", "POST /guarded_view", "GET /rpc/secret_of_nobody"];
  test.each([
    ["no token", {}, 401],
    ["a token of role anon", { role: "anon" }, 401],
    ["a token of role authenticated", { role: "authenticated" }, 403],
  ])("%s", async (_, caller, status) => {
    await project.sql(
      "create or replace function public.secret_of_nobody() returns int stable language sql as 'select 1'",
    );
    await project.sql("revoke execute on function public.secret_of_nobody from public, anon, authenticated");
    await project.sql("notify pgrst, 'reload schema'");
    for (const target of refusals.slice(0, 2)) {
      const answer = await project.call(target, { ...caller, ...(target.startsWith("POST") && { body: { id: 1 } }) });
      expect(answer).toMatchObject({ status, body: { code: "42501" } });
      expect(answer.headers["www-authenticate"]).toBe(status === 401 ? "Bearer" : undefined);
    }
  });

  test("a token without a role is nobody's", async () => {
    const headers = { authorization: `Bearer ${project.token({ sub: "x" })}` };
    const answer = await project.call("GET /closed", { headers });
    expect(answer).toMatchObject({ status: 401, headers: { "www-authenticate": "Bearer" } });
  });
});

describe("changes without a condition", () => {
  test.each([
    ["PATCH /people", { name: "z" }, "UPDATE"],
    ["PATCH /people?limit=1&order=id", { name: "z" }, "UPDATE"],
    ["PATCH /guarded_view", { id: 1 }, "UPDATE"],
    ["DELETE /people", undefined, "DELETE"],
    ["DELETE /people?select=id", undefined, "DELETE"],
    ["DELETE /people?limit=1&order=id", undefined, "DELETE"],
    ["DELETE /guarded_view", undefined, "DELETE"],
  ])("%s is refused", async (target, body, command) => {
    for (const role of ["anon", "authenticated", "service_role"]) {
      expect(await project.call(target, { role, body })).toMatchObject({
        status: 400,
        body: { code: "21000", message: `${command} requires a WHERE clause`, details: null, hint: null },
      });
    }
    expect(await project.rows("GET /people?select=name&order=id")).toEqual([{ name: "a" }, { name: "b" }]);
  });

  test("pass with any condition, with nothing to set, and where the project has the guard off", async () => {
    const role = "service_role";
    expect((await project.call("PATCH /people?id=gt.0", { role, body: { name: "z" } })).status).toBe(204);
    expect((await project.call("DELETE /doc_notes?or=(id.eq.1,id.eq.2)", { role })).status).toBe(204);
    expect((await project.call("PATCH /people", { role, body: {} })).status).toBe(204);
    expect((await project.call("DELETE /doc_notes", { role, settings: { safeUpdate: false } })).status).toBe(204);
  });
});
