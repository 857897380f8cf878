import { describe, expect, test } from "vitest";
import { matchRoute, normalizePath } from "./route.ts";

describe("normalizePath", () => {
  test.each([
    ["/rest/v1/todos", "/rest/v1/todos"],
    ["//rest///v1//todos", "/rest/v1/todos"],
    ["/storage/v1/object/a%20b/%C3%A9.png", "/storage/v1/object/a%20b/%C3%A9.png"],
    ["/storage/v1/object/.hidden/..data", "/storage/v1/object/.hidden/..data"],
    ["/rest/v1/é", "/rest/v1/%C3%A9"],
    ["/re%73t/v1/%74odos%2Dx%7E", "/rest/v1/todos-x~"],
    ["/storage/v1/a%2541%20%3F", "/storage/v1/a%2541%20%3F"],
    ["/storage/v1/object/b//a///x%7E%2D", "/storage/v1/object/b//a///x%7E%2D"],
    ["/projects/abcdefghijklmnopqrst/storage/v1//s3/b//é", "/projects/abcdefghijklmnopqrst/storage/v1//s3/b//%C3%A9"],
    ["//projects/abcdefghijklmnopqrst/storage/v1/object/b//a", "/projects/abcdefghijklmnopqrst/storage/v1/object/b/a"],
  ])("%s becomes %s", (path, expected) => {
    expect(normalizePath(path)).toBe(expected);
  });

  test.each([
    "/rest/v1%2Ftodos",
    "/rest/v1/%5Ctodos",
    "/rest/v1/a%00b",
    "/rest/v1/a%0d%0ab",
    "/rest/v1/%",
    "/rest/v1/%zz",
    "/rest/./v1",
    "/rest/v1/../auth",
    "/rest/v1/%2e%2E/auth",
    "/rest/v1/.%2e",
    "/rest/v1/..",
    "/rest//../v1",
    "/storage/v1/object/b//..//x",
    "/storage/v1/object/b/%2e%2e/x",
    "/storage/v1/object/b%2f..%2fx",
    "/rest\\v1",
    "/rest/v1/todos#x",
    "rest/v1",
    "*",
    "",
    "/rest/v1/\ud800",
  ])("%s is refused, because two parsers could read it differently", (path) => {
    expect(normalizePath(path)).toBeNull();
  });
});

test("no spelling of a path comes around a route", () => {
  for (const path of ["/realtime/v1/api/%74enants", "/realtime/v1/%61pi/tenants", "/realtime//v1/api/tenants"]) {
    expect(matchRoute(normalizePath(path) ?? ""), path).toEqual({ kind: "reject", code: "route_forbidden" });
  }
  expect(matchRoute(normalizePath("/auth/v1/%74oken") ?? "")).toMatchObject({ routeClass: "signin" });
});

describe("matchRoute", () => {
  test.each([
    ["/rest/v1/todos", "rest", "/todos", "key"],
    ["/rest/v1", "rest", "/", "service_key"],
    ["/rest/v1/", "rest", "/", "service_key"],
    ["/graphql/v1", "rest", "/rpc/graphql", "key"],
    ["/auth/v1/token", "auth", "/token", "key"],
    ["/auth/v1/verify", "auth", "/verify", "open"],
    ["/auth/v1/callback", "auth", "/callback", "open"],
    ["/auth/v1/authorize", "auth", "/authorize", "open"],
    ["/auth/v1/verifyx", "auth", "/verifyx", "key"],
    ["/auth/v1/.well-known/jwks.json", "auth", "/.well-known/jwks.json", "open"],
    ["/auth/v1/sso/saml/acs", "auth", "/sso/saml/acs", "open"],
    ["/sso/saml/metadata", "auth", "/sso/saml/metadata", "open"],
    ["/.well-known/oauth-authorization-server/auth/v1", "auth", "/.well-known/oauth-authorization-server", "open"],
    ["/storage/v1/object/a/b", "storage", "/object/a/b", "open"],
    ["/realtime/v1/api/broadcast", "realtime", "/api/broadcast", "key"],
    ["/realtime/v1/websocket", "realtime", "/socket/websocket", "key"],
    ["/realtime/v1/socket/websocket", "realtime", "/socket/websocket", "key"],
  ])("%s goes to %s as %s (%s)", (path, service, upstreamPath, access) => {
    expect(matchRoute(path)).toMatchObject({ kind: "proxy", service, path: upstreamPath, access });
  });

  test.each([
    ["/realtime/v1/api/tenants", "route_forbidden"],
    ["/realtime/v1/api/tenants/x", "route_forbidden"],
    ["/realtime/v1/api/openapi", "route_forbidden"],
    ["/api/mcp", "route_forbidden"],
    ["/mcp", "route_forbidden"],
    ["/functions/v1/hello", "service_not_available"],
    ["/rest/v2/todos", "route_not_found"],
    ["/rest/v1x/todos", "route_not_found"],
    ["/restx/v1/todos", "route_not_found"],
    ["/constructor/v1", "route_not_found"],
    ["/", "route_not_found"],
  ])("%s is refused with %s", (path, code) => {
    expect(matchRoute(path)).toEqual({ kind: "reject", code });
  });

  test("graphql asks for its own schema", () => {
    expect(matchRoute("/graphql/v1")).toMatchObject({ contentProfile: "graphql_public" });
  });

  test("sign-ins count against a bucket of their own", () => {
    expect(matchRoute("/auth/v1/token")).toMatchObject({ routeClass: "signin" });
    expect(matchRoute("/auth/v1/user")).toMatchObject({ routeClass: "auth" });
  });

  test("S3 requests are signed by the client, other storage requests are not", () => {
    expect(matchRoute("/storage/v1/s3/bucket/key")).toMatchObject({ signed: true });
    expect(matchRoute("/storage/v1/s3x")).toMatchObject({ signed: false });
  });
});
