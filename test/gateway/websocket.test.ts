/** WebSockets through the gateway to a remote realtime server. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { ANON_JWT, keyEntry, PUBLISHABLE, REF, SERVICE_JWT, snapshot } from "../../gateway/snapshot.fixture.ts";
import { MemoryConfigs, type RunningGateway, rawExchange, startGateway } from "./support.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

interface Upstream {
  readonly origin: string;
  readonly requests: IncomingMessage[];
  readonly sockets: WebSocket[];
  readonly http: Server;
}

async function startUpstream(onSocket: (socket: WebSocket) => void): Promise<Upstream> {
  const http = createServer();
  const server = new WebSocketServer({ server: http, handleProtocols: (offered) => [...offered].at(-1) ?? false });
  const requests: IncomingMessage[] = [];
  const sockets: WebSocket[] = [];
  server.on("connection", (socket, request) => {
    requests.push(request);
    sockets.push(socket);
    onSocket(socket);
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  cleanups.push(() => {
    for (const socket of sockets) socket.terminate();
    http.close();
  });
  return { origin: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, requests, sockets, http };
}

const echo = (socket: WebSocket) => socket.on("message", (data, binary) => socket.send(data, { binary }));

async function start(
  onSocket: (socket: WebSocket) => void = echo,
  limits: Partial<ReturnType<typeof snapshot>["limits"]> = {},
): Promise<RunningGateway & { upstream: Upstream; socketUrl: string }> {
  const upstream = await startUpstream(onSocket);
  const http = { kind: "http", origin: upstream.origin } as const;
  const upstreams = { rest: http, auth: http, storage: http, realtime: http };
  const configs = new MemoryConfigs(snapshot({ upstreams, limits: { ...snapshot().limits, ...limits } }));
  const gateway = await startGateway({ configs });
  cleanups.push(() => gateway.gateway.close());
  return { ...gateway, upstream, socketUrl: `${gateway.projectUrl.replace("http", "ws")}/realtime/v1/websocket` };
}

/** A client that collects what happens to it. */
async function open(url: string, protocols: string[] = []) {
  const socket = new WebSocket(url, protocols, { perMessageDeflate: false });
  const messages: [text: string, binary: boolean][] = [];
  socket.on("message", (data, binary) => messages.push([String(data), binary]));
  const closed = once(socket, "close").then(([code, reason]) => [code, String(reason)] as const);
  await once(socket, "open");
  cleanups.push(() => socket.terminate());
  return { socket, messages, closed };
}

/** Status and body of a refused handshake. */
async function refusal(url: string): Promise<[status: number | undefined, body: string]> {
  const socket = new WebSocket(url);
  socket.on("error", () => {});
  const [, response] = (await once(socket, "unexpected-response")) as [unknown, IncomingMessage];
  let body = "";
  for await (const chunk of response) body += chunk;
  return [response.statusCode, body];
}

