/** A service with WebSockets cannot tell whether the gateway calls it or reaches it in another process. */
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { Registry } from "prom-client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { HeldBytes } from "../../data-plane/held-bytes.ts";
import { createHttpHost, type HttpHost } from "../../data-plane/http-host.ts";
import { ANON_JWT, REF, snapshot } from "../../gateway/snapshot.fixture.ts";
import {
  echo,
  echoSocket,
  localServices,
  MemoryConfigs,
  type RunningGateway,
  SILENT,
  startGateway,
} from "./support.ts";

const TOKEN = "a-token-of-at-least-32-characters";
const services = localServices({ realtime: echo }, echoSocket);
let host: HttpHost;
let origin: string;
const gateways: Record<string, RunningGateway> = {};

beforeAll(async () => {
  host = createHttpHost({
    services,
    serviceToken: TOKEN,
    isReady: () => true,
    registry: new Registry(),
    heldBytes: new HeldBytes(1024 ** 3),
    logger: SILENT,
  });
  origin = `http://127.0.0.1:${(await host.listen(0, "127.0.0.1")).port}`;
  const http = { kind: "http", origin } as const;
  const upstreams = { rest: http, auth: http, storage: http, realtime: http };
  const limits = { ...snapshot().limits, sockets: 10_000, requestBurst: 100_000 };
  gateways.called = await startGateway({ localServices: services, configs: new MemoryConfigs(snapshot({ limits })) });
  gateways.remote = await startGateway({
    configs: new MemoryConfigs(snapshot({ upstreams, limits })),
    localServices: null,
    serviceToken: TOKEN,
  });
});
afterAll(() => {
  for (const { gateway } of Object.values(gateways)) gateway.close();
  host.close();
});

async function refusal(url: string, headers: Record<string, string> = {}): Promise<[number | undefined, string]> {
  const socket = new WebSocket(url, { headers });
  socket.on("error", () => {});
  const [, response] = (await once(socket, "unexpected-response")) as [unknown, IncomingMessage];
  let body = "";
  for await (const chunk of response) body += chunk;
  return [response.statusCode, body];
}

describe.each(["called", "remote"])("%s", (name) => {
  const url = (query = "") =>
    `${gateways[name]?.projectUrl.replace("http", "ws")}/realtime/v1/websocket?apikey=${ANON_JWT}${query}`;

  test.each(["", "&late"])("it is told the same, and frames go both ways as they are: %j", async (query) => {
    const socket = new WebSocket(url(query));
    const [told] = await once(socket, "message");
    expect(JSON.parse(String(told))).toMatchObject({
      path: "/socket/websocket",
      key: ANON_JWT,
      clientAddress: "127.0.0.1",
      publicUrl: `http://gateway.example/projects/${REF}`,
      host: new URL(gateways[name]?.url ?? "").host,
    });
    for (const [frame, binary] of [
      ["text", false],
      [Buffer.from([0, 255]), true],
      ["x".repeat(300_000), false],
    ] as const) {
      socket.send(frame);
      const [data, isBinary] = await once(socket, "message");
      expect([Buffer.compare(data as Buffer, Buffer.from(frame as string)), isBinary]).toEqual([0, binary]);
    }
    socket.send("close");
    const [code, reason] = await once(socket, "close");
    expect([code, String(reason)]).toEqual([4001, "as told"]);
  });

  test("its refusal and its failure are answers like any other", async () => {
    expect(await refusal(url("&refuse"))).toEqual([418, "no tea"]);
    const [status, body] = await refusal(url("&throw"));
    expect([status, body.includes("secret")]).toEqual([500, false]);
  });

  test("of five hundred sockets opened at once none is lost", async () => {
    const sockets = Array.from({ length: 500 }, (_, index) => new WebSocket(url(index % 2 ? "&late" : "")));
    let lost = 0;
    for (const socket of sockets) socket.on("close", () => (lost += 1));
    await Promise.all(sockets.map((socket) => once(socket, "message")));
    for (const socket of sockets) socket.send("ping");
    await Promise.all(sockets.map((socket) => once(socket, "message")));
    expect(lost).toBe(0);
    for (const socket of sockets) socket.terminate();
  });

  test("a key that is revoked closes its sockets", async () => {
    const socket = new WebSocket(url());
    await once(socket, "message");
    const configs = gateways[name]?.configs as MemoryConfigs;
    const before = configs.peek(REF);
    configs.set({ ...snapshot(), ...before, version: 9, apiKeys: [] });
    expect((await once(socket, "close"))[0]).toBe(1008);
    if (before) configs.set({ ...before, version: 10 });
  });
});

test("a process with the service refuses who does not come from a gateway", async () => {
  const headers = { "x-supalove-project": REF, "x-supalove-service": "realtime" };
  const url = `${origin.replace("http", "ws")}/socket/websocket?apikey=${ANON_JWT}`;
  expect((await refusal(url, headers))[0]).toBe(403);
  expect((await refusal(url, { ...headers, "x-supalove-token": `${TOKEN}x` }))[0]).toBe(403);
});
