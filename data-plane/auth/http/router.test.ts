import { expect, test } from "vitest";
import { createRouter } from "./router.ts";

const match = createRouter([
  { pattern: "GET /user", handler: "getUser" },
  { pattern: "PUT /user", handler: "updateUser" },
  { pattern: "GET /admin/users", handler: "listUsers" },
  { pattern: "GET /admin/users/:id", handler: "findUser" },
  { pattern: "DELETE /admin/users/:id/factors/:factorId", handler: "deleteFactor" },
]);

test.each([
  ["GET", "/user", "getUser", {}],
  ["PUT", "/user/", "updateUser", {}],
  ["GET", "/admin/users/", "listUsers", {}],
  ["GET", "/admin/users/a%20b", "findUser", { id: "a b" }],
  ["DELETE", "/admin/users/1/factors/2", "deleteFactor", { id: "1", factorId: "2" }],
])("%s %s is %s", (method, path, handler, params) => {
  expect(match(method, path)).toEqual({ kind: "found", handler, params });
});

test("a known path with another method is told apart from an unknown path", () => {
  expect(match("DELETE", "/user")).toMatchObject({ kind: "wrong_method", methods: expect.arrayContaining(["GET"]) });
  expect(match("HEAD", "/user")).toMatchObject({ kind: "wrong_method" });
  expect(match("GET", "/users")).toEqual({ kind: "unknown" });
});

test("a malformed escape or an empty segment matches no parameter", () => {
  expect(match("GET", "/admin/users/%E0%A4%A")).toEqual({ kind: "unknown" });
  expect(match("GET", "/admin/users//")).toEqual({ kind: "unknown" });
});

test("names of Object.prototype are no routes", () => {
  expect(match("GET", "/__proto__")).toEqual({ kind: "unknown" });
  expect(match("constructor", "/user")).toMatchObject({ kind: "wrong_method" });
});
