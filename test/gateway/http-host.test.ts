/** A gateway in front of services that run in another process. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ANON_JWT, PUBLISHABLE, REF, snapshot } from "../../gateway/snapshot.fixture.ts";
import { MemoryConfigs, type RunningGateway, startGateway } from "./support.ts";

const TOKEN = "a-token-of-at-least-32-characters";

async function startHost(): Promise<{ process: ChildProcess; origin: string }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "host.fixture.ts"), TOKEN], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = await once(child.stdout, "data");
  return { process: child, origin: `http://127.0.0.1:${Number(line)}` };
}

let host: Awaited<ReturnType<typeof startHost>>;
let gateway: RunningGateway;
beforeAll(async () => {
  host = await startHost();
  const http = { kind: "http", origin: host.origin } as const;
  const upstreams = { rest: http, auth: http, storage: http, realtime: http };
  gateway = await startGateway({
    configs: new MemoryConfigs(snapshot({ upstreams })),
    publicUrl: "https://api.example",
    serviceToken: TOKEN,
  });
});
afterAll(() => {
  gateway.gateway.close();
  host.process.kill("SIGKILL");
});

describe("through the gateway", () => {
  test("a service cannot tell that there is a network in between", async () => {
    const response = await fetch(`${gateway.projectUrl}/rest/v1/todos?select=id`, {
      method: "POST",
      body: "hello",
      headers: { apikey: PUBLISHABLE, "x-request-id": "my-id" },
    });
    const told = await response.json();
    expect(told).toMatchObject({
      method: "POST",
      path: "/todos",
      query: "select=id",
      body: "hello",
      clientAddress: "127.0.0.1",
      requestId: "my-id",
      publicUrl: `https://api.example/projects/${REF}`,
      publicPath: `/projects/${REF}/rest/v1`,
      headers: { authorization: "Bearer role-token-anon", host: new URL(gateway.url).host },
    });
    expect(Object.keys(told.headers).filter((name) => name.startsWith("x-supalove"))).toEqual([]);
  });

  test.each(["/metrics", "/health", "/ready"])(
    "a table named %s is the project's, and not the host's own answer",
    async (path) => {
      const response = await fetch(`${gateway.projectUrl}/rest/v1${path}`, { headers: { apikey: ANON_JWT } });
      expect(await response.json()).toMatchObject({ path });
    },
  );

  test("megabytes go both ways in streams", async () => {
    const body = Buffer.alloc(20_000_000, "x");
    const response = await fetch(`${gateway.projectUrl}/storage/v1/x`, {
      method: "POST",
      body,
      headers: { apikey: ANON_JWT },
    });
    expect(Buffer.compare(Buffer.from(await response.arrayBuffer()), body)).toBe(0);
  });

  test("a service that throws gives a bare 500; one that is not there 501", async () => {
    const headers = { apikey: ANON_JWT };
    const thrown = await fetch(`${gateway.projectUrl}/rest/v1/throws`, { headers });
    expect([thrown.status, await thrown.text()]).toEqual([500, expect.not.stringContaining("secret")]);
    expect((await fetch(`${gateway.projectUrl}/auth/v1/user`, { headers })).status).toBe(501);
  });
});

describe("without the gateway", () => {
  test.each([
    ["no token", {}],
    ["another token", { "x-supalove-token": "b-token-of-at-least-32-characters" }],
    ["the token's beginning", { "x-supalove-token": TOKEN.slice(0, -1) }],
  ])("%s: refused", async (_name, headers) => {
    const response = await fetch(`${host.origin}/todos`, {
      headers: { ...(headers as Record<string, string>), "x-supalove-project": REF, "x-supalove-service": "rest" },
    });
    expect(response.status).toBe(403);
  });

  test.each([
    ["a ref that is none", { "x-supalove-project": "../x", "x-supalove-service": "rest" }],
    ["a service that is none", { "x-supalove-project": REF, "x-supalove-service": "constructor" }],
  ])("%s: refused", async (_name, headers) => {
    const response = await fetch(`${host.origin}/todos`, {
      headers: { ...(headers as Record<string, string>), "x-supalove-token": TOKEN },
    });
    expect(response.status).toBe(403);
  });

  test("health, readiness and metrics need no token", async () => {
    expect((await fetch(`${host.origin}/health`)).status).toBe(200);
    expect((await fetch(`${host.origin}/ready`)).status).toBe(200);
    expect((await fetch(`${host.origin}/metrics`)).status).toBe(200);
  });
});

test("on SIGTERM the host finishes what is in flight and exits", async () => {
  const second = await startHost();
  const headers = { "x-supalove-token": TOKEN, "x-supalove-project": REF, "x-supalove-service": "rest" };
  const slow = fetch(`${second.origin}/slow`, { headers });
  await fetch(`${second.origin}/fast`, { headers });
  second.process.kill("SIGTERM");
  expect((await slow).status).toBe(200);
  const [code] = await once(second.process, "exit");
  expect(code).toBe(0);
});