describe("handshake", () => {
  test("tells the server its tenant and the translated key, and agrees on a subprotocol", async () => {
    const { socketUrl, upstream } = await start();
    const { socket } = await open(`${socketUrl}?apikey=${PUBLISHABLE}&vsn=1.0.0`, ["one", "two"]);
    expect(socket.protocol).toBe("two");
    const [request] = upstream.requests;
    expect(request?.url).toBe("/socket/websocket?vsn=1.0.0&apikey=role-token-anon");
    expect(request?.headers).toMatchObject({ "x-api-key": "role-token-anon", "x-forwarded-for": "127.0.0.1" });
    expect(request?.headers.host?.split(".")[0]).toBe(REF);
    expect(request?.headers.authorization).toBeUndefined();
  });

  test.each([
    ["", 401, "api_key_missing"],
    ["?apikey=sb_publishable_other", 401, "api_key_invalid"],
  ])("is refused before the server hears of it: %j", async (query, status, code) => {
    const { socketUrl, upstream } = await start();
    const [refused, body] = await refusal(socketUrl + query);
    expect([refused, JSON.parse(body).code]).toEqual([status, code]);
    expect(upstream.requests).toEqual([]);
  });

  test("is refused on routes that speak no WebSocket", async () => {
    const { socketUrl } = await start();
    const [status] = await refusal(`${socketUrl.replace("realtime", "rest")}?apikey=${ANON_JWT}`);
    expect(status).toBe(400);
  });

  test("passes on the server's own refusal", async () => {
    const { socketUrl, upstream } = await start();
    upstream.http.removeAllListeners("upgrade");
    upstream.http.on("upgrade", (_request, socket) => {
      const body = '{"error":"Too many connected users"}';
      socket.end(
        `HTTP/1.1 429 Too Many\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
    });
    const refused = await refusal(`${socketUrl}?apikey=${ANON_JWT}`);
    expect(refused).toEqual([429, '{"error":"Too many connected users"}']);
  });

  test("fails with 503 when the server is not there", async () => {
    const { socketUrl, upstream } = await start();
    upstream.http.close();
    const [status] = await refusal(`${socketUrl}?apikey=${ANON_JWT}`);
    expect(status).toBe(503);
  });

  test("is refused beyond the project's number of sockets, until one is closed", async () => {
    const { socketUrl } = await start(echo, { sockets: 2 });
    const first = await open(`${socketUrl}?apikey=${ANON_JWT}`);
    await open(`${socketUrl}?apikey=${ANON_JWT}`);
    const [status, body] = await refusal(`${socketUrl}?apikey=${ANON_JWT}`);
    expect([status, JSON.parse(body).code]).toEqual([429, "too_many_sockets"]);
    first.socket.close(1000);
    await first.closed;
    await open(`${socketUrl}?apikey=${ANON_JWT}`);
  });
});

describe("an opening that is not quite one", () => {
  const opening = (headers: readonly string[], body = "") =>
    [
      `GET /projects/${REF}/realtime/v1/websocket?apikey=${ANON_JWT} HTTP/1.1`,
      "Host: localhost",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      ...headers,
      "",
      body,
    ].join("\r\n");

  test.each([
    ["without Upgrade", ["Connection: Upgrade", "Sec-WebSocket-Version: 13"], "", 400],
    ["for HTTP/2", ["Connection: Upgrade", "Upgrade: h2c", "Sec-WebSocket-Version: 13"], "", 400],
    ["without Connection", ["Upgrade: websocket", "Sec-WebSocket-Version: 13"], "", 400],
    ["of another version", ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 8"], "", 426],
    [
      "with a body",
      ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Content-Length: 5"],
      "hello",
      400,
    ],
    [
      "with a body in chunks",
      ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Transfer-Encoding: chunked"],
      "5\r\nhello\r\n0\r\n\r\n",
      400,
    ],
  ])("%s is refused before the server hears of it", async (_name, headers, body, status) => {
    const { port, upstream } = await start();
    const response = await rawExchange(port, opening(headers, body));
    expect(response).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    if (status === 426) expect(response).toMatch(/sec-websocket-version: 13\r\n/);
    expect(upstream.requests).toEqual([]);
  });

  test("in other letters and with further options is one", async () => {
    const { port } = await start();
    const headers = ["Connection: keep-alive, upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Version: 13"];
    const response = await rawExchange(port, opening(headers));
    expect(response).toMatch(/^HTTP\/1.1 101 /);
    expect(response).not.toMatch(/sec-websocket-extensions/i);
  });

  test("compression that a client offers is not taken", async () => {
    const { port, upstream } = await start();
    const headers = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
    const offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";
    expect(await rawExchange(port, opening([...headers, offer]))).not.toMatch(/sec-websocket-extensions/i);
    expect(upstream.requests[0]?.headers).not.toHaveProperty("sec-websocket-extensions");
  });
});

describe("a project that changes while the server still thinks about the handshake", () => {
  const revoked = { apiKeys: [keyEntry(SERVICE_JWT, "service_role")] };
  test.each([
    ["the key is revoked", revoked, 401],
    ["the project is paused", { state: "paused" } as const, 503],
  ])("%s: no socket", async (_name, change, status) => {
    const { socketUrl, upstream, configs } = await start();
    const [accept] = upstream.http.listeners("upgrade") as ((...args: unknown[]) => void)[];
    upstream.http.removeAllListeners("upgrade");
    const asked = once(upstream.http, "upgrade");
    const refused = refusal(`${socketUrl}?apikey=${ANON_JWT}`);
    const handshake = await asked;
    configs.set({ ...(configs.peek(REF) ?? snapshot()), version: 2, ...change });
    accept?.apply(upstream.http, handshake);
    expect((await refused)[0]).toBe(status);
    await expect.poll(() => upstream.sockets.every((socket) => socket.readyState === socket.CLOSED)).toBe(true);
  });
});

describe("frames", () => {
  test("go both ways as they are, text and binary, in order", async () => {
    const { socketUrl } = await start((socket) => {
      socket.send("hello from the server");
      echo(socket);
    });
    const { socket, messages } = await open(`${socketUrl}?apikey=${ANON_JWT}`);
    for (let index = 0; index < 100; index += 1) socket.send(index % 2 === 0 ? `é${index}` : Buffer.from(`é${index}`));
    await expect.poll(() => messages.length).toBe(101);
    expect(messages[0]).toEqual(["hello from the server", false]);
    expect(messages.slice(1)).toEqual(Array.from({ length: 100 }, (_, index) => [`é${index}`, index % 2 === 1]));
  });

  test("of a server that sends faster than the client reads do not pile up", async () => {
    let sent = 0;
    const chunk = Buffer.alloc(1_000_000);
    const { socketUrl } = await start((socket) => {
      const pump = () => {
        sent += 1;
        if (sent < 200 && socket.readyState === socket.OPEN) socket.send(chunk, pump);
      };
      pump();
    });
    const { socket, messages } = await open(`${socketUrl}?apikey=${ANON_JWT}`);
    socket.pause();
    let before = -1;
    await expect
      .poll(
        () => {
          const still = sent === before;
          before = sent;
          return still;
        },
        { interval: 200 },
      )
      .toBe(true);
    expect(sent).toBeLessThan(100);
    socket.resume();
    await expect.poll(() => messages.length, { timeout: 20_000 }).toBe(199);
  });

  test("to a server that takes none end the connection, messages and pings alike", async () => {
    const message = Buffer.alloc(1_000_000);
    const ping = Buffer.alloc(125);
    const sends = [
      (socket: WebSocket) => socket.send(message),
      (socket: WebSocket) => {
        for (let count = 0; count < 5_000; count += 1) socket.ping(ping);
      },
    ];
    for (const send of sends) {
      const { socketUrl } = await start((socket) => socket.pause());
      const { socket, closed } = await open(`${socketUrl}?apikey=${ANON_JWT}`);
      const flood = setInterval(() => {
        if (socket.bufferedAmount < 4_000_000) send(socket);
      }, 1);
      // 1006: what the client still sent as the connection closed has swept the close frame away.
      expect([1013, 1006]).toContain((await closed)[0]);
      clearInterval(flood);
    }
  }, 30_000);

  test("that are too large end the connection", async () => {
    const { socketUrl } = await start();
    const { socket, closed } = await open(`${socketUrl}?apikey=${ANON_JWT}`);
    socket.send(Buffer.alloc(5_000_001));
    expect((await closed)[0]).toBe(1006);
  });

  test("ping reaches the other end in both directions", async () => {
    const { socketUrl, upstream } = await start();
    const { socket } = await open(`${socketUrl}?apikey=${ANON_JWT}`);
    const server = upstream.sockets[0] as WebSocket;
    const atServer = once(server, "ping");
    socket.ping("a");
    expect(String((await atServer)[0])).toBe("a");
    const atClient = once(socket, "ping");
    server.ping("b");
    expect(String((await atClient)[0])).toBe("b");
  });
});

describe("the end", () => {
  test("without a code goes both ways without one", async () => {
    const { socketUrl, upstream } = await start();
    const first = await open(`${socketUrl}?apikey=${ANON_JWT}`);
    const atServer = once(upstream.sockets[0] as WebSocket, "close");
    first.socket.close();
    expect((await atServer)[0]).toBe(1005);
    const second = await open(`${socketUrl}?apikey=${ANON_JWT}`);
    upstream.sockets[1]?.close();
    expect((await second.closed)[0]).toBe(1005);
  });

  test.each([
    ["a reason that is no UTF-8", Buffer.from([0x88, 0xfd, 0, 0, 0, 0, 0x0f, 0xa1, ...Array(123).fill(0xff)])],
    ["a code that is none", Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x00, 0x01])],
    ["a code of one byte", Buffer.from([0x88, 0x81, 0, 0, 0, 0, 0x03])],
    ["a ping in pieces", Buffer.from([0x09, 0x80, 0, 0, 0, 0])],
    ["text that is no UTF-8", Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0xff])],
    ["a compressed frame nobody agreed on", Buffer.from([0xc1, 0x81, 0, 0, 0, 0, 0x61])],
  ])("by %s ends both sides and nothing else", async (_name, frame) => {
    const { socketUrl, upstream, url } = await start();
    const { socket, closed } = await open(`${socketUrl}?apikey=${ANON_JWT}`);
    const atServer = once(upstream.sockets[0] as WebSocket, "close");
    (socket as unknown as { _socket: Socket })._socket.write(frame);
    expect([1002, 1005, 1006, 1007]).toContain((await closed)[0]);
    expect([1002, 1005, 1006, 1007]).toContain((await atServer)[0]);
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });

  test.each([
    [1000, "bye"],
    [1001, ""],
    [4001, "own code"],
    [4999, "é".repeat(61)],
  ])("by the client with %i reaches the server", async (code, reason) => {
    const { socketUrl, upstream } = await start();
    const { socket } = await open(`${socketUrl}?apikey=${ANON_JWT}`);
    const closed = once(upstream.sockets[0] as WebSocket, "close");
    socket.close(code, reason);
    const [seen, text] = await closed;
    expect([seen, String(text)]).toEqual([code, reason]);
  });

  test.each([
    [1000, "bye"],
    [1012, "restart"],
    [3001, "registered"],
    [4001, "own code"],
    [4999, "é".repeat(61)],
  ])("by the server with %i reaches the client", async (code, reason) => {
    const { socketUrl, upstream } = await start();
    const { closed } = await open(`${socketUrl}?apikey=${ANON_JWT}`);
    upstream.sockets[0]?.close(code, reason);
    expect(await closed).toEqual([code, reason]);
  });

  test("of a server that dies asks the client to come again", async () => {
    const { socketUrl, upstream } = await start();
    const { closed } = await open(`${socketUrl}?apikey=${ANON_JWT}`);
    upstream.sockets[0]?.terminate();
    expect((await closed)[0]).toBe(1012);
  });

  test("of a client that vanishes is told to the server", async () => {
    const { socketUrl, upstream } = await start();
    const { socket } = await open(`${socketUrl}?apikey=${ANON_JWT}`);
    const closed = once(upstream.sockets[0] as WebSocket, "close");
    socket.terminate();
    expect((await closed)[0]).toBe(1006);
  });

  test("comes with the key's revocation and with the project's pause", async () => {
    const { socketUrl, configs, upstream } = await start();
    const revoked = await open(`${socketUrl}?apikey=${PUBLISHABLE}`);
    const other = await open(`${socketUrl}?apikey=${ANON_JWT}`);
    const project = configs.peek(REF) ?? snapshot();
    configs.set({ ...project, version: 2, apiKeys: [keyEntry(ANON_JWT, "anon")] });
    expect((await revoked.closed)[0]).toBe(1008);
    expect(other.socket.readyState).toBe(WebSocket.OPEN);
    configs.set({ ...project, version: 3, state: "paused" });
    expect((await other.closed)[0]).toBe(1012);
    await expect.poll(() => upstream.sockets.every((socket) => socket.readyState === socket.CLOSED)).toBe(true);
  });

  test("comes to sockets without a key when the project begins to ask for one", async () => {
    const { socketUrl, configs } = await start();
    const project = configs.peek(REF) ?? snapshot();
    configs.set({ ...project, version: 2, requireApiKey: false });
    const keyless = await open(socketUrl);
    const keyed = await open(`${socketUrl}?apikey=${ANON_JWT}`);
    configs.set({ ...project, version: 3, requireApiKey: true });
    expect((await keyless.closed)[0]).toBe(1008);
    expect(keyed.socket.readyState).toBe(WebSocket.OPEN);
  });

  test("comes before it has begun to whoever opens one while the gateway drains", async () => {
    const { socketUrl, gateway, upstream, port } = await start();
    const [accept] = upstream.http.listeners("upgrade") as ((...args: unknown[]) => void)[];
    upstream.http.removeAllListeners("upgrade");
    const asked = once(upstream.http, "upgrade");
    const early = refusal(`${socketUrl}?apikey=${ANON_JWT}`);
    const handshake = await asked;
    const kept = connect(port, "127.0.0.1");
    cleanups.push(() => void kept.destroy());
    kept.write("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await once(kept, "data");
    const draining = gateway.drain(5_000);
    accept?.apply(upstream.http, handshake);
    expect((await early)[0]).toBe(503);
    kept.write(
      `GET /projects/${REF}/realtime/v1/websocket?apikey=${ANON_JWT} HTTP/1.1\r\nHost: localhost\r\n` +
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    expect(String((await once(kept, "data"))[0])).toMatch(/^HTTP\/1.1 503 .*connection: close\r\n/is);
    await draining;
  });

  test("comes with the gateway's drain, as a restart", async () => {
    const { socketUrl, gateway } = await start();
    const sockets = await Promise.all([1, 2, 3].map(() => open(`${socketUrl}?apikey=${ANON_JWT}`)));
    await gateway.drain(1_000);
    for (const { closed } of sockets) expect((await closed)[0]).toBe(1012);
  });
});

test("a client that sends more messages than its project may is closed with 1008, the others go on", async () => {
  const { socketUrl } = await start(echo, { requestsPerSecond: 1, requestBurst: 20 });
  const url = `${socketUrl}?apikey=${ANON_JWT}`;
  const [flooder, other] = [await open(url), await open(url)];
  for (let index = 0; index < 50; index += 1) flooder.socket.send("x");
  expect(await flooder.closed).toEqual([1008, "too many messages"]);
  expect(other.socket.readyState).toBe(WebSocket.OPEN);
});
