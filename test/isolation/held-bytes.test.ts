/** What a process holds in memory for clients and tenants: shared out between projects, and not for ever. */
import { afterEach, describe, expect, test } from "vitest";
import { parseProjectRef } from "../../control-plane/client/config-snapshot.ts";
import { DEFAULT_MAXIMA } from "../../control-plane/client/maxima.ts";
import { HeldBytes } from "../../data-plane/held-bytes.ts";
import type { ServiceRequest } from "../../data-plane/service.ts";
import type { GatewayOptions } from "../../gateway/server.ts";
import { ANON_JWT, REF, snapshot } from "../../gateway/snapshot.fixture.ts";
import { echo, localServices, MemoryConfigs, startGateway } from "../gateway/support.ts";
import { slowPost } from "./attacks/slow-clients.ts";
import { askAndReadNothing } from "./attacks/unbounded-work.ts";

const NEIGHBOUR = parseProjectRef("neighbourneighbourne");
const MB = 1_000_000;
const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

async function start({ heldBytes = new HeldBytes(20 * MB), ...options }: Partial<GatewayOptions>) {
  const configs = new MemoryConfigs(snapshot(), snapshot({ projectRef: NEIGHBOUR }));
  const running = await startGateway({ heldBytes, ...options, configs });
  cleanups.push(() => running.gateway.close());
  const headers = { apikey: ANON_JWT };
  return { ...running, heldBytes, configs, headers, ofNeighbour: `${running.url}/projects/${NEIGHBOUR}` };
}

/** Bytes of a response: more than the kernel takes into the buffers of a connection, which is 4 MB and a little. */
const LARGE = Buffer.alloc(16 * MB);
const large = async () => ({ status: 200, headers: [], body: LARGE });

describe("responses that nobody reads", () => {
  test("fill the project's own share, and a neighbour is served all the same", async () => {
    const heldBytes = new HeldBytes(5 * LARGE.length);
    const { port, headers, ofNeighbour } = await start({ heldBytes, localServices: localServices({ rest: large }) });
    using clients = askAndReadNothing(port, `/projects/${REF}/rest/v1/x`, ANON_JWT, 12);
    await expect.poll(() => clients.statuses.length).toBe(12);
    expect(clients.statuses.filter((status) => status === 429)).toHaveLength(10);
    expect(heldBytes.heldBy(REF)).toBe(2 * LARGE.length);
    const response = await fetch(`${ofNeighbour}/rest/v1/x`, { headers });
    expect([response.status, (await response.arrayBuffer()).byteLength]).toEqual([200, LARGE.length]);
  });

  test("are cut after a while, and nothing of them is held any more", async () => {
    const heldBytes = new HeldBytes(5 * LARGE.length);
    const { port, url, headers } = await start({
      heldBytes,
      takeTimeoutMs: 300,
      localServices: localServices({ rest: large }),
    });
    using clients = askAndReadNothing(port, `/projects/${REF}/rest/v1/x`, ANON_JWT, 2);
    await expect.poll(() => clients.statuses).toEqual([200, 200]);
    await expect.poll(() => heldBytes.total, { timeout: 10_000 }).toBe(0);
    const whole = await fetch(`${url}/projects/${REF}/rest/v1/x`, { headers });
    expect((await whole.arrayBuffer()).byteLength).toBe(LARGE.length);
  });

  test("that are streamed are cut too, and the service is told", async () => {
    let ended = 0;
    async function* pieces() {
      try {
        while (true) yield Buffer.alloc(64 * 1024);
      } finally {
        ended += 1;
      }
    }
    const rest = async () => ({ status: 200, headers: [], body: pieces() });
    const { port } = await start({ takeTimeoutMs: 300, localServices: localServices({ rest }) });
    using clients = askAndReadNothing(port, `/projects/${REF}/rest/v1/x`, ANON_JWT, 2);
    await expect.poll(() => clients.statuses).toEqual([200, 200]);
    await expect.poll(() => ended, { timeout: 10_000 }).toBe(2);
  });
});

describe("bodies that are read whole", () => {
  const read = async (request: ServiceRequest) => {
    const body = await request.body?.read(10 * MB);
    return { status: 200, headers: [], body: String(body?.length) };
  };

  test("count from their announcement on, and a neighbour's are taken all the same", async () => {
    const { port, heldBytes, headers, ofNeighbour, url, configs } = await start({
      localServices: localServices({ rest: read }),
    });
    for (const projectRef of [REF, NEIGHBOUR]) {
      configs.set(snapshot({ projectRef, version: 2, limits: { ...snapshot().limits, maxBodyBytes: 10 * MB } }));
    }
    const announce = { port, target: `/projects/${REF}/rest/v1/x`, headers, body: Buffer.alloc(5 * MB) };
    const stalled = Array.from({ length: 2 }, () => slowPost(announce));
    cleanups.push(() => {
      for (const client of stalled) client[Symbol.dispose]();
    });
    await expect.poll(() => heldBytes.heldBy(REF)).toBe(10 * MB);
    const body = Buffer.alloc(3 * MB);
    const own = await fetch(`${url}/projects/${REF}/rest/v1/x`, { method: "POST", headers, body });
    expect([own.status, (await own.json()).code]).toEqual([429, "too_many_bytes_held"]);
    const other = await fetch(`${ofNeighbour}/rest/v1/x`, { method: "POST", headers, body });
    expect([other.status, await other.text()]).toEqual([200, String(3 * MB)]);
    for (const client of stalled) client[Symbol.dispose]();
    await expect.poll(() => heldBytes.total).toBe(0);
  });

  test("in chunks count as they come", async () => {
    const { heldBytes, headers, url } = await start({ localServices: localServices({ rest: read }) });
    heldBytes.take(REF, 9 * MB);
    const chunks = new ReadableStream({
      start(controller) {
        for (let count = 0; count < 12; count += 1) controller.enqueue(new Uint8Array(80_000));
        controller.close();
      },
    });
    const options = { method: "POST", headers, body: chunks, duplex: "half" } as RequestInit;
    expect((await fetch(`${url}/projects/${REF}/rest/v1/x`, options)).status).toBe(200);
    heldBytes.take(REF, MB);
    const again = { ...options, body: new Blob([new Uint8Array(900_000)]).stream() };
    expect((await fetch(`${url}/projects/${REF}/rest/v1/x`, again)).status).toBe(429);
  });
});

test("a snapshot that says more than the installation gives is served within its maxima", async () => {
  const { url, headers } = await start({
    maxima: { ...DEFAULT_MAXIMA, bodyBytes: 1_000, concurrentRequests: 1 },
    localServices: localServices({ rest: echo }),
  });
  const body = Buffer.alloc(2_000, "x");
  const refused = await fetch(`${url}/projects/${REF}/rest/v1/x`, { method: "POST", headers, body });
  expect(refused.status).toBe(413);
});
