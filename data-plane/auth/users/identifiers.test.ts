import { expect, test } from "vitest";
import { isUuid, parseEmail, parsePathId, parsePhone } from "./identifiers.ts";
import { mergeMetadata } from "./metadata.ts";

test.each([
  ["A@Example.COM", "a@example.com"],
  ["a..b+tag@localhost", "a..b+tag@localhost"],
])("%s is kept as %s", (text, email) => {
  expect(parseEmail(text)).toBe(email);
});

test.each(["a", "xx:;x@x.x", "a@", "@b", "ä@b.c", "a@b.c\n", " a@b.c", "a@-b.c"])("%j is no e-mail address", (text) => {
  expect(() => parseEmail(text)).toThrow("Unable to validate email address: invalid format");
});

test("an absent and an overlong address have texts of their own", () => {
  expect(() => parseEmail("")).toThrow("An email address is required");
  expect(() => parseEmail(`${"a".repeat(250)}@b.cde`)).toThrow("An email address is too long");
});

test("a phone number loses its plus and its spaces", () => {
  expect(parsePhone("+49 170 1234567")).toBe("491701234567");
  for (const text of ["", "++491", "0123", "12a", "1", "1234567890123456"]) {
    expect(() => parsePhone(text)).toThrow("Invalid phone number format (E.164 required)");
  }
});

test("an id of a path is a UUID or nothing is found", () => {
  expect(isUuid("6f1e0c1c-5f0c-4b9f-8f5e-2f6f0f1f2f3f")).toBe(true);
  expect(() => parsePathId("1", "user_id")).toThrow("user_id must be an UUID");
});

test("metadata merges one level deep, and null deletes", () => {
  expect(mergeMetadata({ a: 1, b: { c: 2 } }, { a: null, b: { d: 3 }, e: false })).toEqual({ b: { d: 3 }, e: false });
  expect(mergeMetadata(null, undefined)).toEqual({});
});

test("metadata that would not fit into a token is refused", () => {
  expect(() => mergeMetadata({}, { avatar: "x".repeat(70_000) })).toThrow("cannot be larger");
});
