import { expect, test } from "vitest";
import { createOneTimeToken, hashCode, isPkceHash, isWithinLifetime, matchesStoredHash } from "./one-time-token.ts";

test("the hash is hex SHA-224 over address and code", () => {
  expect(hashCode("a@b.c", "123456")).toMatch(/^[0-9a-f]{56}$/);
  const token = createOneTimeToken("a@b.c", 6, false);
  expect(token.code).toMatch(/^\d{6}$/);
  expect(token.hash).toBe(hashCode("a@b.c", token.code));
});

test("a length outside 6 to 10 falls back to 6", () => {
  expect(createOneTimeToken("a@b.c", 8, false).code).toHaveLength(8);
  expect(createOneTimeToken("a@b.c", 3, false).code).toHaveLength(6);
});

test("a typed code matches the stored hash of either flow, and of its own address alone", () => {
  const { code, hash } = createOneTimeToken("a@b.c", 6, true);
  expect(isPkceHash(hash)).toBe(true);
  expect(matchesStoredHash(hashCode("a@b.c", code), hash)).toBe(true);
  expect(matchesStoredHash(hashCode("x@b.c", code), hash)).toBe(false);
  expect(matchesStoredHash(hashCode("a@b.c", code), "")).toBe(false);
  expect(matchesStoredHash(hashCode("a@b.c", code), null)).toBe(false);
});

test("a token lives from its sending on, and one never sent is expired", () => {
  const sent = "2026-01-01T00:00:00.000000+00:00";
  expect(isWithinLifetime(sent, 60, new Date("2026-01-01T00:00:59Z"))).toBe(true);
  expect(isWithinLifetime(sent, 60, new Date("2026-01-01T00:01:00Z"))).toBe(false);
  expect(isWithinLifetime(null, 60, new Date(0))).toBe(false);
});
