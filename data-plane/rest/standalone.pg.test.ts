import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from "vitest";
import { freePort } from "../../test/harness/cluster.ts";
import { createProjectDatabases } from "../database/project-databases.ts";
import { readEnvironment } from "./environment.ts";
import { type RunningStandalone, startStandalone } from "./standalone.ts";
import { signToken } from "./testing/request.ts";

const SECRET = "reallyreallyreallyreallyverysafe";
const unique = randomBytes(4).toString("hex");
const database = `plain_${unique}`;
const [login, anon, member] = [`login_${unique}`, `anon_${unique}`, `member_${unique}`];

const SCHEMA = `
  create table public.things (id int primary key, name text);
  insert into public.things values (1, 'one'), (2, 'two');
  create schema other;
  create table other.pieces (id int primary key);
  create function public.setting(name text) returns text stable language sql as $$ select current_setting(name, true) $$;
  create function public.configuration() returns void volatile language plpgsql as $$ begin
    perform set_config('pgrst.db_aggregates_enabled', 'true', true), set_config('pgrst.db_max_rows', '1', true);
  end $$;
  grant usage on schema other to ${anon}, ${member};
  grant all on all tables in schema public, other to ${anon}, ${member};
`;

/** A database as anybody has it: no project's, with roles of its own. */
let admin: pg.Client;
const running: RunningStandalone[] = [];
beforeAll(async () => {
  const cluster = new pg.Client({ connectionString: inject("clusterUrl") });
  await cluster.connect();
  await cluster.query(`
    create role ${login} login noinherit password 'pw'; create role ${anon}; create role ${member};
    grant ${anon}, ${member} to ${login}`);
  await cluster.query(`create database ${database}`);
  await cluster.end();
  admin = new pg.Client({
    connectionString: Object.assign(new URL(inject("clusterUrl")), { pathname: database }).href,
  });
  await admin.connect();
  await admin.query(SCHEMA);
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.close()));
});
afterAll(() => admin?.end());

/** @returns What asks the server that was started: `(target, init) => Response`. */
async function start(environment: Record<string, string> = {}) {
  const { host } = new URL(inject("clusterUrl"));
  const settings = readEnvironment({
    PGRST_DB_URI: `postgresql://${login}:pw@${host}/${database}`,
    PGRST_DB_ANON_ROLE: anon,
    PGRST_JWT_SECRET: SECRET,
    PGRST_SERVER_HOST: "127.0.0.1",
    PGRST_SERVER_PORT: "0",
    PGRST_LOG_LEVEL: "crit",
    ...environment,
  });
  const server = await startStandalone({ settings, createDatabases: createProjectDatabases });
  running.push(server);
  return (target: string, init: RequestInit = {}) => fetch(`http://127.0.0.1:${server.port}${target}`, init);
}

type Ask = Awaited<ReturnType<typeof start>>;
const json = async (response: Promise<Response>) => (await response).json();
const setting = (ask: Ask, name: string, init: RequestInit = {}) => json(ask(`/rpc/setting?name=${name}`, init));
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

test("requests are answered as on the wire: with a length, or nothing where there is no body", async () => {
  const ask = await start();
  const read = await ask("/things?select=id&order=id");
  expect([read.status, await read.text()]).toEqual([200, '[{"id":1}, \n {"id":2}]']);
  const length = async (target: string, init: RequestInit) => (await ask(target, init)).headers.get("content-length");
  expect(await length("/things?id=eq.1", {})).not.toBe(null);
  expect(await length("/things", { method: "HEAD" })).toBe(null);
  expect(await length("/things", { method: "OPTIONS" })).toBe("0");
  expect(await length("/things", { method: "POST", body: "[]", headers: { "content-type": "application/json" } })).toBe(
    "0",
  );
  expect(await length("/things?id=eq.-1", { method: "DELETE" })).toBe(null);
  expect(await length("/nowhere", {})).not.toBe(null);
});

