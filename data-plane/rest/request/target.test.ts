import { expect, test } from "vitest";
import { actionOf, chooseSchema, parseTarget } from "./target.ts";

test.each([
  ["/", { kind: "root" }],
  ["/todos", { kind: "relation", name: "todos" }],
  ["/a%20b%2Fc", { kind: "relation", name: "a b/c" }],
  ["/a+b", { kind: "relation", name: "a+b" }],
  ["/rpc/f", { kind: "routine", name: "f" }],
])("%s", (path, target) => {
  expect(parseTarget(path)).toEqual(target);
});

test.each(["/a/b", "/rpc/", "/rpc/f/g", "//"])("%s leads nowhere", (path) => {
  expect(() => parseTarget(path)).toThrow(expect.objectContaining({ code: "PGRST125", status: 404 }));
});

test("verbs are those of the target", () => {
  expect(actionOf("PUT", { kind: "relation", name: "a" })).toBe("replace");
  expect(() => actionOf("DELETE", { kind: "routine", name: "f" })).toThrow(
    expect.objectContaining({ code: "PGRST101", message: "Cannot use the DELETE method on RPC" }),
  );
  expect(() => actionOf("TRACE", { kind: "relation", name: "a" })).toThrow(
    expect.objectContaining({ code: "PGRST117" }),
  );
  expect(() => actionOf("constructor", { kind: "root" })).toThrow(expect.objectContaining({ code: "PGRST117" }));
});

test("a profile must be one of the exposed schemas", () => {
  expect(chooseSchema("GET", {}, ["a", "b"])).toBe("a");
  expect(chooseSchema("GET", { "accept-profile": "b", "content-profile": "a" }, ["a", "b"])).toBe("b");
  expect(chooseSchema("OPTIONS", { "accept-profile": "b" }, ["a", "b"])).toBe("b");
  expect(chooseSchema("OPTIONS", { "content-profile": "b" }, ["a", "b"])).toBe("b");
  expect(() => chooseSchema("POST", { "content-profile": "auth" }, ["a", "b"])).toThrow(
    expect.objectContaining({
      code: "PGRST106",
      message: "Invalid schema: auth",
      hint: "Only the following schemas are exposed: a, b",
    }),
  );
});
