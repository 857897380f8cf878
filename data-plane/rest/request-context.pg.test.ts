import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";

const SCHEMA = `
  create function public.noon() returns timestamptz immutable language sql as $$ select '2020-01-01 12:00Z'::timestamptz $$;
  create function public.escalate() returns text volatile language plpgsql as $$ begin
    perform set_config('role', 'service_role', false), set_config('app.left', 'behind', false);
    return current_user;
  end $$;
  -- Settings of functions.
  create function public.patient() returns text stable language sql set statement_timeout = '7s'
    as $$ select current_setting('statement_timeout') $$;
  create function public.impatient() returns text volatile language plpgsql set statement_timeout = '20ms'
    as $$ begin perform pg_sleep(5); return 'done'; end $$;
  create function public.serialized() returns text volatile language sql set default_transaction_isolation = 'serializable'
    as $$ select current_setting('transaction_isolation') $$;
  create function public.repeatable() returns text stable language sql set default_transaction_isolation = 'repeatable read'
    as $$ select current_setting('transaction_isolation') $$;
  -- Before each request: what the header X-Mode asks for.
  create function public.gate() returns void volatile language plpgsql as $$ begin
    case current_setting('request.headers')::json ->> 'x-mode'
      when 'refuse' then raise sqlstate 'PT451' using message = 'banned', hint = 'go away';
      when 'respond' then
        perform set_config('response.headers', '[{"X-Gate": "open"}]', true), set_config('response.status', '202', true);
      when 'promote' then perform set_config('role', 'service_role', true);
      when 'write' then insert into public.keyless values (1);
      else perform set_config('app.gate', 'passed', true);
    end case;
  end $$;
`;

let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  project = await world.createProject({ settings: { schemas: ["public", "museum"] }, sql: SCHEMA });
});
afterAll(() => world?.close());

const setting = (name: string, options = {}) => project.rows(`GET /rpc/setting?name=${name}`, options);
/** What PostgreSQL shows of a setting that nobody made, or that was made and undone. */
const UNSET = [null, ""];
const asUser = (letter: string) => ({
  role: "authenticated",
  claims: { sub: `00000000-0000-0000-0000-00000000000${letter}` },
});

describe("SQL sees", () => {
  test.each([
    ["request.method", "POST"],
    ["request.path", "/rpc/setting"],
    ["role", "authenticated"],
    ["search_path", '"public", "public", "extensions"'],
  ])("%s as %j", async (name, value) => {
    expect(await project.rows("POST /rpc/setting", { body: { name }, role: "authenticated" })).toBe(value);
  });

  test("claims, headers, and cookies apart from them, as JSON", async () => {
    const request = { ...asUser("a"), headers: { "x-own": "1", cookie: "a=1; b=2=3; a=4" } };
    expect(JSON.parse(await setting("request.jwt.claims", request))).toEqual({
      role: "authenticated",
      ...request.claims,
    });
    const headers = JSON.parse(await setting("request.headers", request));
    expect(headers).toMatchObject({ "x-own": "1" });
    expect(headers).not.toHaveProperty("cookie");
    expect(JSON.parse(await setting("request.cookies", request))).toEqual({ a: "1", b: "2=3" });
    expect(JSON.parse(await setting("request.jwt.claims"))).toEqual({ role: "anon" });
    expect(await setting("request.cookies")).toBe("{}");
  });

  test("the settings of the project's own application", async () => {
    expect(await setting("app.settings.shop", { settings: { appSettings: { shop: "north" } } })).toBe("north");
    expect(UNSET).toContain(await setting("app.settings.shop"));
  });
});

