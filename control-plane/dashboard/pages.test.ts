import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliCompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createDashboardPages, type DashboardBuild } from "./pages.ts";

const folder = mkdtempSync(join(tmpdir(), "supalove-dashboard-test-"));
let build: DashboardBuild = { kind: "ready", folder };
let server: Server;
let url: string;

beforeAll(async () => {
  mkdirSync(join(folder, "assets"));
  writeFileSync(join(folder, "index.html"), '<meta property="csp-nonce" nonce="__CSP_NONCE__">');
  writeFileSync(join(folder, "assets/index-abc.js"), "export {};");
  writeFileSync(join(folder, "assets/index-abc.js.br"), brotliCompressSync("export {};"));
  writeFileSync(join(folder, "assets/secret.txt"), "not served");
  const pages = createDashboardPages({
    build: () => build,
    publicGatewayUrl: "https://gateway.example.net:8443",
    baseDomain: "projects.example.net",
  });
  server = createServer(async (request, response) => {
    if (!(await pages.handle(request, response))) response.writeHead(404).end();
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

const html = { accept: "text/html,application/xhtml+xml" };

describe("the page", () => {
  test("answers every address that a browser opens, is never kept, and has a nonce of its own each time", async () => {
    const policies = new Set<string>();
    for (const path of ["/", "/projects/abc", "/orgs/x/members?after=1", "/projects"]) {
      const response = await fetch(url + path, { headers: html });
      expect(response.status).toBe(200);
      expect(response.headers.get("cache-control")).toBe("no-store");
      const policy = response.headers.get("content-security-policy") ?? "";
      const [, nonce] = /'nonce-([^']+)'/.exec(policy) ?? [];
      expect(await response.text()).toContain(`nonce="${nonce}"`);
      policies.add(policy);
    }
    expect(policies.size).toBe(4);
  });

  test("allows nothing but its own files, the gateway and the hosts of projects", async () => {
    const response = await fetch(url, { headers: html });
    const policy = new Map(
      (response.headers.get("content-security-policy") ?? "").split("; ").map((directive) => {
        const [name = "", ...sources] = directive.split(" ");
        return [name, sources.join(" ").replace(/'nonce-[^']+'/, "'nonce'")];
      }),
    );
    expect(Object.fromEntries(policy)).toEqual({
      "default-src": "'none'",
      "script-src": "'self'",
      "style-src": "'self' 'nonce'",
      "font-src": "'self'",
      "img-src": "'self' blob: https://gateway.example.net:8443",
      "connect-src":
        "'self' https://gateway.example.net:8443 https://*.projects.example.net:8443 wss://gateway.example.net:8443 wss://*.projects.example.net:8443",
      "worker-src": "'self'",
      "base-uri": "'none'",
      "form-action": "'self'",
      "frame-ancestors": "'none'",
      "require-trusted-types-for": "'script'",
    });
    expect(response.headers.get("referrer-policy")).toBe("no-referrer");
    expect(response.headers.get("cross-origin-opener-policy")).toBe("same-origin");
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
  });

  test("is not for programs: without asking for HTML an unknown address is not found", async () => {
    expect((await fetch(`${url}/projects`, { headers: { accept: "application/json" } })).status).toBe(404);
    expect((await fetch(`${url}/projects`, { method: "POST", headers: html })).status).toBe(404);
  });
});

describe("files", () => {
  test("are kept for ever, compressed as the browser can read them", async () => {
    const plain = await fetch(`${url}/assets/index-abc.js`, { headers: { "accept-encoding": "identity" } });
    expect(plain.headers.get("content-encoding")).toBeNull();
    const response = await fetch(`${url}/assets/index-abc.js`, { headers: { "accept-encoding": "gzip, br" } });
    expect(response.headers.get("content-encoding")).toBe("br");
    expect(await response.text()).toBe("export {};");
    expect(response.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
    expect(response.headers.get("content-type")).toMatch(/^text\/javascript/);
  });

  test.each([
    "/assets/secret.txt",
    "/assets/index-abc.js.br",
    "/assets/..%2f..%2fpackage.json",
    "/assets/../index.html",
    "/assets/gone-123.js",
  ])("%s is not one of them", async (path) => {
    const response = await fetch(url + path, { headers: { accept: "*/*" } });
    expect(response.status).toBe(404);
  });
});

test("while it is built, and when that has failed, the page says so", async () => {
  build = { kind: "building" };
  expect(await (await fetch(url, { headers: html })).text()).toContain("is being built");
  build = { kind: "failed" };
  expect(await (await fetch(url, { headers: html })).text()).toContain("could not be built");
  build = { kind: "ready", folder };
});
