import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest";
import { ensureServiceToken } from "./accounts/service-tokens.ts";
import { createLogger } from "./logger.ts";
import { parseMasterKeys } from "./secrets/master-keys.ts";
import { createControlPlane } from "./server.ts";
import { createFreshDatabase } from "./testing/fresh-database.ts";
import {
  createTestControlPlane,
  insertTestAccount,
  type TestAccount,
  type TestControlPlane,
} from "./testing/test-control-plane.ts";

let plane: TestControlPlane;
let owner: TestAccount;

beforeAll(async () => {
  plane = await createTestControlPlane(inject("clusterUrl"), { dashboardOrigins: ["http://localhost:5173"] });
  owner = await insertTestAccount(plane.database, "owner");
});
afterAll(() => plane[Symbol.asyncDispose]());

const post = (body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${plane.url}/graphql`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });

describe("the HTTP side", () => {
  test("says that it lives, that it is ready, and what it counts", async () => {
    expect((await fetch(`${plane.url}/health`)).status).toBe(200);
    expect((await fetch(`${plane.url}/ready`)).status).toBe(200);
    await plane.client().request("{ instance { version } }");
    const metrics = await (await fetch(`${plane.url}/metrics`)).text();
    expect(metrics).toMatch(/graphql_operations_total\{type="query",field="instance",outcome="ok"\} \d/);
  });

  test("tells what it counts to this machine alone, and not to what a proxy on it passes on", async () => {
    const { url } = await plane.startAnother({ trustedProxies: ["127.0.0.1", "::1"] });
    expect((await fetch(`${url}/metrics`)).status).toBe(403);
    for (const header of ["x-forwarded-for", "forwarded"])
      expect((await fetch(`${plane.url}/metrics`, { headers: { [header]: "127.0.0.1" } })).status).toBe(403);
  });

  test("tells what it counts to whoever has the token where there is one", async () => {
    const { url } = await plane.startAnother({
      trustedProxies: ["127.0.0.1", "::1"],
      metricsToken: "0123456789abcdef",
    });
    const ask = (headers: Record<string, string>) => fetch(`${url}/metrics`, { headers });
    expect((await ask({})).status).toBe(401);
    expect((await ask({ authorization: "Bearer 0123456789abcdeX" })).status).toBe(401);
    expect((await ask({ authorization: "Bearer 0123456789abcdef", "x-forwarded-for": "192.0.2.1" })).status).toBe(200);
  });

  test("gives each request an id and keeps a proxy's", async () => {
    const given = await fetch(`${plane.url}/health`, { headers: { "x-request-id": "0123456789abcdef" } });
    expect(given.headers.get("x-request-id")).toBe("0123456789abcdef");
    const made = await fetch(`${plane.url}/health`, { headers: { "x-request-id": "a\tb" } });
    expect(made.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("refuses bodies that a foreign page could send without asking", async () => {
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]) {
      expect((await post("query=mutation{signOut}", { "content-type": type })).status).toBe(415);
    }
  });

  test("refuses a body above a megabyte", async () => {
    const answer = await post({ query: `{ instance { version } } # ${"x".repeat(1_100_000)}` });
    expect(answer.status).toBe(413);
  });

  test("lets only configured origins read answers with cookies", async () => {
    const preflight = (origin: string) =>
      fetch(`${plane.url}/graphql`, {
        method: "OPTIONS",
        headers: { origin, "access-control-request-method": "POST" },
      });
    const allowed = await preflight("http://localhost:5173");
    expect(allowed.headers.get("access-control-allow-origin")).toBe("http://localhost:5173");
    expect(allowed.headers.get("access-control-allow-credentials")).toBe("true");
    for (const origin of ["http://localhost:8083", "null", "https://evil.example"]) {
      expect((await preflight(origin)).headers.get("access-control-allow-origin")).toBeNull();
    }
  });
});