describe("between requests", () => {
  test("nothing of one is left for the next, not even what it set for the session", async () => {
    await project.call("POST /rpc/escalate", asUser("a"));
    await Promise.all(
      Array.from({ length: 12 }, async () => {
        expect(await setting("role")).toBe("anon");
        expect(UNSET).toContain(await setting("app.left"));
        expect(JSON.parse(await setting("request.jwt.claims"))).toEqual({ role: "anon" });
      }),
    );
  });

  test("row-level security sees the user of each token, also when all come at once", async () => {
    const users = ["a", "b", null, "a", "b", null, "b", "a"];
    const answers = await Promise.all(
      users.map((user) => project.rows("GET /notes?select=id", user === null ? {} : asUser(user))),
    );
    expect(answers).toEqual(users.map((user) => (user === null ? [] : [{ id: user === "a" ? 1 : 2 }])));
    expect(await project.rows("GET /notes?select=id&order=id", { role: "service_role" })).toEqual([
      { id: 1 },
      { id: 2 },
    ]);
  });

  test("row-level security holds for writes", async () => {
    const foreign = { id: 9, owner: "00000000-0000-0000-0000-00000000000b", body: "forged" };
    expect(await project.call("POST /notes", { ...asUser("a"), body: foreign })).toMatchObject({
      status: 403,
      body: { code: "42501" },
    });
    const untouched = await project.call("DELETE /notes?id=eq.2", { ...asUser("a"), prefer: "count=exact" });
    expect(untouched.headers["content-range"]).toBe("*/0");
  });
});

describe("the Prefer header", () => {
  test.each([
    ["whatever, count=exact, colour=red", "count=exact"],
    ["count=exact, count=planned", "count=exact"], // the first of a kind
    ["count=none, count=exact", "count=exact"], // that is valid
    ["timezone=UTC, handling=lenient", "handling=lenient, timezone=UTC"],
    ["return=representation, missing=default, resolution=merge-duplicates", undefined], // nothing for a read
  ])("%s is applied as %s", async (prefer, applied) => {
    const answer = await project.call("GET /tags", { prefer });
    expect([answer.status, answer.headers["preference-applied"]]).toEqual([200, applied]);
  });

  test("is refused as a whole when strict and not understood", async () => {
    expect(await project.call("GET /tags", { prefer: "handling=strict, whatever, count=some" })).toMatchObject({
      status: 400,
      body: {
        code: "PGRST122",
        message: "Invalid preferences given with handling=strict",
        details: "Invalid preferences: whatever, count=some",
      },
    });
  });

  test.each([
    ["Asia/Tokyo", "2020-01-01T21:00:00+09:00"],
    ["+05:30", "2020-01-01T06:30:00-05:30"], // signs as POSIX has them
    ["-4", "2020-01-01T08:00:00-04:00"], // a bare number is hours east
  ])("timezone=%s shows noon as %s", async (zone, noon) => {
    const answer = await project.call("GET /rpc/noon", { prefer: `handling=strict, timezone=${zone}` });
    expect(answer).toMatchObject({
      body: noon,
      headers: { "preference-applied": `handling=strict, timezone=${zone}` },
    });
    expect(await project.rows("GET /rpc/noon")).toBe("2020-01-01T12:00:00+00:00");
  });

  test("a time zone that there is not is 400, strict or not", async () => {
    for (const prefer of ["timezone=Not/There", "handling=strict, timezone=Not/There"]) {
      expect(await project.call("GET /tags", { prefer })).toMatchObject({ status: 400, body: { code: "22023" } });
    }
  });
});

