import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { createOneTimeToken, isPkceHash, isWithinLifetime, matchesStoredToken } from "./one-time-token.ts";

test("a link's token is 256 random bits, which no computation over address and code gives", () => {
  const tokens = Array.from({ length: 50 }, () => createOneTimeToken("a@b.c", 6, false));
  expect(new Set(tokens.map(({ hash }) => hash)).size).toBe(50);
  for (const { code, hash } of tokens) {
    expect(code).toMatch(/^\d{6}$/);
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
    for (const algorithm of ["sha224", "sha256"]) {
      expect(createHash(algorithm).update(`a@b.c${code}`).digest("hex")).not.toBe(hash);
    }
  }
});

test("a length outside 6 to 10 falls back to 6", () => {
  expect(createOneTimeToken("a@b.c", 8, false).code).toHaveLength(8);
  expect(createOneTimeToken("a@b.c", 3, false).code).toHaveLength(6);
});

test("a typed code matches the stored token of either flow, of its own address and of its whole length alone", () => {
  const { code, hash } = createOneTimeToken("a@b.c", 8, true);
  expect(isPkceHash(hash)).toBe(true);
  expect(matchesStoredToken(code, "a@b.c", hash, 8)).toBe(true);
  expect(matchesStoredToken(code, "x@b.c", hash, 8)).toBe(false);
  expect(matchesStoredToken(code.slice(2), "a@b.c", hash, 8)).toBe(false);
  expect(matchesStoredToken(code, "a@b.c", "", 8)).toBe(false);
  expect(matchesStoredToken(code, "a@b.c", null, 8)).toBe(false);
});

test("a token lives from its sending on, and one never sent is expired", () => {
  const sent = "2026-01-01T00:00:00.000000+00:00";
  expect(isWithinLifetime(sent, 60, new Date("2026-01-01T00:00:59Z"))).toBe(true);
  expect(isWithinLifetime(sent, 60, new Date("2026-01-01T00:01:00Z"))).toBe(false);
  expect(isWithinLifetime(null, 60, new Date(0))).toBe(false);
});