describe("documents", () => {
  test("can be introspected", async () => {
    const { data } = await plane.client().request("{ __schema { queryType { name } } }");
    expect(data.__schema.queryType.name).toBe("Query");
  });

  test("that are too deep, too wide or too complex are refused before anything runs", async () => {
    const nested = (levels: number): string =>
      levels === 0 ? "id" : `projects { nodes: edges { node { organization { ${nested(levels - 1)} } } } }`;
    const deep = `{ viewer { organizations { ${nested(4)} } } }`;
    const wide = `{ ${Array.from({ length: 201 }, (_, i) => `a${i}: instance { version }`).join(" ")} }`;
    for (const document of [deep, wide]) {
      expect(await plane.client(owner.token).code(document)).toBe("QUERY_TOO_LARGE");
    }
  });

  test("cannot hide a large operation behind a small one", async () => {
    const wide = Array.from({ length: 201 }, (_, i) => `a${i}: instance { version }`).join(" ");
    const answer = await post({
      query: `query Small { instance { version } } query Large { ${wide} }`,
      operationName: "Large",
    });
    const { errors } = (await answer.json()) as { errors: { extensions: { code: string } }[] };
    expect(errors[0]?.extensions.code).toBe("QUERY_TOO_LARGE");
  });

  test("of too many tokens are not even parsed", async () => {
    const answer = await plane.client().request(`{ ${"__typename ".repeat(6_000)} }`);
    expect(answer.errors[0]?.message).toMatch(/tokens/);
  });

  test("cannot be batched", async () => {
    const answer = await post([{ query: "{ instance { version } }" }, { query: "{ instance { version } }" }]);
    expect(answer.status).toBe(400);
  });

  test.each([
    ["variables", "query=%7B__typename%7D&variables=%7B"],
    ["extensions", "query=%7B__typename%7D&extensions=%5B"],
  ])("with %s that are no JSON are the client's mistake", async (_name, query) => {
    const response = await fetch(`${plane.url}/graphql?${query}`);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: "BAD_REQUEST" } }] });
  });

  test("that change something are not taken by GET", async () => {
    const url = `${plane.url}/graphql?query=${encodeURIComponent("mutation { signOut }")}`;
    expect((await fetch(url, { headers: owner.session })).status).toBe(405);
  });
});

describe("failures", () => {
  test("of ours carry a code, those inside are masked with the id of the request and logged", async () => {
    const broken = plane.controlPlane.services.database;
    const query = broken.query.bind(broken);
    broken.query = () => Promise.reject(new Error("relation secret_table is missing"));
    try {
      const answer = await plane.client().request("{ instance { needsFirstAccount } }");
      expect(answer.errors[0]).toMatchObject({ message: "internal error", extensions: { code: "INTERNAL" } });
      const requestId = answer.headers.get("x-request-id");
      expect(answer.errors[0]?.extensions?.requestId).toBe(requestId);
      expect(plane.log.some((line) => line.includes(String(requestId)) && line.includes("secret_table"))).toBe(true);
    } finally {
      broken.query = query;
    }
  });

  test("of credentials: a bearer token that is wrong fails the whole request with 401", async () => {
    for (const token of [`sbp_${"0".repeat(40)}`, "nonsense", `sbsvc_${"0".repeat(40)}`]) {
      const answer = await plane.client(token).request("{ instance { version } }");
      expect(answer.status).toBe(401);
      expect(answer.errors[0]?.extensions?.code).toBe("UNAUTHENTICATED");
    }
  });

  test("no token, cookie or variable comes into the log", async () => {
    const secret = "hunter2hunter2";
    await plane
      .client()
      .request('mutation M($p: String!) { signIn(email: "a@b.example", password: $p) { id } }', { p: secret });
    await plane.client(owner.token).request("{ viewer { id } }");
    const log = plane.log.join("");
    expect(log).not.toContain(secret);
    expect(log).not.toContain(owner.token);
    expect(log).toMatch(/"fields":\["signIn"\]/);
  });
});

