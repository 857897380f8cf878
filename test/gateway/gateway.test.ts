/** The gateway over sockets, with services that run in its own process. */
import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { ServiceRequest } from "../../data-plane/service.ts";
import { ANON_JWT, keyEntry, PUBLISHABLE, REF, SECRET, SERVICE_JWT, snapshot } from "../../gateway/snapshot.fixture.ts";
import { DEFAULT_TIMEOUTS } from "../../gateway/upstreams/upstream.ts";
import { echo, localServices, MemoryConfigs, type RunningGateway, rawExchange, startGateway } from "./support.ts";

const running: RunningGateway[] = [];
async function start(...args: Parameters<typeof startGateway>): Promise<RunningGateway> {
  const gateway = await startGateway(...args);
  running.push(gateway);
  return gateway;
}
afterEach(() => {
  for (const { gateway } of running.splice(0)) gateway.close();
});

async function* pieces(count: number) {
  for (let index = 0; index < count; index += 1) yield Buffer.alloc(1_000_000, "x");
}

const withKey = { headers: { apikey: ANON_JWT } };

describe("what a service is told", () => {
  test("path, query, credentials, client and public address", async () => {
    const { projectUrl, port } = await start({ publicUrl: "http://127.0.0.1:1" });
    const response = await fetch(`${projectUrl}/rest/v1//todos?select=id&apikey=${PUBLISHABLE}`, {
      method: "POST",
      body: "hello",
      headers: { "x-request-id": "my-id" },
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("x-request-id")).toBe("my-id");
    expect(await response.json()).toMatchObject({
      method: "POST",
      path: "/todos",
      query: "select=id",
      body: "hello",
      clientAddress: "127.0.0.1",
      requestId: "my-id",
      publicUrl: `http://127.0.0.1:${port}/projects/${REF}`,
      publicPath: `/projects/${REF}/rest/v1`,
      headers: { authorization: "Bearer role-token-anon", "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http" },
    });
  });

  test("the schema that the GraphQL route sets, whatever the client says", async () => {
    const { projectUrl } = await start();
    const headers = { ...withKey.headers, "content-profile": "private", "x-kept": "content-profile" };
    const told = await (await fetch(`${projectUrl}/graphql/v1`, { method: "POST", headers, body: "{}" })).json();
    expect(told.headers).toMatchObject({ "content-profile": "graphql_public", "x-kept": "content-profile" });
  });

  test("nothing that only the gateway may say", async () => {
    const { projectUrl } = await start();
    const forged = [
      ...["x-forwarded-for", "x-forwarded-user", "x-supalove-project", "x-supalove-token", "sb-api-key", "x-api-key"],
      ...["x-connection-encrypted", "x-real-ip", "forwarded", "x-envoy-internal", "x-consumer-username"],
    ];
    const headers = { ...Object.fromEntries(forged.map((name) => [name, "forged"])), apikey: ANON_JWT, cookie: "a=b" };
    const told = await (await fetch(`${projectUrl}/rest/v1/todos`, { headers })).json();
    expect(Object.values(told.headers)).not.toContain("forged");
    expect(told.headers).not.toHaveProperty("cookie");
  });

  test("trace headers as they were sent, and none when none were sent", async () => {
    const { projectUrl } = await start();
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const sent = await fetch(`${projectUrl}/rest/v1/x`, {
      headers: { ...withKey.headers, traceparent, baggage: "a=b" },
    });
    expect((await sent.json()).headers).toMatchObject({ traceparent, baggage: "a=b" });
    const unsent = await (await fetch(`${projectUrl}/rest/v1/x`, withKey)).json();
    expect(unsent.headers).not.toHaveProperty("traceparent");
    expect(unsent.headers).not.toHaveProperty("tracestate");
  });

  test("a link base that no client can forge by its Host header", async () => {
    const { port } = await start({ publicUrl: "https://api.example" });
    const message = (host: string) =>
      `GET /projects/${REF}/auth/v1/user HTTP/1.1\r\nHost: ${host}\r\napikey: ${ANON_JWT}\r\n\r\n`;
    expect(await rawExchange(port, message("evil.example"))).toContain(
      `"publicUrl":"https://api.example/projects/${REF}"`,
    );
    expect(await rawExchange(port, message("6.6.6.6"))).toContain(`"publicUrl":"https://api.example/projects/${REF}"`);
    expect(await rawExchange(port, message("localhost:99"))).toContain(
      `"publicUrl":"http://localhost:99/projects/${REF}"`,
    );
  });
});

describe("where a project is found", () => {
  test("by host label and by custom host, where cookies are its own", async () => {
    const { port } = await start({ configs: new MemoryConfigs(snapshot({ customHosts: ["api.customer.example"] })) });
    for (const host of [`${REF}.localhost:8083`, "api.customer.example"]) {
      const message = `GET /rest/v1/todos HTTP/1.1\r\nHost: ${host}\r\napikey: ${ANON_JWT}\r\nCookie: a=b\r\n\r\n`;
      const response = await rawExchange(port, message);
      expect(response).toContain(`"publicUrl":"http://${host}"`);
      expect(response).toContain('"publicPath":"/rest/v1"');
      expect(response).toContain('"cookie":"a=b"');
    }
  });

  test("not under another project's host", async () => {
    const other = snapshot({ projectRef: "zzzzzzzzzzzzzzzzzzzz" as typeof REF, customHosts: ["api.customer.example"] });
    const { port } = await start({ configs: new MemoryConfigs(snapshot(), other) });
    const message = `GET /projects/${REF}/rest/v1/x HTTP/1.1\r\nHost: api.customer.example\r\napikey: ${ANON_JWT}\r\n\r\n`;
    expect(await rawExchange(port, message)).toMatch(/^HTTP\/1.1 404/);
  });
});

describe("a name that is not a project's", () => {
  const thief = "zzzzzzzzzzzzzzzzzzzz" as typeof REF;
  const taken = [
    "localhost",
    `${REF}.localhost`,
    "www.localhost",
    `x.${REF}.localhost`,
    "gateway.example",
    "inner",
    "10.0.0.1",
  ];

  test.each(taken)("%s never leads to a project that has it as a custom host", async (host) => {
    const { port } = await start({
      configs: new MemoryConfigs(snapshot(), snapshot({ projectRef: thief, customHosts: taken })),
      ownHosts: ["INNER"],
    });
    for (const name of [host, host.toUpperCase(), `${host}.:8083`]) {
      const answer = await rawExchange(port, `GET /rest/v1/x HTTP/1.1\r\nHost: ${name}\r\napikey: ${ANON_JWT}\r\n\r\n`);
      if (host.startsWith(REF)) expect(answer, name).toContain('"path":"/x"');
      else expect(answer, name).toMatch(/^HTTP\/1.1 404 /);
      expect(answer, name).not.toContain(thief);
    }
  });

  test("is told about health and readiness when the control plane cannot say whose it is", async () => {
    const { port, configs } = await start();
    configs.loadByHost = () => {
      throw new Error("control plane unreachable");
    };
    const ask = (path: string) =>
      rawExchange(port, `GET ${path} HTTP/1.1\r\nHost: some-pod:8083\r\napikey: ${ANON_JWT}\r\n\r\n`);
    expect(await ask("/health")).toMatch(/^HTTP\/1.1 200 /);
    expect(await ask("/ready")).toMatch(/^HTTP\/1.1 200 /);
    expect(await ask("/rest/v1/x")).toMatch(/^HTTP\/1.1 503 /);
    expect(await ask(`/projects/${REF}/rest/v1/x`)).toMatch(/^HTTP\/1.1 503 /);
  });
});

describe("proxies in front", () => {
  const forwarded = (headers: string, host = "localhost") =>
    `GET /projects/${REF}/rest/v1/x HTTP/1.1\r\nHost: ${host}\r\napikey: ${ANON_JWT}\r\n${headers}\r\n`;

  test("that are trusted say who the client is; what the client has added to it is dropped", async () => {
    const { port } = await start({ trustedHops: ["127.0.0.1"] });
    const answer = await rawExchange(
      port,
      forwarded("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n"),
    );
    expect(answer).toContain('"clientAddress":"1.2.3.4"');
    expect(answer).toContain('"x-forwarded-for":"1.2.3.4, 127.0.0.1"');
    expect(answer).toContain('"x-forwarded-proto":"https"');
    expect(answer).not.toContain("6.6.6.6");
  });

  test("and a client that contradict each other about the host are refused, about the protocol not believed", async () => {
    const { port } = await start({ trustedHops: ["127.0.0.1"] });
    const hosts = "X-Forwarded-Host: evil.example\r\nX-Forwarded-Host: localhost\r\n";
    expect(await rawExchange(port, forwarded(hosts))).toMatch(/^HTTP\/1.1 400 /);
    const protocols = "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n";
    expect(await rawExchange(port, forwarded(protocols))).toContain('"x-forwarded-proto":"http"');
  });

  test("that are not trusted are the client", async () => {
    const { port } = await start();
    const headers = "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\n";
    const answer = await rawExchange(port, forwarded(headers));
    expect(answer).toContain('"clientAddress":"127.0.0.1"');
    expect(answer).not.toMatch(/evil|1\.2\.3\.4|"https"/);
  });
});

describe("refusals", () => {
  test("a target that is too long says so, where a browser can read it", async () => {
    const { port } = await start();
    const ask = (characters: number) =>
      rawExchange(
        port,
        `GET /projects/${REF}/rest/v1/x?id=in.(${"1".repeat(characters)}) HTTP/1.1\r\nHost: localhost\r\napikey: ${ANON_JWT}\r\nOrigin: https://app.example\r\n\r\n`,
      );
    expect(await ask(40_000)).toMatch(/^HTTP\/1.1 200 /);
    const refused = await ask(50_000);
    expect(refused).toMatch(/^HTTP\/1.1 414 .*access-control-allow-origin: \*\r\n/s);
    expect(refused).toContain('"code":"request_target_too_long"');
  });

  test.each([
    ["CONNECT", `CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n`, /^HTTP\/1.1 (400|405|505)/],
    ["OPTIONS *", `OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n`, /^HTTP\/1.1 (400|505)/],
    ["a host with a user", `GET /health HTTP/1.1\r\nHost: a@localhost\r\n\r\n`, /^HTTP\/1.1 400/],
    ["an empty host", `GET /health HTTP/1.1\r\nHost: \r\n\r\n`, /^HTTP\/1.1 400/],
  ])("%s", async (_name, message, expected) => {
    const { port } = await start();
    expect(await rawExchange(port, message)).toMatch(expected);
  });

  test("an upgrade to HTTP/2 is not taken, and not passed on", async () => {
    const { port } = await start();
    const headers = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
    const message = `GET /projects/${REF}/rest/v1/x HTTP/1.1\r\nHost: localhost\r\napikey: ${ANON_JWT}\r\n${headers}\r\n`;
    const answer = await rawExchange(port, message);
    expect(answer).toMatch(/^HTTP\/1.1 200 /);
    expect(answer).not.toMatch(/h2c|http2-settings/i);
  });

  test.each([
    ["/rest/v1/todos", {}, 401, "Unauthorized", "api_key_missing"],
    ["/rest/v1/todos", { apikey: "sb_publishable_x" }, 401, "Unauthorized", "api_key_invalid"],
    ["/rest/v1/", { apikey: ANON_JWT }, 403, "Forbidden", "service_key_required"],
    ["/realtime/v1/api/tenants", { apikey: SERVICE_JWT }, 403, "Forbidden", "route_forbidden"],
    ["/nothing/v1", { apikey: ANON_JWT }, 404, "Not Found", "route_not_found"],
    ["/rest/v1/a%2fb", { apikey: ANON_JWT }, 400, "Bad Request", "invalid_request_target"],
    ["/realtime/v1/websocket", { apikey: ANON_JWT }, 400, "Bad Request", "upgrade_required"],
    ["/realtime/v1/api/broadcast", { apikey: ANON_JWT }, 501, "Not Implemented", "service_not_available"],
    ["/functions/v1/hello", { apikey: ANON_JWT }, 501, "Not Implemented", "service_not_available"],
  ])("%s with %j: %i %s, %s", async (path, headers, status, statusText, code) => {
    const { projectUrl } = await start();
    const response = await fetch(projectUrl + path, { headers: headers as HeadersInit });
    expect({ status: response.status, statusText: response.statusText }).toEqual({ status, statusText });
    expect(await response.json()).toMatchObject({ code });
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
  });

  test("a header name with an underscore is left out, but for the one that auth reads", async () => {
    const { projectUrl } = await start();
    const headers = { apikey: ANON_JWT, with_underscore: "x", "with-dash": "y", redirect_to: "https://a.example" };
    const echoed = await (await fetch(`${projectUrl}/rest/v1/todos`, { headers })).text();
    expect(echoed).not.toContain("with_underscore");
    expect(echoed).toContain('"with-dash":"y"');
    expect(echoed).toContain('"redirect_to":"https://a.example"');
  });

  test("health tells of a lost feed of configuration and stays well: what is known is served", async () => {
    const { url, configs } = await start();
    expect(await (await fetch(`${url}/health`)).json()).toEqual({ status: "ok", configFeed: "connected" });
    configs.lostSince = 1;
    const response = await fetch(`${url}/health`);
    expect({ status: response.status, body: await response.json() }).toEqual({
      status: 200,
      body: { status: "ok", configFeed: "lost" },
    });
  });

  test("an unknown project is not found, a paused one says so", async () => {
    const { url, projectUrl, configs } = await start();
    const unknown = await fetch(`${url}/projects/aaaaaaaaaaaaaaaaaaaa/rest/v1/todos`, withKey);
    expect([unknown.status, (await unknown.json()).code]).toEqual([404, "project_not_found"]);
    configs.set(snapshot({ state: "paused", version: 2 }));
    const paused = await fetch(`${projectUrl}/rest/v1/todos`, withKey);
    expect([paused.status, (await paused.json()).code]).toEqual([503, "project_paused"]);
  });

  test("a preflight needs no key, not even a project", async () => {
    const { url, projectUrl } = await start();
    for (const target of [
      `${projectUrl}/rest/v1/x`,
      `${url}/projects/aaaaaaaaaaaaaaaaaaaa/auth/v1/x`,
      `${url}/nothing`,
    ]) {
      const response = await fetch(target, {
        method: "OPTIONS",
        headers: {
          origin: "https://app.example",
          "access-control-request-method": "PATCH",
          "access-control-request-headers": "apikey,x-new",
        },
      });
      expect(response.status, target).toBe(204);
    }
  });

  test("methods that no service knows", async () => {
    const { port } = await start();
    const message = `TRACE /projects/${REF}/rest/v1/x HTTP/1.1\r\nHost: localhost\r\napikey: ${ANON_JWT}\r\n\r\n`;
    expect(await rawExchange(port, message)).toMatch(/^HTTP\/1.1 405 Method Not Allowed/);
  });
});

describe("keys and the control plane", () => {
  test("a revoked key is refused from the very next request on", async () => {
    const { projectUrl, configs } = await start();
    const ask = async (headers: Record<string, string>) => (await fetch(`${projectUrl}/rest/v1/x`, { headers })).status;
    expect(await ask({ apikey: SERVICE_JWT })).toBe(200);
    const keys = [keyEntry(ANON_JWT, "anon"), keyEntry(SERVICE_JWT, "service_role", { revoked: true })];
    configs.set(snapshot({ version: 2, apiKeys: keys }));
    expect(await ask({ apikey: SERVICE_JWT })).toBe(401);
    expect(await ask({ apikey: ANON_JWT, authorization: `Bearer ${SERVICE_JWT}` })).toBe(401);
    expect(await ask({ apikey: SECRET })).toBe(401);
    expect(await ask({ apikey: ANON_JWT })).toBe(200);
  });

  test("without the control plane known projects work and unknown ones get a 503", async () => {
    const { url, projectUrl, configs } = await start();
    configs.load = () => {
      throw new Error("control plane unreachable");
    };
    expect((await fetch(`${projectUrl}/rest/v1/x`, withKey)).status).toBe(200);
    const unknown = await fetch(`${url}/projects/bbbbbbbbbbbbbbbbbbbb/rest/v1/x`, withKey);
    expect([unknown.status, (await unknown.json()).code]).toEqual([503, "config_unavailable"]);
    expect(unknown.headers.get("retry-after")).toBe("1");
  });

  test("a project that is not cached is asked for, while its body waits", async () => {
    const { projectUrl, configs } = await start({ configs: new MemoryConfigs() });
    configs.load = () => snapshot();
    const body = "x".repeat(500_000);
    const response = await fetch(`${projectUrl}/rest/v1/x`, { ...withKey, method: "POST", body });
    expect((await response.json()).body).toBe(body);
  });
});

test("a snapshot that cannot be right costs its own requests and nothing else", async () => {
  const broken = { kind: "http", origin: "not an origin" } as const;
  const upstreams = { ...snapshot().upstreams, auth: broken };
  const { projectUrl } = await start({ configs: new MemoryConfigs(snapshot({ upstreams })) });
  expect((await fetch(`${projectUrl}/auth/v1/user`, withKey)).status).toBe(500);
  expect((await fetch(`${projectUrl}/rest/v1/x`, withKey)).status).toBe(200);
});

describe("limits", () => {
  const limits = (override: object) => new MemoryConfigs(snapshot({ limits: { ...snapshot().limits, ...override } }));

  test("a project over its rate gets 429 with its budget, and another project notices nothing", async () => {
    const other = snapshot({ projectRef: "zzzzzzzzzzzzzzzzzzzz" as typeof REF });
    const configs = limits({ requestsPerSecond: 1, requestBurst: 2 });
    configs.set(other);
    const { url, projectUrl } = await start({ configs });
    const statuses: number[] = [];
    let last: Response | undefined;
    for (let index = 0; index < 3; index += 1) {
      last = await fetch(`${projectUrl}/rest/v1/x`, withKey);
      statuses.push(last.status);
    }
    expect(statuses).toEqual([200, 200, 429]);
    expect(Object.fromEntries(last?.headers ?? [])).toMatchObject({
      "retry-after": "1",
      "x-ratelimit-limit": "2",
      "x-ratelimit-remaining": "0",
    });
    expect(await last?.json()).toMatchObject({ code: "over_request_rate_limit" });
    expect((await fetch(`${url}/projects/${other.projectRef}/rest/v1/x`, withKey)).status).toBe(200);
    expect((await fetch(`${projectUrl}/storage/v1/x`, withKey)).status).toBe(200);
  });

  test("requests with a wrong key cost the project nothing of its budget", async () => {
    const { projectUrl } = await start({ configs: limits({ requestsPerSecond: 1, requestBurst: 2 }) });
    const ask = async (apikey: string) => (await fetch(`${projectUrl}/rest/v1/x`, { headers: { apikey } })).status;
    const flood = await Promise.all(Array.from({ length: 50 }, (_, index) => ask(`sb_publishable_${index}`)));
    expect(new Set(flood)).toEqual(new Set([401]));
    expect([await ask(ANON_JWT), await ask(ANON_JWT), await ask(ANON_JWT)]).toEqual([200, 200, 429]);
  });

  test("requests in flight are capped, and the cap is given back", async () => {
    let release = () => {};
    const gate = new Promise<void>((open) => {
      release = open;
    });
    const rest = async (request: ServiceRequest) => {
      if (request.path === "/slow") await gate;
      return { status: 200, headers: [], body: "ok" };
    };
    const { projectUrl } = await start({
      configs: limits({ concurrentRequests: 2 }),
      localServices: localServices({ rest }),
    });
    const slow = [fetch(`${projectUrl}/rest/v1/slow`, withKey), fetch(`${projectUrl}/rest/v1/slow`, withKey)];
    await expect.poll(async () => (await fetch(`${projectUrl}/rest/v1/x`, withKey)).status).toBe(429);
    release();
    for (const response of await Promise.all(slow)) expect(response.status).toBe(200);
    expect((await fetch(`${projectUrl}/rest/v1/x`, withKey)).status).toBe(200);
  });

  test.each([
    ["rest", { code: "body_too_large", details: null }],
    ["auth", { error_code: "body_too_large", code: 413 }],
    ["storage", { statusCode: "413", error: "Payload too large" }],
  ])("a body that is too large for %s gets 413, declared or in chunks", async (service, expected) => {
    const { projectUrl } = await start({ configs: limits({ maxBodyBytes: 1_000, maxUploadBytes: 1_000 }) });
    const body = Buffer.alloc(300_000, "x");
    const declared = await fetch(`${projectUrl}/${service}/v1/x`, { ...withKey, method: "POST", body });
    expect([declared.status, await declared.json()]).toEqual([413, expect.objectContaining(expected)]);
    const chunks = new ReadableStream({
      pull(controller) {
        controller.enqueue(body.subarray(0, 10_000));
        controller.close();
      },
    });
    const chunked = await fetch(`${projectUrl}/${service}/v1/x`, {
      ...withKey,
      method: "POST",
      body: chunks,
      duplex: "half",
    } as RequestInit);
    expect([chunked.status, await chunked.json()]).toEqual([413, expect.objectContaining(expected)]);
  });

  test("a service that does not answer in time gets its signal aborted and the client a 504", async () => {
    let aborted = false;
    const rest = (request: ServiceRequest) =>
      new Promise<never>((_resolve, reject) => {
        request.signal.addEventListener("abort", () => {
          aborted = true;
          reject(new Error("aborted"));
        });
      });
    const timeouts = { ...DEFAULT_TIMEOUTS, rest: { responseMs: 50, idleMs: 50 } };
    const { projectUrl } = await start({ timeouts, localServices: localServices({ rest }) });
    const response = await fetch(`${projectUrl}/rest/v1/x`, withKey);
    expect([response.status, response.statusText]).toEqual([504, "Gateway Timeout"]);
    expect(aborted).toBe(true);
  });

  test("a service that throws gives a bare 500 and keeps its reason to itself", async () => {
    const rest = () => Promise.reject(new Error("password=secret"));
    const { projectUrl } = await start({ localServices: localServices({ rest }) });
    const response = await fetch(`${projectUrl}/rest/v1/x`, withKey);
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain("secret");
  });
});

describe("responses", () => {
  test("reason phrase, repeated headers and HEAD come through; what belongs to the gateway does not", async () => {
    const rest = () => ({
      status: 206,
      statusText: "Partly There",
      headers: [
        ["X-Many", "1"],
        ["x-many", "2"],
        ["content-range", "0-0/5"],
        ["Access-Control-Allow-Origin", "https://evil.example"],
        ["set-cookie", "session=1"],
        ["connection", "close"],
      ] as const,
      body: "[]",
    });
    const { projectUrl, port } = await start({ localServices: localServices({ rest }) });
    const response = await fetch(`${projectUrl}/rest/v1/x`, withKey);
    expect([response.status, response.statusText, await response.text()]).toEqual([206, "Partly There", "[]"]);
    expect(response.headers.get("x-many")).toBe("1, 2");
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    expect(response.headers.get("set-cookie")).toBeNull();
    const head = `HEAD /projects/${REF}/rest/v1/x HTTP/1.1\r\nHost: localhost\r\napikey: ${ANON_JWT}\r\n\r\n`;
    const raw = await rawExchange(port, head);
    expect(raw).toMatch(/content-length: 2\r\n/i);
    expect(raw).toMatch(/\r\n\r\n$/);
  });

  test("a header with a line break in it is not sent", async () => {
    const rest = () => ({ status: 200, headers: [["x-a", "1\r\nset-cookie: a=b"]] as const, body: "" });
    const { projectUrl } = await start({ localServices: localServices({ rest }) });
    const response = await fetch(`${projectUrl}/rest/v1/x`, withKey);
    expect(response.status).toBe(500);
    expect(response.headers.get("set-cookie")).toBeNull();
  });

  test.each([
    ["known length", 40_000_000],
    ["chunked", undefined],
  ])("a large body of %s flows at the client's pace", async (_name, length) => {
    const chunk = Buffer.alloc(1_000_000, "x");
    let produced = 0;
    async function* body() {
      for (let index = 0; index < 40; index += 1) {
        produced += 1;
        yield chunk;
      }
    }
    const headers = length === undefined ? [] : [["content-length", String(length)] as const];
    const storage = () => ({ status: 200, headers, body: body() });
    const { port } = await start({ localServices: localServices({ storage }) });
    const socket = connect(port, "127.0.0.1");
    let received = 0;
    socket.write(`GET /projects/${REF}/storage/v1/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    await once(socket, "readable");
    // Nobody reads: the service must come to a stand before it has produced everything.
    let before = -1;
    await expect
      .poll(() => {
        const still = produced === before;
        before = produced;
        return still;
      })
      .toBe(true);
    expect(produced).toBeLessThan(40);
    socket.on("data", (data) => {
      received += data.length;
    });
    await expect.poll(() => received, { timeout: 10_000 }).toBeGreaterThan(40_000_000);
    expect(produced).toBe(40);
    socket.destroy();
  });

  test("a large answer counts as in flight until the client has taken it", async () => {
    const rest = () => ({ status: 200, headers: [], body: "x".repeat(20_000_000) });
    const limits = { ...snapshot().limits, concurrentRequests: 2 };
    const { port, projectUrl } = await start({
      configs: new MemoryConfigs(snapshot({ limits })),
      localServices: localServices({ rest }),
    });
    const idlers = [1, 2].map(() => connect(port, "127.0.0.1").pause());
    for (const idler of idlers) {
      idler.write(`GET /projects/${REF}/rest/v1/x HTTP/1.1\r\nHost: localhost\r\napikey: ${ANON_JWT}\r\n\r\n`);
      await once(idler, "readable");
    }
    expect((await fetch(`${projectUrl}/rest/v1/x`, withKey)).status).toBe(429);
    for (const idler of idlers) idler.destroy();
    await expect
      .poll(async () => (await (await fetch(`${projectUrl}/rest/v1/x`, withKey)).text()).length)
      .toBe(20_000_000);
  });

  test("a body that breaks off cuts the connection instead of looking complete", async () => {
    async function* body() {
      yield Buffer.from("half");
      throw new Error("disk");
    }
    const storage = () => ({ status: 200, headers: [], body: body() });
    const { projectUrl } = await start({ localServices: localServices({ storage }) });
    const read = async () => (await fetch(`${projectUrl}/storage/v1/x`, withKey)).text();
    await expect(read()).rejects.toThrow();
  });

  test("a stream that stands still is cut, and the service is told", async () => {
    let aborted = false;
    const storage = (request: ServiceRequest) => {
      async function* body() {
        yield Buffer.from("half");
        await new Promise((resolve) => request.signal.addEventListener("abort", resolve));
        aborted = true;
      }
      return { status: 200, headers: [], body: body() };
    };
    const timeouts = { ...DEFAULT_TIMEOUTS, storage: { responseMs: 5_000, idleMs: 50 } };
    const { projectUrl } = await start({ timeouts, localServices: localServices({ storage }) });
    const read = async () => (await fetch(`${projectUrl}/storage/v1/x`, withKey)).text();
    await expect(read()).rejects.toThrow();
    await expect.poll(() => aborted).toBe(true);
  });

  test("a client that leaves aborts the service", async () => {
    let aborted = false;
    const rest = (request: ServiceRequest) =>
      new Promise<never>((_resolve, reject) => {
        request.signal.addEventListener("abort", () => {
          aborted = true;
          reject(request.signal.reason);
        });
      });
    const { projectUrl } = await start({ localServices: localServices({ rest }) });
    const controller = new AbortController();
    const asked = fetch(`${projectUrl}/rest/v1/x`, { ...withKey, signal: controller.signal });
    setImmediate(() => setTimeout(() => controller.abort(), 50));
    await expect(asked).rejects.toThrow();
    await expect.poll(() => aborted).toBe(true);
  });
});

describe("uploads", () => {
  test("stream into the service, which slows the sender down", async () => {
    let read = 0;
    let open = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const storage = async (request: ServiceRequest) => {
      for await (const chunk of request.body?.stream() ?? []) {
        if (read === 0) await gate;
        read += chunk.length;
      }
      return { status: 200, headers: [], body: String(read) };
    };
    const { port } = await start({ localServices: localServices({ storage }) });
    const socket = connect(port, "127.0.0.1");
    const size = 40_000_000;
    socket.write(`POST /projects/${REF}/storage/v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${size}\r\n\r\n`);
    const flushed = new Promise<void>((resolve) => socket.write(Buffer.alloc(size), () => resolve()));
    let bytes = -1;
    await expect
      .poll(() => {
        const still = socket.bytesWritten - socket.writableLength === bytes;
        bytes = socket.bytesWritten - socket.writableLength;
        return still;
      })
      .toBe(true);
    expect(read).toBe(0);
    open();
    await flushed;
    const [answer] = await once(socket, "data");
    expect(String(answer)).toContain(`\r\n\r\n${size}`);
    socket.destroy();
  });

  test("a client that waits for 100 Continue gets it", async () => {
    const { port } = await start();
    const socket = connect(port, "127.0.0.1");
    socket.write(
      `POST /projects/${REF}/rest/v1/x HTTP/1.1\r\nHost: localhost\r\napikey: ${ANON_JWT}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`,
    );
    const [first] = await once(socket, "data");
    expect(String(first)).toMatch(/^HTTP\/1.1 100 Continue/);
    socket.write("hello");
    const [second] = await once(socket, "data");
    expect(String(second)).toContain('"body":"hello"');
    expect(String(second)).not.toContain('"expect"');
    socket.destroy();
  });
});

describe("the gateway itself", () => {
  test("answers health, readiness and metrics, but not within a project", async () => {
    const { url, projectUrl, port } = await start();
    for (const path of ["/health", "/ready", "/metrics"]) {
      expect((await fetch(url + path)).status, path).toBe(200);
      expect((await fetch(projectUrl + path)).status, path).toBe(404);
      const onProjectHost = await rawExchange(port, `GET ${path} HTTP/1.1\r\nHost: ${REF}.localhost\r\n\r\n`);
      expect(onProjectHost, path).toMatch(/^HTTP\/1.1 404/);
    }
    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).toContain('supalove_gateway_requests_total{service="none",status_class="2xx"}');
    expect(metrics).not.toContain(REF);
  });

  test("keeps its metrics from clients that come through an unknown proxy", async () => {
    const { url } = await start();
    const response = await fetch(`${url}/metrics`, { headers: { "x-forwarded-for": "1.2.3.4" } });
    expect(response.status).toBe(404);
  });

  test("logs a line a request without its key", async () => {
    const lines: string[] = [];
    const { projectUrl, gateway } = await start({ accessLog: (text) => lines.push(text) });
    await (await fetch(`${projectUrl}/rest/v1/todos?select=id&apikey=${SECRET}`)).text();
    gateway.close();
    const log = lines.join("");
    expect(JSON.parse(log)).toMatchObject({
      project: REF,
      service: "rest",
      method: "GET",
      path: `/projects/${REF}/rest/v1/todos`,
      query: "select=id&apikey=redacted",
      status: 200,
    });
    expect(log).not.toContain(SECRET);
  });

  test("drains: no new connections, what is in flight is finished, then it is over", async () => {
    let release = () => {};
    const gate = new Promise<void>((open) => {
      release = open;
    });
    const rest = async () => {
      await gate;
      return { status: 200, headers: [], body: "done" };
    };
    const { gateway, port, projectUrl } = await start({ localServices: localServices({ rest, auth: echo }) });
    const slow = fetch(`${projectUrl}/rest/v1/slow`, withKey);
    await expect
      .poll(async () => (await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()).includes("_in_flight 2"))
      .toBe(true);
    let drained = false;
    const draining = gateway.drain().then(() => {
      drained = true;
    });
    const refused = connect(port, "127.0.0.1");
    await once(refused, "error");
    expect(drained).toBe(false);
    release();
    expect(await (await slow).text()).toBe("done");
    await draining;
  });

  test.each([
    ["whole", () => ({ status: 200, headers: [], body: "x".repeat(20_000_000) })],
    [
      "in pieces of a known length",
      () => ({ status: 200, headers: [["content-length", "20000000"]] as const, body: pieces(20) }),
    ],
  ])("a drain cuts no answer that is on its way, and asks the client to close behind it: %s", async (_name, rest) => {
    const { gateway, port } = await start({ localServices: localServices({ rest: async () => rest() }) });
    const request = `GET /projects/${REF}/rest/v1/x HTTP/1.1\r\nHost: localhost\r\napikey: ${ANON_JWT}\r\n\r\n`;
    const early = connect(port, "127.0.0.1").pause();
    early.write(request);
    await once(early, "readable");
    const late = connect(port, "127.0.0.1");
    await once(late, "connect");
    late.write("GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n");
    expect(String((await once(late, "data"))[0])).toMatch(/^HTTP\/1.1 200/);
    const draining = gateway.drain().then(() => gateway.close());
    // A connection from before: it is served, and told to go.
    late.write("GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n");
    expect(String((await once(late, "data"))[0])).toMatch(/^HTTP\/1.1 503 .*connection: close\r\n/is);
    const second = connect(port, "127.0.0.1");
    await once(second, "error");
    let received = 0;
    early.on("data", (data) => {
      received += data.length;
    });
    early.resume();
    await once(early, "close");
    await draining;
    expect(received).toBeGreaterThan(20_000_000);
  });

  test("says so when its port is taken", async () => {
    const { port } = await start();
    const second = await start();
    await expect(second.gateway.listen(port, "127.0.0.1")).rejects.toThrow(/in use/);
  });
});

test("a connection serves on after answers to HEAD, whether they tell a length or not", async () => {
  const storage = (request: ServiceRequest) => ({
    status: 200,
    headers: request.path === "/long" ? ([["content-length", "200000"]] as const) : [],
    body: null,
  });
  const { port } = await start({ localServices: localServices({ storage }) });
  const ask = (path: string) => `HEAD /projects/${REF}/storage/v1${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
  const received = await rawExchange(port, `${ask("/long")}${ask("/long")}${ask("/none")}${ask("/long")}`);
  expect(received.match(/HTTP\/1\.1 200/g)).toHaveLength(4);
  expect(received.match(/content-length: 200000/gi)).toHaveLength(3);
});