describe("the end of the transaction", () => {
  test.each([
    ["commit", "rollback", undefined, true],
    ["commit-allow-override", "rollback", "tx=rollback", false],
    ["commit-allow-override", undefined, undefined, true],
    ["rollback", "commit", undefined, false],
    ["rollback-allow-override", "commit", "tx=commit", true],
    ["rollback-allow-override", undefined, undefined, false],
  ] as const)("is %s; asked for %s it keeps the row: %s %s", async (txEnd, asked, applied, kept) => {
    const settings = { txEnd };
    const answer = await project.call("POST /keyless", {
      settings,
      body: { n: 500 },
      ...(asked && { prefer: `tx=${asked}` }),
    });
    expect([answer.status, answer.headers["preference-applied"]]).toEqual([201, applied]);
    expect(await project.rows("GET /keyless?n=eq.500")).toEqual(kept ? [{ n: 500 }] : []);
    await project.sql("delete from keyless where n = 500");
  });

  test("a deferred constraint is told even when all is undone", async () => {
    await project.sql("create table deferred (n int constraint late references codes deferrable initially deferred)");
    await expect.poll(async () => (await project.call("GET /deferred")).status).toBe(200);
    const settings = { txEnd: "rollback" as const };
    expect(await project.call("POST /deferred", { body: { n: 99 }, settings })).toMatchObject({
      status: 409,
      body: { code: "23503" },
    });
  });
});

describe("schemas", () => {
  const MUSEUM = { "accept-profile": "museum", "content-profile": "museum" };

  test("the first is the default, the answer names the one that served it", async () => {
    const first = await project.call("GET /tags?id=eq.1");
    expect(first).toMatchObject({ status: 200, headers: { "content-profile": "public" } });
    expect(await project.call("GET /pieces", { headers: MUSEUM })).toMatchObject({
      status: 200,
      body: [{ id: 1, title: "vase" }],
      headers: { "content-profile": "museum" },
    });
    expect((await project.call("GET /pieces")).status).toBe(404);
  });

  test.each([
    ["GET /pieces", "accept-profile"],
    ["HEAD /pieces", "accept-profile"],
    ["PATCH /pieces?id=eq.-1", "content-profile"],
    ["DELETE /pieces?id=eq.-1", "content-profile"],
    ["POST /pieces?columns=id", "content-profile"],
  ])("%s goes by %s and not by the other", async (target, header) => {
    const other = header === "accept-profile" ? "content-profile" : "accept-profile";
    const body = target.startsWith("GET") || target.startsWith("HEAD") ? undefined : [];
    const send = (headers: Record<string, string>) => project.call(target, { headers, body });
    expect((await send({ [header]: "museum", [other]: "nowhere" })).status).toBeLessThan(300);
    expect((await send({ [other]: "museum" })).status).toBe(404);
  });

  test.each(["auth", "pg_catalog", "supalove", "Museum", ""])("%j is refused", async (profile) => {
    expect(await project.call("GET /users", { headers: { "accept-profile": profile } })).toMatchObject({
      status: 406,
      body: {
        code: "PGRST106",
        message: `Invalid schema: ${profile}`,
        hint: "Only the following schemas are exposed: public, museum",
      },
    });
  });
});

describe("settings of functions", () => {
  const settings = { hoistedTxSettings: ["statement_timeout", "default_transaction_isolation"] };

  test("that the project names hold for the whole transaction", async () => {
    expect(await project.rows("GET /rpc/patient", { settings })).toBe("7s");
    // Inside the function alone a time-out would come too late: it is looked at when a statement begins.
    expect(await project.call("POST /rpc/impatient", { settings })).toMatchObject({
      status: 500,
      body: { code: "57014" },
    });
  });

  test("as does the isolation level", async () => {
    expect(await project.rows("POST /rpc/serialized", { settings })).toBe("serializable");
    expect(await project.rows("GET /rpc/repeatable", { settings })).toBe("repeatable read");
  });

  test("hold for the function alone when the project does not", async () => {
    expect(await project.rows("POST /rpc/serialized")).toBe("read committed");
  });
});

