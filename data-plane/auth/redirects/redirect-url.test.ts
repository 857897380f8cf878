import { expect, test } from "vitest";
import { compileGlob } from "./glob.ts";
import { chooseRedirect, isAllowedRedirect } from "./redirect-url.ts";

const policy = {
  siteUrl: "https://example.com",
  uriAllowList: [
    "http://localhost:3000/**",
    "https://*-team.example.app/**",
    "com.app://**",
    "http://*.dev:3000",
    "http://test.dev:3000/*",
    "https://good.com**",
    "http://something*.example.com/**",
  ],
};

test.each([
  ["https://example.com", true],
  ["https://example.com/any/path?x=1#y", true],
  ["http://example.com", false],
  ["https://example.com:8443", false],
  ["http://localhost:3000/a/b?c=d", true],
  ["http://localhost:4000/", false],
  ["https://my-team.example.app/x", true],
  ["https://a.b-team.example.app/x", false],
  ["com.app://callback/1", true],
  ["http://foo.dev:3000", true],
  ["http://foo.bar.dev:3000", false],
  ["http://test.dev:3000/bar", true],
  ["http://test.dev:3000/bar?x=1", true],
  ["http://test.dev:3000/bar/foo", false],
  ["http://127.0.0.1:9999/x", true],
  ["http://[::1]:9999/x", true],
  ["http://10.0.0.1/x", false],
  ["http://2130706433/", false],
  ["http://0x7f.1/", false],
  ["http://something#.example.com/abc", false],
  ["http://something%23.example.com/abc", false],
  ["http://test。dev:3000/bar", false],
  ["javascript:alert(1)", false],
  ["https:example.com", false],
  ["https:\\\\example.com", false],
  ["https://example.com\n.evil.com", false],
  ["//example.com", false],
  ["/path", false],
  ["", false],
])("%j is allowed: %s", (url, expected) => {
  expect(isAllowedRedirect(url, policy)).toBe(expected);
});

test("user information cannot pass for a host", () => {
  expect(isAllowedRedirect("https://example.com@evil.com/", policy)).toBe(false);
  expect(isAllowedRedirect("https://example.com:443@evil.com/", policy)).toBe(false);
  expect(isAllowedRedirect("https://good.com@evil.com/", policy)).toBe(false);
});

test("on a local site the port does not matter", () => {
  expect(isAllowedRedirect("http://localhost:5173/x", { siteUrl: "http://localhost:3000", uriAllowList: [] })).toBe(
    true,
  );
});

test("the first valid candidate wins, else the site", () => {
  expect(chooseRedirect([undefined, "https://evil.com", "https://example.com/b"], policy)).toBe(
    "https://example.com/b",
  );
  expect(chooseRedirect(["https://evil.com", ""], policy)).toBe("https://example.com");
});

test.each([
  ["a?c", "abc", true],
  ["a?c", "a/c", false],
  ["[a-c]x", "bx", true],
  ["[!a-c]x", "bx", false],
  ["{foo,b{a,e}r}/x", "ber/x", true],
  ["{foo,bar}/x", "fooo/x", false],
  ["\\*", "*", true],
  ["\\*", "x", false],
  ["**", "any/thing.at all", true],
  ["*", "", true],
])("glob %s on %s: %s", (pattern, text, expected) => {
  expect(compileGlob(pattern)?.(text)).toBe(expected);
});

test.each(["[a", "{a,b", "\\"])("malformed glob %s compiles to nothing", (pattern) => {
  expect(compileGlob(pattern)).toBeNull();
});

test("a pattern made to backtrack is matched in linear time", () => {
  expect(compileGlob(`${"**a".repeat(200)}b`)?.("a".repeat(4000))).toBe(false);
});
