import { expect, test } from "vitest";
import { generateOpaqueKey, hashKey, isWellFormedOpaqueKey, keyPrefix } from "./key-format.ts";

test.each(["publishable", "secret"] as const)("a %s key has the form that client libraries know", (kind) => {
  const key = generateOpaqueKey(kind);
  expect(key).toMatch(new RegExp(`^sb_${kind}_[0-9A-Za-z]{22}_[0-9A-Za-z]{8}$`));
  expect(isWellFormedOpaqueKey(key)).toBe(true);
});

test("the checksum is the documented one, so that scanners can compute it", () => {
  expect(isWellFormedOpaqueKey("sb_secret_0000000000000000000000_cGTmHY4a")).toBe(true);
});

test("a key with one letter changed is not well-formed", () => {
  const key = generateOpaqueKey("secret");
  for (let index = 10; index < key.length; index++) {
    const other = key[index] === "a" ? "b" : "a";
    expect(isWellFormedOpaqueKey(key.slice(0, index) + other + key.slice(index + 1))).toBe(false);
  }
});

test("keys do not repeat, and use every digit", () => {
  const keys = Array.from({ length: 500 }, () => generateOpaqueKey("publishable"));
  expect(new Set(keys).size).toBe(500);
  expect(new Set(keys.flatMap((key) => [...key.slice(15, 37)])).size).toBe(62);
});

test("the prefix shows the kind and six digits", () => {
  expect(keyPrefix("sb_secret_abcdefghijklmnopqrstuv_12345678")).toBe("sb_secret_abcdef");
  expect(keyPrefix("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.x")).toBe("eyJhbGciOiJIUzI1");
});

test("keys are looked up by the SHA-256 of the whole text", () => {
  expect(hashKey("abc").toString("hex")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});