describe("the session cookie", () => {
  const viewer = { query: "{ viewer { email } }" };
  test("is taken from the server's own origin and from configured ones", async () => {
    const cookie = String(owner.session.cookie);
    for (const origin of [plane.url, "http://localhost:5173"]) {
      const answer = (await (await post(viewer, { cookie, origin })).json()) as { data: { viewer: { email: string } } };
      expect(answer.data.viewer.email).toBe(owner.email);
    }
  });

  test("is refused with a page of another origin, a tenant's on the gateway's port for one", async () => {
    const cookie = String(owner.session.cookie);
    for (const headers of [{ origin: "http://localhost:8083" }, { origin: "null" }, {}]) {
      const answer = await post(viewer, { cookie, ...headers });
      expect(answer.status).toBe(403);
    }
  });
});

test("closing ends subscriptions, and lets a request under way end", async () => {
  await using other = await createTestControlPlane(inject("clusterUrl"));
  const account = await insertTestAccount(other.database);
  const client = other.client(account.token);
  const { createOrganization } = await client.data('mutation { createOrganization(name: "Closing") { id } }');
  const subscription = client.subscribe("subscription S($id: ID!) { projects(organizationId: $id) { ref } }", {
    id: createOrganization.id,
  });
  expect((await subscription.next()).value.data.projects).toEqual([]);
  const { request, closed } = await other.database.transaction(async (tx) => {
    await tx.query("lock table organizations in share mode"); // the request waits in the middle of its work
    const request = client.data('mutation { createOrganization(name: "Last") { slug } }');
    await vi.waitFor(async () => {
      const waiting = await other.database.query(
        "select from pg_locks where not granted and relation = 'organizations'::regclass",
      );
      expect(waiting).toHaveLength(1);
    });
    const closed = other.controlPlane.close();
    expect((await subscription.next()).done).toBe(true);
    return { request, closed };
  });
  expect((await request).createOrganization.slug).toBe("last");
  await closed;
});

test("two instances may start at the same moment on an empty database", async () => {
  await using fresh = await createFreshDatabase(inject("clusterUrl"));
  const options = {
    databaseUrl: fresh.url,
    masterKeys: parseMasterKeys(randomBytes(32).toString("base64")),
    publicGatewayUrl: "http://localhost:8083",
    baseDomain: "localhost",
    logger: createLogger("silent"),
    version: "0.0.0-test",
  };
  const instances = await Promise.all([createControlPlane(options), createControlPlane(options)]);
  const clusters = await instances[0].services.database.query("select from clusters");
  await Promise.all(instances.map((instance) => instance.close()));
  expect(clusters).toHaveLength(1);
});

test("one account holds at most a hundred subscriptions, and gets one back for each that it ends", async () => {
  const account = await insertTestAccount(plane.database);
  const client = plane.client(account.token);
  const { createOrganization } = await client.data('mutation { createOrganization(name: "Busy") { id } }');
  const document = `subscription { projects(organizationId: "${createOrganization.id}") { ref } }`;
  const open = Array.from({ length: 100 }, () => client.subscribe(document));
  await Promise.all(open.map((stream) => stream.next()));
  const oneMore = () => client.subscribe(document).next();
  expect((await oneMore()).value.errors[0].extensions.code).toBe("TOO_MANY_REQUESTS");
  const somebodyElse = plane.client(owner.token).subscribe(document);
  expect((await somebodyElse.next()).value.errors).toEqual([]);
  await open[0]?.return(undefined);
  await vi.waitFor(async () => expect((await oneMore()).value.errors).toEqual([]));
  await Promise.all([somebodyElse, ...open].map((stream) => stream.return(undefined)));
});

test("a service token is refused everything but config snapshots", async () => {
  const token = await ensureServiceToken(plane.database, "gateway", "test");
  expect(await plane.client(token).code("{ organizations { totalCount } }")).toBe("FORBIDDEN");
  expect(await plane.client(token).code('mutation { createOrganization(name: "x") { id } }')).toBe("FORBIDDEN");
  expect(await plane.client(token).code('{ projectConfigs(refs: ["aaaaaaaaaaaaaaaaaaaa"]) }')).toBeNull();
});
