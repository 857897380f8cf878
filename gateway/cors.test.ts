import { expect, test } from "vitest";
import { CorsPolicy } from "./cors.ts";

const pairs = (headers: readonly string[]) =>
  Object.fromEntries(headers.flatMap((name, index) => (index % 2 === 0 ? [[name, headers[index + 1]]] : [])));

test("allows every origin and echoes the headers a browser asks for", () => {
  const headers = new CorsPolicy(["*"]).preflightHeaders({
    origin: "https://a.example",
    requestedHeaders: "x-new, apikey",
  });
  expect(pairs(headers)).toMatchObject({
    "access-control-allow-origin": "*",
    "access-control-allow-headers": "x-new, apikey",
    "access-control-allow-methods": expect.stringContaining("PATCH"),
    "access-control-max-age": "3600",
  });
});

test("exposes what client libraries read, to browsers only", () => {
  const policy = new CorsPolicy(["*"]);
  expect(pairs(policy.responseHeaders("https://a.example"))["access-control-expose-headers"]).toMatch(/content-range/);
  expect(pairs(policy.responseHeaders(""))).toEqual({ "access-control-allow-origin": "*" });
});

test("a list of origins admits those and lets caches know that it depends", () => {
  const policy = new CorsPolicy(["https://App.example"]);
  expect(pairs(policy.responseHeaders("https://app.example"))).toMatchObject({
    "access-control-allow-origin": "https://app.example",
    vary: "Origin",
  });
  expect(pairs(policy.responseHeaders("https://evil.example"))).toEqual({ vary: "Origin" });
  const refused = pairs(policy.preflightHeaders({ origin: "https://evil.example", requestedHeaders: "" }));
  expect(refused).not.toHaveProperty("access-control-allow-origin");
});
