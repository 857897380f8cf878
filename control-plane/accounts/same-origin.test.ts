import { expect, test } from "vitest";
import { type BrowserRequest, isOwnOrigin } from "./same-origin.ts";

const request = (overrides: Partial<BrowserRequest> = {}): BrowserRequest => ({
  method: "POST",
  origin: null,
  host: "localhost:8000",
  secFetchSite: null,
  clientHeader: null,
  ...overrides,
});

test.each<[string, Partial<BrowserRequest>]>([
  ["the server's own origin", { origin: "http://localhost:8000" }],
  ["a configured dashboard", { origin: "http://localhost:5173" }],
  ["a browser that says same-origin", { secFetchSite: "same-origin" }],
  ["a script with the client header", { clientHeader: "1" }],
  ["a read", { method: "GET", origin: "http://evil.example" }],
])("%s may use the session cookie", (_name, overrides) => {
  expect(isOwnOrigin(request(overrides), ["http://localhost:5173"])).toBe(true);
});

test.each<[string, Partial<BrowserRequest>]>([
  ["a tenant's page on the gateway's port", { origin: "http://localhost:8083" }],
  ["a tenant's host", { origin: "http://abcdefghijklmnopqrst.localhost:8000" }],
  ["a sandboxed page", { origin: "null" }],
  ["another site", { origin: "https://evil.example" }],
  ["a foreign page that forges the client header as well", { origin: "https://evil.example", clientHeader: "1" }],
  ["a same-site but cross-origin page", { secFetchSite: "same-site" }],
  ["a form without any of it", {}],
])("%s may not", (_name, overrides) => {
  expect(isOwnOrigin(request(overrides), ["http://localhost:5173"])).toBe(false);
});