describe("settings of roles", () => {
  test("come from the project's own list, of each role its own", async () => {
    expect(await setting("statement_timeout")).toBe("3s");
    expect(await setting("statement_timeout", asUser("a"))).toBe("8s");
    await project.sql(`
      insert into supalove.api_role_settings values
        ('authenticated', 'default_transaction_isolation', 'repeatable read'), ('authenticated', 'work_mem', '5MB');
      notify pgrst, 'reload schema'`);
    await expect.poll(() => setting("work_mem", asUser("a"))).toBe("5MB");
    expect(await setting("transaction_isolation", asUser("a"))).toBe("repeatable read");
    expect(await setting("transaction_isolation")).toBe("read committed");
  });

  test("never from the role itself, which all projects of the cluster share", async () => {
    const admin = new pg.Client({ connectionString: project.adminUrl });
    await admin.connect();
    try {
      const database = project.snapshot.database.database;
      await admin.query("alter role anon set work_mem = '77MB'");
      await admin.query(`alter role anon in database ${database} set temp_buffers = '77MB'`);
      await project.sql("create table reloaded (id int)");
      await expect.poll(async () => (await project.call("GET /reloaded")).status).toBe(200);
      expect(await setting("work_mem")).not.toBe("77MB");
      expect(await setting("temp_buffers")).not.toBe("77MB");
    } finally {
      await admin.query("alter role anon reset work_mem");
      await admin.end();
    }
  });
});

describe("the function before each request", () => {
  const settings = { preRequest: "public.gate", schemas: ["public", "museum"] };
  const mode = (name: string) => ({ settings, headers: { "x-mode": name } });

  test("runs in its transaction, as its role", async () => {
    expect(await setting("app.gate", { settings })).toBe("passed");
    expect(await setting("app.gate", { settings: { ...settings, preRequest: "gate" } })).toBe("passed"); // on the path
    expect(UNSET).toContain(await setting("app.gate"));
  });

  test("may refuse", async () => {
    for (const target of ["GET /tags", "POST /keyless", "DELETE /keyless?n=eq.1", "GET /rpc/three", "GET /"]) {
      expect(
        await project.call(target, { ...mode("refuse"), ...(target.startsWith("POST") && { body: { n: 1 } }) }),
      ).toMatchObject({
        status: 451,
        body: { code: "PT451", message: "banned", hint: "go away" },
      });
    }
  });

  test("may set the response's status and headers", async () => {
    expect(await project.call("GET /tags?id=eq.1", mode("respond"))).toMatchObject({
      status: 202,
      body: [{ id: 1, name: "old" }],
      headers: { "x-gate": "open" },
    });
  });

  test("may change the role", async () => {
    expect((await project.call("GET /secrets", { settings })).status).toBe(401);
    expect((await project.call("GET /secrets", mode("promote"))).status).toBe(200);
  });

  test("may write where the request may", async () => {
    expect(await project.call("GET /keyless", mode("write"))).toMatchObject({ status: 405, body: { code: "25006" } });
    expect((await project.call("PATCH /keyless?n=eq.-1", { ...mode("write"), body: { n: 2 } })).status).toBe(204);
    expect(await project.rows("GET /keyless")).toEqual([{ n: 1 }]);
    await project.sql("delete from keyless");
  });

  test("is missed when it is not there", async () => {
    expect(await project.call("GET /tags", { settings: { preRequest: "public.no_such" } })).toMatchObject({
      status: 404,
      body: { code: "42883" },
    });
  });
});

test.each([
  ["GET /tags", ["jwt", "parse", "plan", "transaction", "response"]],
  ["POST /rpc/add_up", ["jwt", "parse", "plan", "transaction", "response"]],
  ["GET /", ["jwt", "parse", "plan", "transaction", "response"]],
  ["OPTIONS /tags", ["jwt", "parse", "response"]],
])("Server-Timing tells the steps of %s when the project wants it", async (target, steps) => {
  const body = target.startsWith("POST") ? { a: 1 } : undefined;
  const answer = await project.call(target, { body, settings: { serverTimingEnabled: true } });
  const timing = answer.headers["server-timing"] ?? "";
  expect(timing.split(", ").map((step) => /^(\w+);dur=[\d.]+$/.exec(step)?.[1])).toEqual(steps);
  expect((await project.call(target, { body })).headers).not.toHaveProperty("server-timing");
});
