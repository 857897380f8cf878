/** A client that is slow or stands still is nobody else's failure, and does not hold anything for ever. */
import { afterEach, describe, expect, test } from "vitest";
import type { ServiceRequest } from "../../data-plane/service.ts";
import type { GatewayOptions } from "../../gateway/server.ts";
import { ANON_JWT, REF, snapshot } from "../../gateway/snapshot.fixture.ts";
import { DEFAULT_TIMEOUTS } from "../../gateway/upstreams/upstream.ts";
import { echo, localServices, startGateway } from "../gateway/support.ts";
import { slowPost, trickleBodies } from "./attacks/slow-clients.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

async function start(options: Partial<GatewayOptions>) {
  const running = await startGateway(options as Parameters<typeof startGateway>[0]);
  cleanups.push(() => running.gateway.close());
  const headers = { apikey: ANON_JWT };
  const get = (path: string) => fetch(`${running.projectUrl}${path}`, { headers });
  return { ...running, get, target: (path: string) => `/projects/${REF}${path}`, headers };
}

function timeouts(responseMs: number, idleMs: number): typeof DEFAULT_TIMEOUTS {
  return { ...DEFAULT_TIMEOUTS, rest: { responseMs, idleMs }, storage: { responseMs, idleMs } };
}

/** Takes the body piece by piece. */
async function upload(request: ServiceRequest) {
  let bytes = 0;
  for await (const chunk of request.body?.stream() ?? []) bytes += chunk.length;
  return { status: 200, headers: [], body: String(bytes) };
}

describe("a client that sends its body slowly", () => {
  test("takes longer than a service may take, and is answered", async () => {
    const { port, target, headers } = await start({ timeouts: timeouts(300, 2_000) });
    using client = slowPost({
      ...{ port, target: target("/rest/v1/x"), headers },
      body: "0123456789",
      pace: { bytes: 1, everyMs: 100 },
    });
    expect(await client.answer).toMatch(/^HTTP\/1.1 200 OK/);
  });

  test("five of them with the public key do not close the service to others", async () => {
    const { port, target, headers, get } = await start({ timeouts: timeouts(150, 2_000) });
    const clients = trickleBodies(5, { port, target: target("/rest/v1/x"), headers });
    cleanups.push(() => {
      for (const client of clients) client[Symbol.dispose]();
    });
    await expect.poll(() => clients.every(({ sentBytes }) => sentBytes > 15), { timeout: 5_000 }).toBe(true);
    expect((await get("/rest/v1/x")).status).toBe(200);
  });

  test("is not cut by the server library, which asks for 16 KB a second", { timeout: 30_000 }, async () => {
    const { port, target, headers } = await start({ localServices: localServices({ storage: upload, rest: echo }) });
    const slow = { port, headers, body: Buffer.alloc(28, "x"), pace: { bytes: 1, everyMs: 500 } };
    using stored = slowPost({ ...slow, target: target("/storage/v1/x") });
    using written = slowPost({ ...slow, target: target("/rest/v1/x") });
    for (const client of [stored, written]) expect(await client.answer).toMatch(/^HTTP\/1.1 200 OK/);
  });
});

describe("a client that stops in the middle of its body", () => {
  test.each(["rest", "storage"] as const)(
    "gets 408 from %s, which is told and stays open to others",
    async (service) => {
      const aborted: boolean[] = [];
      const take = async (request: ServiceRequest) => {
        request.signal.addEventListener("abort", () => aborted.push(true));
        return upload(request);
      };
      const { port, target, headers, get } = await start({
        timeouts: timeouts(10_000, 200),
        localServices: localServices({ rest: take, storage: take }),
      });
      const clients = Array.from({ length: 6 }, () =>
        slowPost({ port, target: target(`/${service}/v1/x`), headers, body: "never sent" }),
      );
      for (const client of clients) {
        using stalled = client;
        expect(await stalled.answer).toMatch(/^HTTP\/1.1 408 Request Timeout/);
      }
      expect(aborted).toHaveLength(6);
      expect((await get(`/${service}/v1/x`)).status).toBe(200);
    },
  );

  test("gets 408 even while the service does something else than read", async () => {
    const storage = (request: ServiceRequest) =>
      new Promise<never>((_answer, reject) =>
        request.signal.addEventListener("abort", () => reject(new Error("gone"))),
      );
    const { port, target, headers } = await start({
      timeouts: timeouts(10_000, 200),
      localServices: localServices({ storage }),
    });
    using client = slowPost({ port, target: target("/storage/v1/x"), headers, body: "never sent" });
    expect(await client.answer).toMatch(/^HTTP\/1.1 408/);
  });
});

describe("a service", () => {
  const asleep = (request: ServiceRequest) =>
    new Promise<never>((_answer, reject) => request.signal.addEventListener("abort", () => reject(new Error("gone"))));

  test("that does not answer a request that is complete is the one that is late", async () => {
    const rest = async (request: ServiceRequest) => {
      await request.body?.read(1_000);
      return asleep(request);
    };
    const { get, headers, projectUrl } = await start({
      timeouts: timeouts(150, 10_000),
      localServices: localServices({ rest }),
    });
    for (let count = 0; count < 5; count += 1) {
      const late = await fetch(`${projectUrl}/rest/v1/x`, { method: "POST", headers, body: "whole" });
      expect(late.status).toBe(504);
    }
    expect((await get("/rest/v1/x")).status).toBe(503);
  });

  test("that takes nothing of an upload is the one that is late", async () => {
    const { headers, projectUrl } = await start({
      timeouts: timeouts(10_000, 300),
      localServices: localServices({ storage: asleep }),
    });
    const body = Buffer.alloc(20_000_000);
    const late = await fetch(`${projectUrl}/storage/v1/x`, { method: "POST", headers, body }).catch(() => null);
    // The client may still be sending when it is answered, and then sees its connection closed.
    if (late) expect(late.status).toBe(504);
  });

  test("that has been left alone after failures stays so when a setting of its project changes", async () => {
    const { get, configs } = await start({
      timeouts: timeouts(50, 1_000),
      localServices: localServices({ rest: asleep, auth: echo }),
    });
    for (let count = 0; count < 5; count += 1) expect((await get("/rest/v1/x")).status).toBe(504);
    expect((await get("/rest/v1/x")).status).toBe(503);
    configs.set(structuredClone(snapshot({ version: 2 })));
    expect((await get("/rest/v1/x")).status).toBe(503);
  });

  test("that is somewhere else now is asked again", async () => {
    const { get, configs } = await start({
      timeouts: timeouts(50, 1_000),
      localServices: localServices({ rest: asleep }),
    });
    for (let count = 0; count < 5; count += 1) await get("/rest/v1/x");
    const upstreams = { ...snapshot().upstreams, rest: { kind: "http", origin: "http://127.0.0.1:1" } } as const;
    configs.set(snapshot({ version: 2, upstreams }));
    expect((await get("/rest/v1/x")).headers.get("retry-after")).toBe("1");
    expect((await get("/rest/v1/x")).status).toBe(503);
  });
});
