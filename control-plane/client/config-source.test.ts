import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { afterEach, expect, test } from "vitest";
import { createConfigCache } from "./config-cache.ts";
import { gatewaySnapshot, refNumber } from "./testing/snapshots.ts";

/** A control plane in a few lines: GraphQL over HTTP, subscriptions over server-sent events. */
interface FakeControlPlane {
  readonly url: string;
  readonly port: number;
  readonly feeds: { readonly after: number | null; readonly response: ServerResponse }[];
  readonly authorizations: (string | undefined)[];
  close(): Promise<void>;
}

interface FakeOptions {
  readonly port?: number;
  readonly cursor?: number;
  readonly lookUp?: (refs: string[]) => unknown;
  readonly onRequest?: (request: IncomingMessage, response: ServerResponse) => boolean;
}

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function startFake({ port = 0, cursor = 10, lookUp = () => [], onRequest }: FakeOptions = {}) {
  const feeds: FakeControlPlane["feeds"] = [];
  const authorizations: FakeControlPlane["authorizations"] = [];
  const server: Server = createServer(async (request, response) => {
    authorizations.push(request.headers.authorization);
    if (onRequest?.(request, response)) return;
    const { variables } = (await json(request)) as { variables: { refs: string[]; after: number | null } };
    if (request.headers.accept !== "text/event-stream") {
      const data = { projectConfigs: lookUp(variables.refs), projectConfigsByHost: [] };
      response.setHeader("content-type", "application/json").end(JSON.stringify({ data }));
      return;
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    feeds.push({ after: variables.after, response });
    send(response, { cursor, snapshots: [], resync: variables.after === null });
  });
  server.listen(port, "127.0.0.1");
  await new Promise((listening) => server.once("listening", listening));
  const { port: taken } = server.address() as AddressInfo;
  const close = () =>
    new Promise<void>((closed) => {
      server.close(() => closed());
      server.closeAllConnections();
    });
  cleanUps.push(() => (server.listening ? close() : undefined));
  return { url: `http://127.0.0.1:${taken}`, port: taken, feeds, authorizations, close };
}

function send(response: ServerResponse, changes: object): void {
  response.write(`event: next\ndata: ${JSON.stringify({ data: { projectConfigs: changes } })}\n\n`);
}

function connect(url: string, idleTimeoutMs = 5_000) {
  const cache = createConfigCache({ controlPlaneUrl: url, token: "sbsvc_test", audience: "gateway", idleTimeoutMs });
  cleanUps.push(() => cache.close());
  return cache;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resume) => setTimeout(resume, 5));
}

const ref = refNumber(1);
const project = (version: number) => gatewaySnapshot({ projectRef: ref, version });

test("asks with the token, follows the feed, and takes pushes in", async () => {
  const server = await startFake({ lookUp: (refs) => refs.map((each) => (each === ref ? project(5) : null)) });
  const cache = connect(server.url);
  await cache.ready;
  expect(await cache.get(ref)).toEqual(project(5));
  expect(await cache.get(refNumber(2))).toBeNull();
  const pushed = new Promise((resolve) => cache.onChange(resolve));
  send(server.feeds[0]?.response as ServerResponse, { cursor: 12, snapshots: [project(12)], resync: false });
  await pushed;
  expect(cache.peek(ref)).toEqual(project(12));
  expect(new Set(server.authorizations)).toEqual(new Set(["Bearer sbsvc_test"]));
});

test("a control plane that is killed and comes back is found again, from the cursor on", async () => {
  const first = await startFake({ cursor: 20, lookUp: (refs) => refs.map(() => project(5)) });
  const cache = connect(first.url);
  await cache.ready;
  await cache.get(ref);
  await first.close();
  await until(() => !cache.status().connected);
  expect(cache.peek(ref)).toEqual(project(5));
  await expect(cache.get(refNumber(2))).rejects.toThrow("does not answer");
  const second = await startFake({ port: first.port, cursor: 21 });
  await until(() => cache.status().connected);
  expect(second.feeds[0]?.after).toBe(20);
});

test("a half-open feed is noticed by its silence and opened again", async () => {
  const server = await startFake();
  const cache = connect(server.url, 50);
  await cache.ready;
  // Nothing is ever sent on the first one again.
  await until(() => server.feeds.some(({ after }) => after === 10));
  expect(cache.status().cursor).toBe(10);
});

test("a refusal says why, and never holds the token", async () => {
  const server = await startFake({
    onRequest: (_request, response) => {
      const errors = [{ message: "the access token is wrong, expired or revoked" }];
      response.writeHead(401, { "content-type": "application/json" }).end(JSON.stringify({ errors }));
      return true;
    },
  });
  const cache = connect(server.url);
  await expect(cache.get(ref)).rejects.toThrow("the control plane refused: 401 the access token is wrong");
  await expect(cache.get(ref)).rejects.toThrow(/^(?!.*sbsvc_test)/);
});

test("the token is not carried to another place by a redirect", async () => {
  const elsewhere = await startFake();
  const server = await startFake({
    onRequest: (_request, response) => {
      response.writeHead(307, { location: elsewhere.url }).end();
      return true;
    },
  });
  await expect(connect(server.url).get(ref)).rejects.toThrow("does not answer");
  expect(elsewhere.authorizations).toEqual([]);
});