describe("who asks", () => {
  test("without an anonymous role everybody needs a token", async () => {
    const ask = await start({ PGRST_DB_ANON_ROLE: "" });
    const refused = await ask("/things");
    expect([refused.status, refused.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
    expect(await refused.json()).toMatchObject({ code: "PGRST302", message: "Anonymous access is disabled" });
    expect(await setting(ask, "role", bearer(signToken({ role: member }, SECRET)))).toBe(member);
  });

  test("the key set's key of the token's kid is the one that counts", async () => {
    const keyPair = (kid: string) => ({ kid, ...generateKeyPairSync("ec", { namedCurve: "P-256" }) });
    const [one, two] = [keyPair("one"), keyPair("two")];
    const jwk = ({ kid, publicKey }: typeof one) => ({ ...publicKey.export({ format: "jwk" }), kid, alg: "ES256" });
    const ask = await start({ PGRST_JWT_SECRET: JSON.stringify({ keys: [jwk(one), jwk(two)] }) });
    const token = ({ privateKey: key }: typeof one, kid?: string) => {
      const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
      const signed = `${encode({ alg: "ES256", ...(kid && { kid }) })}.${encode({ role: member })}`;
      const signature = sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" });
      return bearer(`${signed}.${signature.toString("base64url")}`);
    };
    for (const init of [token(one, "one"), token(two, "two"), token(one), token(two)]) {
      expect(await setting(ask, "role", init)).toBe(member);
    }
    for (const init of [token(one, "two"), token(two, "three"), bearer(signToken({ role: member }, SECRET))]) {
      expect((await ask("/things", init)).status).toBe(401);
    }
  });

  test("a role's own settings hold for its requests", async () => {
    await admin.query(`alter role ${member} set statement_timeout = '7s';
      alter role ${member} in database ${database} set default_transaction_isolation = 'repeatable read'`);
    const ask = await start();
    const init = bearer(signToken({ role: member }, SECRET));
    expect(await setting(ask, "statement_timeout", init)).toBe("7s");
    expect(await setting(ask, "transaction_isolation", init)).toBe("repeatable read");
    expect(await setting(ask, "statement_timeout")).toBe("0");
  });
});

describe("configuration in the database", () => {
  const set = (name: string, value: string) =>
    admin.query(`alter role ${login} in database ${database} set ${name} = '${value}'`);
  afterEach(() => admin.query(`alter role ${login} in database ${database} reset all`));

  test("goes before the environment and is read again when the database says so", async () => {
    await set("pgrst.db_max_rows", "1");
    await set("app.settings.shop", "north");
    const ask = await start({ PGRST_DB_MAX_ROWS: "100" });
    expect(await json(ask("/things"))).toHaveLength(1);
    expect(await setting(ask, "app.settings.shop")).toBe("north");
    expect((await ask("/pieces", { headers: { "accept-profile": "other" } })).status).toBe(406);

    await set("pgrst.db_max_rows", "2");
    await set("pgrst.db_schemas", "public, other");
    await admin.query("notify pgrst, 'reload config'");
    await expect.poll(async () => (await json(ask("/things"))).length).toBe(2);
    expect((await ask("/pieces", { headers: { "accept-profile": "other" } })).status).toBe(200);

    await admin.query(`alter role ${login} in database ${database} reset all; notify pgrst, 'reload config'`);
    await expect.poll(async () => (await ask("/pieces", { headers: { "accept-profile": "other" } })).status).toBe(406);
  });

  test("may come from a function, which goes before the login's settings", async () => {
    await set("pgrst.db_max_rows", "2");
    const ask = await start({ PGRST_DB_PRE_CONFIG: "public.configuration" });
    expect(await json(ask("/things?select=id&order=id"))).toEqual([{ id: 1 }]);
    expect(await json(ask("/things?select=count()"))).toEqual([{ count: 2 }]);
  });

  test.each([
    ["db_schemas", "pg_catalog"],
    ["db_max_rows", "many"],
    ["jwt_secret", "short"],
  ])("that is not usable (%s = %s) is left out", async (name, value) => {
    await set(`pgrst.${name}`, value);
    const ask = await start();
    expect(await json(ask("/things"))).toHaveLength(2);
    expect(await setting(ask, "role", bearer(signToken({ role: member }, SECRET)))).toBe(member);
  });

  test("is not read when the environment says so", async () => {
    await set("pgrst.db_max_rows", "1");
    const ask = await start({ PGRST_DB_CONFIG: "false" });
    expect(await json(ask("/things"))).toHaveLength(2);
  });
});

describe("requests from other origins", () => {
  const EXPOSED =
    "Content-Encoding, Content-Location, Content-Range, Content-Type, Date, Location, Server, Transfer-Encoding, Range-Unit";
  const preflight = (origin: string) => ({
    method: "OPTIONS",
    headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "Foo,Bar" },
  });
  const cors = (response: Response) =>
    Object.fromEntries([...response.headers].filter(([name]) => name.startsWith("access-control-")));

  test("are answered for any of them unless some are named", async () => {
    const ask = await start();
    const answer = await ask("/things", preflight("http://a.example"));
    expect([answer.status, await answer.text()]).toEqual([200, ""]);
    expect(cors(answer)).toEqual({
      "access-control-allow-origin": "*",
      "access-control-allow-methods": "GET, POST, PATCH, PUT, DELETE, OPTIONS, HEAD",
      "access-control-allow-headers": "Authorization, Foo, Bar, Accept, Accept-Language, Content-Language",
      "access-control-max-age": "86400",
    });
    expect(cors(await ask("/things", { headers: { origin: "http://a.example" } }))).toEqual({
      "access-control-allow-origin": "*",
      "access-control-expose-headers": EXPOSED,
    });
    expect(cors(await ask("/nowhere"))).toEqual({ "access-control-allow-origin": "*" }); // errors too
  });

  test("are answered for those that are named, with credentials", async () => {
    const ask = await start({ PGRST_SERVER_CORS_ALLOWED_ORIGINS: "http://a.example, http://b.example" });
    expect(cors(await ask("/things", preflight("http://b.example")))).toMatchObject({
      "access-control-allow-origin": "http://b.example",
      "access-control-allow-credentials": "true",
    });
    for (const init of [preflight("http://evil.example"), { headers: { origin: "http://evil.example" } }]) {
      expect(cors(await ask("/things", init))).not.toHaveProperty("access-control-allow-origin");
    }
  });
});

test("the trace header comes back", async () => {
  const ask = await start({ PGRST_SERVER_TRACE_HEADER: "X-Trace" });
  expect((await ask("/things", { headers: { "x-trace": "t-1" } })).headers.get("x-trace")).toBe("t-1");
  expect((await ask("/things")).headers.has("x-trace")).toBe(false);
});

test("the admin port tells how it is", async () => {
  const port = await freePort();
  const ask = await start({ PGRST_ADMIN_SERVER_PORT: String(port) });
  await ask("/things");
  const tell = (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
  expect((await tell("/live")).status).toBe(200);
  expect((await tell("/ready")).status).toBe(200);
  expect(await (await tell("/metrics")).text()).toMatch(/^pgrst_schema_cache_loaded 1$/m);
  expect(JSON.stringify(await json(tell("/schema_cache")))).toContain("things");
  expect((await tell("/other")).status).toBe(404);
});
