/** GETs in a row on one upstream connection: it must never show in what a client gets. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { DEFAULT_POOL_LIMITS } from "../../gateway/proxy/client.ts";
import type { PoolLimits } from "../../gateway/proxy/pool.ts";
import { ANON_JWT, REF, snapshot } from "../../gateway/snapshot.fixture.ts";
import { type RawUpstream, startRawUpstream } from "./raw-upstream.ts";
import { MemoryConfigs, type RunningGateway, startGateway } from "./support.ts";

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** Answers with the path and the project it was asked for. */
function answerTo(head: string): string {
  const path = /^GET (\S+)/.exec(head)?.[1];
  const prefix = /x-forwarded-prefix: (\S+)/.exec(head)?.[1];
  const body = `${prefix} ${path}`;
  return `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

const OTHER = "zzzzzzzzzzzzzzzzzzzz" as typeof REF;

async function start(
  respond: (socket: Socket, head: string, count: number) => void,
  limits: Partial<PoolLimits> = {},
): Promise<RunningGateway & { upstream: RawUpstream }> {
  const upstream = await startRawUpstream(respond);
  const http = { kind: "http", origin: upstream.origin } as const;
  const upstreams = { rest: http, auth: http, storage: http, realtime: http };
  const configs = new MemoryConfigs(snapshot({ upstreams }), snapshot({ upstreams, projectRef: OTHER }));
  const pipelining = { maxDepth: 8, connections: 1, maxDelayMs: 200 };
  const poolLimits = { ...DEFAULT_POOL_LIMITS, pipelining, ...limits };
  const gateway = await startGateway({ configs, poolLimits });
  cleanups.push(
    () => gateway.gateway.close(),
    () => upstream.close(),
  );
  return { ...gateway, upstream };
}

async function ask(url: string, ref: string, path: string): Promise<string> {
  const response = await fetch(`${url}/projects/${ref}/rest/v1${path}`, { headers: { apikey: ANON_JWT } });
  return response.status === 200 ? await response.text() : `status ${response.status}`;
}

const expected = (ref: string, path: string) => `/projects/${ref}/rest/v1 ${path}`;

/** The upstream is known to be fast: rows may begin. */
async function warmUp(url: string): Promise<void> {
  for (let index = 0; index < 70; index += 1) await ask(url, REF, "/warm");
}

test("everybody gets the own answer, and requests did stand in rows", async () => {
  let inRow = 0;
  const busy = new Map<Socket, number>();
  const { url } = await start((socket, head) => {
    const before = busy.get(socket) ?? 0;
    if (before > 0) inRow += 1;
    busy.set(socket, before + 1);
    setImmediate(() => {
      socket.write(answerTo(head));
      busy.set(socket, (busy.get(socket) ?? 1) - 1);
    });
  });
  await warmUp(url);
  const paths = Array.from({ length: 300 }, (_, index) => `/item-${index}`);
  const answers = await Promise.all(paths.map((path) => ask(url, REF, path)));
  expect(answers).toEqual(paths.map((path) => expected(REF, path)));
  expect(inRow).toBeGreaterThan(0);
});

test("two projects never share a row", async () => {
  const underWay = new Map<Socket, Set<string>>();
  let mixed = false;
  const { url } = await start((socket, head) => {
    const project = /x-forwarded-prefix: \/projects\/(\w+)/.exec(head)?.[1] ?? "";
    const projects = underWay.get(socket) ?? new Set();
    projects.add(project);
    underWay.set(socket, projects);
    if (projects.size > 1) mixed = true;
    setImmediate(() => {
      projects.clear();
      socket.write(answerTo(head));
    });
  });
  await warmUp(url);
  const asked = Array.from({ length: 200 }, (_, index) => [index % 2 === 0 ? REF : OTHER, `/item-${index}`] as const);
  const answers = await Promise.all(asked.map(([ref, path]) => ask(url, ref, path)));
  expect(answers).toEqual(asked.map(([ref, path]) => expected(ref, path)));
  expect(mixed).toBe(false);
});

test("who stands behind a slow response is served elsewhere meanwhile", async () => {
  const slow: (() => void)[] = [];
  /** Sockets whose row stands still. */
  const stuck = new Set<Socket>();
  const { url } = await start((socket, head) => {
    if (head.startsWith("GET /slow")) {
      stuck.add(socket);
      slow.push(() => socket.write(answerTo(head)));
    } else if (!stuck.has(socket)) {
      socket.write(answerTo(head));
    }
  });
  await warmUp(url);
  const slowAnswer = ask(url, REF, "/slow");
  const paths = Array.from({ length: 20 }, (_, index) => `/item-${index}`);
  const answers = await Promise.all(paths.map((path) => ask(url, REF, path)));
  expect(answers).toEqual(paths.map((path) => expected(REF, path)));
  expect(slow.length).toBeGreaterThan(0);
  for (const release of slow) release();
  expect(await slowAnswer).toBe(expected(REF, "/slow"));
});

test("a server that knows no rows and closes costs no request", async () => {
  const busy = new Set<Socket>();
  let closed = 0;
  const { url } = await start((socket, head) => {
    if (busy.has(socket)) {
      closed += 1;
      socket.destroy();
      return;
    }
    busy.add(socket);
    setTimeout(() => {
      busy.delete(socket);
      if (!socket.destroyed) socket.write(answerTo(head));
    }, 1);
  });
  await warmUp(url);
  const paths = Array.from({ length: 100 }, (_, index) => `/item-${index}`);
  const answers = await Promise.all(paths.map((path) => ask(url, REF, path)));
  expect(answers).toEqual(paths.map((path) => expected(REF, path)));
  const closedBefore = closed;
  expect(closedBefore).toBeGreaterThan(0);
  await Promise.all(paths.map((path) => ask(url, REF, path)));
  expect(closed).toBe(closedBefore);
});

test("a client that leaves takes nothing away from those behind it", async () => {
  const held: (() => void)[] = [];
  let hold = false;
  const { url } = await start((socket, head) => {
    if (hold) held.push(() => socket.write(answerTo(head)));
    else socket.write(answerTo(head));
  });
  await warmUp(url);
  hold = true;
  const controller = new AbortController();
  const leaving = fetch(`${url}/projects/${REF}/rest/v1/leaving`, {
    headers: { apikey: ANON_JWT },
    signal: controller.signal,
  }).catch(() => "left");
  const others = Array.from({ length: 10 }, (_, index) => ask(url, REF, `/item-${index}`));
  await expect.poll(() => held.length).toBeGreaterThan(0);
  hold = false;
  controller.abort();
  expect(await leaving).toBe("left");
  for (const release of held) release();
  expect(await Promise.all(others)).toEqual(others.map((_, index) => expected(REF, `/item-${index}`)));
});

test("a client that leaves takes nothing away from the one ahead of it, whose response is on its way", async () => {
  let half: Socket | undefined;
  const { url, upstream } = await start((socket, head) => {
    if (head.startsWith("GET /long")) {
      half = socket;
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
    } else if (socket !== half) socket.write(answerTo(head));
  });
  await warmUp(url);
  const controller = new AbortController();
  const headers = { apikey: ANON_JWT };
  const longAsked = fetch(`${url}/projects/${REF}/rest/v1/long`, { headers });
  const leaving = fetch(`${url}/projects/${REF}/rest/v1/leaving`, { headers, signal: controller.signal });
  const long = await longAsked;
  await expect.poll(() => upstream.received.join("")).toContain("/leaving");
  controller.abort();
  await expect(leaving).rejects.toThrow();
  await ask(url, REF, "/item");
  half?.write("+last");
  expect(await long.text()).toBe("first+last");
});

test("a client that does not read holds up nobody behind it", async () => {
  const { url, port } = await start((socket, head) => {
    if (head.startsWith("GET /huge")) {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n");
      socket.write(Buffer.alloc(50_000_000));
    } else socket.write(answerTo(head));
  });
  await warmUp(url);
  const slow = connect(port, "127.0.0.1");
  cleanups.push(() => void slow.destroy());
  const line = (path: string) =>
    `GET /projects/${REF}/rest/v1${path} HTTP/1.1\r\nHost: localhost\r\napikey: ${ANON_JWT}`;
  slow.write(`${line("/huge")}\r\n\r\n`);
  const paths = Array.from({ length: 20 }, (_, index) => `/item-${index}`);
  expect(await Promise.all(paths.map((path) => ask(url, REF, path)))).toEqual(paths.map((path) => expected(REF, path)));
  await once(slow, "readable");
  expect(slow.bytesRead).toBeLessThan(50_000_000);
  expect(await Promise.all(paths.map((path) => ask(url, REF, path)))).toEqual(paths.map((path) => expected(REF, path)));
});

test("connections left to a slow response count as the project's all the same", async () => {
  const stuck = new Set<Socket>();
  const { url, upstream } = await start(
    (socket, head) => {
      if (head.startsWith("GET /slow")) stuck.add(socket);
      else if (!stuck.has(socket)) socket.write(answerTo(head));
    },
    { maxConnectionsPerProject: 3, maxWaitMs: 300 },
  );
  await warmUp(url);
  const alive = () => upstream.connections.filter((socket) => !socket.destroyed).length;
  const asked: Promise<unknown>[] = [];
  for (let count = 0; count < 8; count += 1) {
    for (const path of [`/slow-${count}`, `/item-${count}`]) asked.push(ask(url, REF, path).catch(() => null));
    await new Promise((resolve) => setTimeout(resolve, 300)); // rows pause after each slow one
    expect(alive()).toBeLessThanOrEqual(3);
  }
  await upstream.close();
  await Promise.all(asked);
});

test("writes are never put into a row", async () => {
  const methods: string[][] = [];
  const rows = new Map<Socket, string[]>();
  const { url } = await start((socket, head) => {
    const row = rows.get(socket) ?? [];
    row.push(head.slice(0, head.indexOf(" ")));
    rows.set(socket, row);
    setImmediate(() => {
      if (row.length > 1) methods.push([...row]);
      row.shift();
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
  });
  await warmUp(url);
  const request = (method: string, index: number) =>
    fetch(`${url}/projects/${REF}/rest/v1/item-${index}`, { method, headers: { apikey: ANON_JWT } });
  await Promise.all(Array.from({ length: 100 }, (_, index) => request(index % 2 === 0 ? "GET" : "DELETE", index)));
  expect(methods.flat().filter((method) => method !== "GET")).toEqual([]);
});
