import { type ClientRequest, request as httpRequest } from "node:http";
import { afterAll, beforeAll, expect, inject, test, vi } from "vitest";
import { ensureServiceToken } from "./accounts/service-tokens.ts";
import { createTestControlPlane, insertTestAccount, type TestControlPlane } from "./testing/test-control-plane.ts";

const RENAME = 'mutation { updateAccount(name: "New") { name } }';
const VIEWER = "{ viewer { email } }";
const CONFIGS = '{ projectConfigs(refs: ["aaaaaaaaaaaaaaaaaaaa"]) }';

/** The machine may be busy. */
const PATIENCE = { timeout: 20_000, interval: 50 };

let plane: TestControlPlane;

beforeAll(async () => {
  plane = await createTestControlPlane(inject("clusterUrl"), {
    maxDatabaseConnections: 24,
    trustedProxies: ["127.0.0.1", "::1"],
  });
});
afterAll(() => plane[Symbol.asyncDispose]());

const refused = { code: "TOO_MANY_REQUESTS", retryAfterSeconds: 1 };

test("an account that has used up its operations is refused, and nobody else waits for it", async () => {
  const busy = plane.client((await insertTestAccount(plane.database)).token);
  const calm = plane.client((await insertTestAccount(plane.database)).token);
  const operations = await plane.database.transaction(async (tx) => {
    await tx.query("lock table accounts in share mode"); // each waits in the middle of its work
    // 20 run and 200 wait, all of them until the lock is gone: what is answered now is a refusal.
    const all = Array.from({ length: 240 }, () => busy.request(RENAME));
    const oneMore = await Promise.race(all);
    expect(oneMore.status).toBe(429);
    expect(oneMore.errors[0]?.extensions).toEqual(refused);
    expect(oneMore.headers.get("retry-after")).toBe("1");
    expect((await calm.data(VIEWER)).viewer.email).toBeDefined();
    return all;
  });
  const answers = await Promise.all(operations);
  expect(answers.filter(({ errors }) => errors.length === 0)).toHaveLength(220);
  expect((await busy.data(VIEWER)).viewer.email).toBeDefined();
});

test("an address that has used up its requests is refused before its credential is looked up", async () => {
  const account = await insertTestAccount(plane.database);
  const { hostname, port } = new URL(plane.url);
  const headersOf = (address: string) => ({
    authorization: `Bearer ${account.token}`,
    "content-type": "application/json",
    "x-forwarded-for": address,
  });
  const held: ClientRequest[] = Array.from({ length: 400 }, () => {
    const headers = { ...headersOf("192.0.2.1"), "content-length": "100" };
    const request = httpRequest({ hostname, port, path: "/graphql", method: "POST", headers });
    request.on("error", () => {});
    request.flushHeaders();
    return request;
  });
  const ask = (address: string) => plane.client(headersOf(address)).request(VIEWER);
  try {
    const answer = await vi.waitFor(async () => {
      const refusal = await ask("192.0.2.1");
      expect(refusal.status).toBe(429);
      return refusal;
    }, PATIENCE);
    expect(answer.errors[0]?.extensions).toEqual(refused);
    expect(answer.headers.get("retry-after")).toBe("1");
    expect((await ask("192.0.2.2")).status).toBe(200);
    const token = await ensureServiceToken(plane.database, "gateway", "behind the same proxy");
    const gateway = plane.client({ ...headersOf("192.0.2.1"), authorization: `Bearer ${token}` });
    expect((await gateway.request(CONFIGS)).status).toBe(200);
  } finally {
    for (const request of held) request.destroy();
  }
  await vi.waitFor(async () => expect((await ask("192.0.2.1")).status).toBe(200), PATIENCE);
});

test("config snapshots are looked up while every other connection to the database is taken", async () => {
  const gateway = plane.client(await ensureServiceToken(plane.database, "gateway", "test"));
  const { database } = plane.controlPlane.services;
  const release = Promise.withResolvers<void>();
  const taken = Array.from({ length: 24 }, () => {
    const begun = Promise.withResolvers<void>();
    const ended = database.transaction(async () => {
      begun.resolve();
      await release.promise;
    });
    return { begun: begun.promise, ended };
  });
  await Promise.all(taken.map(({ begun }) => begun));
  const answer = await gateway.request(CONFIGS);
  release.resolve();
  await Promise.all(taken.map(({ ended }) => ended));
  expect(answer.data.projectConfigs).toEqual([null]);
});
