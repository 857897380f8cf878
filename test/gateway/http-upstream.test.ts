/** The gateway's own HTTP/1.1 client, against upstreams that behave in every way upstreams do. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { DEFAULT_POOL_LIMITS } from "../../gateway/proxy/client.ts";
import { ANON_JWT, REF, SECRET, snapshot } from "../../gateway/snapshot.fixture.ts";
import { DEFAULT_TIMEOUTS } from "../../gateway/upstreams/upstream.ts";
import { OK, type RawUpstream, startRawUpstream } from "./raw-upstream.ts";
import { MemoryConfigs, type RunningGateway, rawExchange, startGateway } from "./support.ts";

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

type Respond = Parameters<typeof startRawUpstream>[0];

async function start(
  respond: Respond,
  options: Parameters<typeof startGateway>[0] & { plan?: "shared" | "dedicated"; when?: "head" | "body" } = {},
): Promise<RunningGateway & { upstream: RawUpstream }> {
  const upstream = await startRawUpstream(respond, options.when);
  const http = { kind: "http", origin: upstream.origin } as const;
  const upstreams = { rest: http, auth: http, storage: http, realtime: http };
  const configs = new MemoryConfigs(snapshot({ upstreams, plan: options.plan ?? "shared" }));
  const gateway = await startGateway({ configs, ...options });
  cleanups.push(
    () => gateway.gateway.close(),
    () => upstream.close(),
  );
  return { ...gateway, upstream };
}

const withKey = { headers: { apikey: ANON_JWT } };
const answer =
  (text: string): Respond =>
  (socket) =>
    void socket.write(text, "latin1");

describe("requests", () => {
  test("arrive with translated credentials, forwarding headers and their body", async () => {
    const { projectUrl, upstream } = await start(answer(OK), { serviceToken: "token-of-our-own-services" });
    const body = "hello";
    await fetch(`${projectUrl}/rest/v1/todos?select=*`, { method: "POST", body, headers: { apikey: SECRET } });
    const told = upstream.received[0] as string;
    expect(told).toMatch(/^POST \/todos\?select=\* HTTP\/1.1\r\nhost: 127.0.0.1:\d+\r\n/);
    for (const line of [
      "apikey: role-token-service",
      "authorization: Bearer role-token-service",
      "x-forwarded-for: 127.0.0.1",
      `x-forwarded-prefix: /projects/${REF}/rest/v1`,
      "x-supalove-token: token-of-our-own-services",
      `x-supalove-project: ${REF}`,
      "x-supalove-service: rest",
      "content-length: 5",
    ]) {
      expect(told).toContain(`\r\n${line}\r\n`);
    }
    expect(told).toMatch(/\r\n\r\nhello$/);
    expect(told).not.toMatch(/connection: |transfer-encoding: /);
  });

  test("a dedicated project's containers never see the token of our own services", async () => {
    const { projectUrl, upstream } = await start(answer(OK), { plan: "dedicated", serviceToken: "secret-token" });
    await fetch(`${projectUrl}/rest/v1/todos`, withKey);
    expect(upstream.received[0]).not.toContain("x-supalove");
  });

  test("the realtime server is told its tenant by the host's first label", async () => {
    const { projectUrl, upstream } = await start(answer(OK));
    await fetch(`${projectUrl}/realtime/v1/api/broadcast`, { ...withKey, method: "POST", body: "{}" });
    expect(upstream.received[0]).toMatch(
      new RegExp(`^POST /api/broadcast HTTP/1.1\r\nhost: ${REF}\\.127\\.0\\.0\\.1:`),
    );
  });

  test("characters beyond ASCII cannot become line breaks on the way", async () => {
    const { port, upstream } = await start(answer(OK));
    // U+010D and U+010A end in the bytes of CR and LF when they are cut to eight bits.
    const value = Buffer.from("a\u010d\u010aX-Smuggled: 1 b");
    const message = Buffer.concat([
      Buffer.from(
        `GET /projects/${REF}/rest/v1/x?a=\u010d\u010a HTTP/1.1\r\nHost: localhost\r\napikey: ${ANON_JWT}\r\nX-A: `,
      ),
      value,
      Buffer.from("\r\n\r\n"),
    ]);
    await rawExchange(port, message);
    expect(upstream.received[0]).toContain(`x-a: ${value.toString("latin1")}\r\n`);
    expect(upstream.received[0]).toMatch(/^GET \/x\?a=%C4%8D%C4%8A HTTP/);
  });

  test("an upload streams and keeps its framing", async () => {
    const { projectUrl, upstream } = await start(answer(OK));
    const response = await fetch(`${projectUrl}/storage/v1/x`, {
      ...withKey,
      method: "POST",
      body: Buffer.alloc(3_000_100),
    });
    expect(await response.text()).toBe("ok");
    expect(upstream.received[0]).toContain("content-length: 3000100\r\n");
  });

  test("a chunked upload stays chunked", async () => {
    const { port, upstream } = await start(answer(OK));
    const message = `POST /projects/${REF}/storage/v1/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n`;
    expect(await rawExchange(port, `${message}5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n`)).toContain("\r\n\r\nok");
    expect(upstream.received[0]).toMatch(/transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n$/);
  });
});

describe("responses", () => {
  test.each([
    ["with a length", "HTTP/1.1 206 Partly There\r\nContent-Length: 5\r\nX-A: 1\r\nX-A: 2\r\n\r\nhello"],
    [
      "in chunks",
      "HTTP/1.1 206 Partly There\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nX-A: 2\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ],
  ])("%s come through", async (_name, text) => {
    const { projectUrl } = await start(answer(text));
    const response = await fetch(`${projectUrl}/rest/v1/x`, withKey);
    expect([response.status, response.statusText, await response.text()]).toEqual([206, "Partly There", "hello"]);
    expect(response.headers.get("x-a")).toBe("1, 2");
  });

  test("that end with the connection come through", async () => {
    const { projectUrl } = await start((socket) => void socket.end("HTTP/1.1 200 OK\r\n\r\nhello"));
    expect(await (await fetch(`${projectUrl}/rest/v1/x`, withKey)).text()).toBe("hello");
  });

  test.each([
    ["HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", /content-length: 5\r\n/i],
    ["HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", /^HTTP\/1.1 200 OK/],
    ["GET", "HTTP/1.1 204 No Content\r\n\r\n", /^HTTP\/1.1 204 No Content/],
    ["GET", "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", /etag: x\r\n/],
    ["GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", /content-length: 0\r\n/i],
  ])("to %s without a body leave the connection usable: %j", async (method, text, expected) => {
    const { port, upstream } = await start(answer(text));
    const message = `${method} /projects/${REF}/rest/v1/x HTTP/1.1\r\nHost: localhost\r\napikey: ${ANON_JWT}\r\n\r\n`;
    for (let count = 0; count < 2; count += 1) {
      const response = await rawExchange(port, message);
      expect(response).toMatch(expected);
      expect(response).toMatch(/\r\n\r\n$/);
      expect(response).not.toMatch(/transfer-encoding|content-length: \d{10}/i);
    }
    expect(upstream.connections.length).toBe(1);
  });

  test("dribbled byte by byte come through", async () => {
    const { projectUrl } = await start(async (socket) => {
      socket.setNoDelay(true);
      for (const byte of "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n") {
        socket.write(byte);
        await new Promise(setImmediate);
      }
    });
    expect(await (await fetch(`${projectUrl}/rest/v1/x`, withKey)).text()).toBe("hello");
  });

  test("larger than the client takes hold the upstream back", async () => {
    const total = 60_000_000;
    let sent = 0;
    const { port } = await start((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`);
      const chunk = Buffer.alloc(500_000, "x");
      const pump = () => {
        while (sent < total) {
          sent += chunk.length;
          if (!socket.write(chunk)) return void socket.once("drain", pump);
        }
      };
      pump();
    });
    const client = connect(port, "127.0.0.1");
    client.write(`GET /projects/${REF}/storage/v1/x HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await once(client, "readable");
    let before = -1;
    await expect
      .poll(() => {
        const still = sent === before;
        before = sent;
        return still;
      })
      .toBe(true);
    expect(sent).toBeLessThan(total);
    let received = 0;
    client.on("data", (data) => {
      received += data.length;
    });
    await expect.poll(() => received, { timeout: 10_000 }).toBeGreaterThan(total);
    client.destroy();
  });

  test.each([
    ["X-Hop", "X-Hop: 1", /x-hop/i],
    ["close, X-Hop ,x-other", "x-hop: 1\r\nX-OTHER: 2", /x-hop|x-other/i],
    ["X-Hop\r\nConnection: keep-alive", "x-hop: 1", /x-hop/i],
    ["keep-alive, set-cookie", "Set-Cookie: a=b", /set-cookie/i],
  ])("lose what Connection names: %j", async (connection, headers, dropped) => {
    const { port } = await start(
      answer(`HTTP/1.1 200 OK\r\n${headers}\r\nConnection: ${connection}\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok`),
    );
    const message = `GET /rest/v1/x HTTP/1.1\r\nHost: ${REF}.localhost\r\napikey: ${ANON_JWT}\r\n\r\n`;
    const response = await rawExchange(port, message);
    expect(response).toMatch(/^HTTP\/1.1 200 OK\r\n.*x-kept: 1\r\n.*\r\n\r\nok$/s);
    expect(response).not.toMatch(dropped);
  });

  test.each([
    ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!"],
    ["a length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok"],
    ["a bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"],
    ["an unasked switch of protocol", "HTTP/1.1 101 Switching Protocols\r\n\r\n"],
  ])("with %s give 502", async (_name, text) => {
    const { projectUrl } = await start((socket) => void socket.end(text));
    const response = await fetch(`${projectUrl}/rest/v1/x`, withKey);
    expect([response.status, (await response.json()).code]).toEqual([502, "upstream_failed"]);
  });

  test("bytes after a response are never taken for the next one", async () => {
    const { projectUrl, upstream } = await start((socket, _head, count) => {
      if (count === 1) socket.write(`${OK}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen`);
      else socket.write(OK);
    });
    expect(await (await fetch(`${projectUrl}/rest/v1/x`, withKey)).text()).toBe("ok");
    expect(await (await fetch(`${projectUrl}/rest/v1/x`, withKey)).text()).toBe("ok");
    expect(upstream.connections.length).toBe(2);
    upstream.connections.at(-1)?.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen");
    await once(upstream.connections.at(-1) as Socket, "close");
    expect(await (await fetch(`${projectUrl}/rest/v1/x`, withKey)).text()).toBe("ok");
  });

  test("that stop halfway cut the client's connection", async () => {
    const { projectUrl } = await start(
      (socket) => void socket.end("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"),
    );
    const read = async () => (await fetch(`${projectUrl}/rest/v1/x`, withKey)).text();
    await expect(read()).rejects.toThrow();
  });

  test("that come before the request's body is over are given on, and end the connection", async () => {
    const { projectUrl, upstream } = await start(
      (socket, _head, count) => {
        if (count === 1) socket.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        else socket.write(OK);
      },
      { when: "head" },
    );
    const socket = connect(Number(new URL(projectUrl).port), "127.0.0.1");
    socket.write(
      `POST /projects/${REF}/storage/v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\nhello`,
    );
    const [response] = await once(socket, "data");
    expect(String(response)).toMatch(/^HTTP\/1.1 403 Forbidden\r\n.*\r\n\r\nno$/s);
    socket.destroy();
    expect(await (await fetch(`${projectUrl}/rest/v1/x`, withKey)).text()).toBe("ok");
    expect(upstream.connections.length).toBe(2);
  });
});

describe("connections", () => {
  test("are used again, one request at a time", async () => {
    const { projectUrl, upstream } = await start(answer(OK));
    for (let count = 0; count < 5; count += 1) await (await fetch(`${projectUrl}/rest/v1/x`, withKey)).text();
    expect(upstream.connections.length).toBe(1);
  });

  test("that carried a response in several pieces are used again too", async () => {
    const { projectUrl, upstream } = await start((socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n");
      setImmediate(() => socket.write(Buffer.alloc(200_000, "x")));
    });
    for (let count = 0; count < 5; count += 1) {
      expect((await (await fetch(`${projectUrl}/rest/v1/x`, withKey)).text()).length).toBe(200_000);
    }
    expect(upstream.connections.length).toBe(1);
  });

  test("are closed when the upstream says so", async () => {
    const { projectUrl, upstream } = await start(
      answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"),
    );
    for (let count = 0; count < 2; count += 1) await (await fetch(`${projectUrl}/rest/v1/x`, withKey)).text();
    expect(upstream.connections.length).toBe(2);
  });

  test("that died while they were free cost a GET nothing", async () => {
    const { projectUrl, upstream } = await start((socket, _head, count) => {
      if (count === 2) socket.destroy();
      else socket.write(OK);
    });
    expect(await (await fetch(`${projectUrl}/rest/v1/x`, withKey)).text()).toBe("ok");
    expect(await (await fetch(`${projectUrl}/rest/v1/x`, withKey)).text()).toBe("ok");
    expect(upstream.received.join("").match(/GET /g)?.length).toBe(3);
  });

  test.each(["POST", "PATCH", "DELETE", "PUT"])("that die under a %s are never repeated", async (method) => {
    const { projectUrl, upstream } = await start((socket, _head, count) => {
      if (count === 2) socket.destroy();
      else socket.write(OK);
    });
    await fetch(`${projectUrl}/rest/v1/x`, withKey);
    const response = await fetch(`${projectUrl}/rest/v1/x`, { ...withKey, method });
    expect([response.status, (await response.json()).code]).toEqual([502, "upstream_failed"]);
    expect(upstream.received.join("").match(new RegExp(method, "g"))?.length).toBe(1);
  });

  test("a response that has begun is not repeated either", async () => {
    const { projectUrl, upstream } = await start((socket, _head, count) => {
      if (count === 2) socket.end("HTTP/1.1 200 OK\r\nContent-");
      else socket.write(OK);
    });
    await fetch(`${projectUrl}/rest/v1/x`, withKey);
    expect((await fetch(`${projectUrl}/rest/v1/x`, withKey)).status).toBe(502);
    expect(upstream.received.join("").match(/GET /g)?.length).toBe(2);
  });

  test("are bounded; who finds no place in the queue, or waits too long, gets a 503", async () => {
    const { projectUrl, upstream } = await start(() => {}, {
      poolLimits: {
        ...DEFAULT_POOL_LIMITS,
        maxConnections: 2,
        maxConnectionsPerProject: 2,
        maxWaiting: 2,
        maxWaitMs: 200,
      },
    });
    const controller = new AbortController();
    const ask = () => fetch(`${projectUrl}/rest/v1/x`, { ...withKey, signal: controller.signal });
    const asked = [1, 2, 3, 4].map(() =>
      ask().then(
        (response) => response.status,
        () => "left",
      ),
    );
    await expect.poll(() => upstream.received.join("").match(/GET /g)?.length).toBe(2);
    const refused = await ask();
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
    const settled: (number | string)[] = [];
    for (const answer of asked) answer.then((status) => settled.push(status));
    await expect.poll(() => settled).toEqual([503, 503]);
    controller.abort();
    expect((await Promise.all(asked)).sort()).toEqual([503, 503, "left", "left"]);
    expect(upstream.connections.length).toBe(2);
  });

  test("one project's slow requests leave connections to the others", async () => {
    const other = "zzzzzzzzzzzzzzzzzzzz" as typeof REF;
    const { projectUrl, url, upstream, configs } = await start(
      (socket, head) => {
        if (!head.includes("/slow")) socket.write(OK);
      },
      {
        poolLimits: {
          ...DEFAULT_POOL_LIMITS,
          maxConnections: 4,
          maxConnectionsPerProject: 2,
          maxWaiting: 8,
          maxWaitMs: 300,
        },
      },
    );
    configs.set(snapshot({ projectRef: other, upstreams: configs.peek(REF)?.upstreams ?? snapshot().upstreams }));
    const slow = [1, 2, 3, 4].map(() => fetch(`${projectUrl}/rest/v1/slow`, withKey).catch(() => null));
    await expect.poll(() => upstream.connections.length).toBe(2);
    expect(await (await fetch(`${url}/projects/${other}/rest/v1/x`, withKey)).text()).toBe("ok");
    await upstream.close();
    await Promise.all(slow);
  });

  test("the last ones are for projects that hold few: two slow ones cannot take all", async () => {
    const refs = ["zzzzzzzzzzzzzzzzzzzz", "yyyyyyyyyyyyyyyyyyyy"] as (typeof REF)[];
    const { projectUrl, url, upstream, configs } = await start(
      (socket, head) => {
        if (!head.includes("/slow")) socket.write(OK);
      },
      { poolLimits: { ...DEFAULT_POOL_LIMITS, maxConnections: 8, maxConnectionsPerProject: 4, maxWaitMs: 2_000 } },
    );
    const upstreams = configs.peek(REF)?.upstreams ?? snapshot().upstreams;
    for (const projectRef of refs) configs.set(snapshot({ projectRef, upstreams }));
    const [second, third] = refs.map((ref) => `${url}/projects/${ref}`);
    const slow = [projectUrl, second].flatMap((base) =>
      [1, 2, 3, 4].map(() => fetch(`${base}/rest/v1/slow`, withKey).catch(() => null)),
    );
    await expect.poll(() => upstream.connections.length).toBe(6);
    expect(await (await fetch(`${third}/rest/v1/x`, withKey)).text()).toBe("ok");
    await upstream.close();
    await Promise.all(slow);
  });

  test("a client that leaves takes its upstream connection along", async () => {
    const { projectUrl, upstream } = await start(() => {});
    const controller = new AbortController();
    const asked = fetch(`${projectUrl}/rest/v1/x`, { ...withKey, signal: controller.signal });
    await expect.poll(() => upstream.received.join("")).toContain("GET");
    controller.abort();
    await expect(asked).rejects.toThrow();
    await expect.poll(() => upstream.connections[0]?.destroyed).toBe(true);
  });
});

describe("upstreams that fail", () => {
  test("by silence: 504", async () => {
    const timeouts = { ...DEFAULT_TIMEOUTS, rest: { responseMs: 100, idleMs: 100 } };
    const { projectUrl, upstream } = await start(() => {}, { timeouts });
    const response = await fetch(`${projectUrl}/rest/v1/x`, withKey);
    expect([response.status, (await response.json()).code]).toEqual([504, "upstream_timeout"]);
    await expect.poll(() => upstream.connections[0]?.destroyed).toBe(true);
  });

  test("by not being there: 503, and after five times the breaker answers at once", async () => {
    const { projectUrl, upstream } = await start(() => {});
    await upstream.close();
    const codes: number[] = [];
    for (let count = 0; count < 6; count += 1) codes.push((await fetch(`${projectUrl}/rest/v1/x`, withKey)).status);
    expect(codes).toEqual([503, 503, 503, 503, 503, 503]);
    const broken = await fetch(`${projectUrl}/rest/v1/x`, withKey);
    expect([broken.status, broken.headers.get("retry-after")]).toEqual([503, "1"]);
  });

  test("for one project do not open the breaker of another", async () => {
    const other = "zzzzzzzzzzzzzzzzzzzz" as typeof REF;
    const { projectUrl, url, configs } = await start(answer(OK));
    configs.set(snapshot({ projectRef: other, upstreams: configs.peek(REF)?.upstreams ?? snapshot().upstreams }));
    const dead = { kind: "http", origin: "http://127.0.0.1:1" } as const;
    configs.set(snapshot({ version: 2, upstreams: { rest: dead, auth: dead, storage: dead, realtime: dead } }));
    for (let count = 0; count < 6; count += 1) await fetch(`${projectUrl}/rest/v1/x`, withKey);
    expect((await fetch(`${url}/projects/${other}/rest/v1/x`, withKey)).status).toBe(200);
  });

  test.each([500, 502, 503, 504])("with %i keep their breaker closed: who answers is there", async (status) => {
    // Any caller of a function can have it raise PT503, and the database's absence is REST's PGRST002.
    const { projectUrl, upstream } = await start(
      answer(`HTTP/1.1 ${status} On Purpose\r\nRetry-After: 30\r\nContent-Length: 2\r\n\r\nno`),
    );
    for (let count = 0; count < 8; count += 1) {
      const response = await fetch(`${projectUrl}/rest/v1/x`, withKey);
      expect([response.status, response.headers.get("retry-after"), await response.text()]).toEqual([
        status,
        "30",
        "no",
      ]);
    }
    expect(upstream.received.join("").match(/GET /g)?.length).toBe(8);
  });

  test("at one service do not open the breaker of the project's others", async () => {
    const { projectUrl, configs } = await start(answer(OK));
    const { upstreams } = configs.peek(REF) ?? snapshot();
    configs.set(
      snapshot({ version: 2, upstreams: { ...upstreams, rest: { kind: "http", origin: "http://127.0.0.1:1" } } }),
    );
    for (let count = 0; count < 6; count += 1) {
      expect((await fetch(`${projectUrl}/rest/v1/x`, withKey)).status).toBe(503);
    }
    expect((await fetch(`${projectUrl}/auth/v1/x`, withKey)).status).toBe(200);
    expect((await fetch(`${projectUrl}/storage/v1/x`, withKey)).status).toBe(200);
  });

  test("because no connection was free do not open the breaker", async () => {
    let held: Socket | undefined;
    const { projectUrl } = await start(
      (socket, head) => {
        if (head.includes("/slow")) held = socket;
        else socket.write(OK);
      },
      { poolLimits: { ...DEFAULT_POOL_LIMITS, maxConnections: 1, maxWaiting: 1, maxWaitMs: 20 } },
    );
    const controller = new AbortController();
    const slow = fetch(`${projectUrl}/rest/v1/slow`, { ...withKey, signal: controller.signal });
    await expect.poll(() => held).toBeDefined();
    for (let count = 0; count < 6; count += 1) {
      expect((await fetch(`${projectUrl}/rest/v1/x`, withKey)).status).toBe(503);
    }
    controller.abort();
    await expect(slow).rejects.toThrow();
    await expect.poll(() => held?.destroyed).toBe(true);
    expect((await fetch(`${projectUrl}/rest/v1/x`, withKey)).status).toBe(200);
  });

  test("because the client does not read do not open the breaker", async () => {
    const timeouts = { ...DEFAULT_TIMEOUTS, storage: { responseMs: 5_000, idleMs: 300 } };
    const body = Buffer.alloc(50_000_000);
    const { projectUrl, port, upstream } = await start(
      (socket, head) => {
        if (!head.includes("/huge")) return void socket.write(OK);
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n");
        socket.write(body);
      },
      { timeouts },
    );
    for (let count = 0; count < 5; count += 1) {
      const slow = connect(port, "127.0.0.1");
      slow.on("error", () => {});
      slow.write(`GET /projects/${REF}/storage/v1/huge HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      cleanups.push(() => void slow.destroy());
    }
    await expect.poll(() => upstream.connections.length).toBe(5);
    await expect.poll(() => upstream.connections.every(({ destroyed }) => destroyed), { timeout: 5_000 }).toBe(true);
    expect((await fetch(`${projectUrl}/storage/v1/x`, withKey)).status).toBe(200);
  });

  test("because the client does not send its body do not open the breaker", async () => {
    const timeouts = { ...DEFAULT_TIMEOUTS, storage: { responseMs: 100, idleMs: 100 } };
    const { projectUrl, port } = await start(answer(OK), { timeouts });
    const message = `POST /projects/${REF}/storage/v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\nhello`;
    const answers = await Promise.all([1, 2, 3, 4, 5].map(() => rawExchange(port, message, 2_000)));
    for (const text of answers) expect(text).toMatch(/^HTTP\/1.1 408 Request Timeout/);
    expect((await fetch(`${projectUrl}/storage/v1/x`, withKey)).status).toBe(200);
  });
});
