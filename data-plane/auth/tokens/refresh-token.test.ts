import { createHash, randomUUID } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  createRefreshTokenKey,
  createV1RefreshToken,
  encodeRefreshToken,
  isSignedWith,
  parseRefreshToken,
} from "./refresh-token.ts";

test("a version 2 token carries its session and any counter there and back", () => {
  fc.assert(
    fc.property(fc.uuid(), fc.maxSafeNat(), (sessionId, counter) => {
      const key = createRefreshTokenKey();
      const parsed = parseRefreshToken(encodeRefreshToken(sessionId, counter, key));
      if (parsed?.version !== 2) throw new Error("not version 2");
      expect([parsed.sessionId, parsed.counter, isSignedWith(parsed, key)]).toEqual([sessionId, counter, true]);
      expect(isSignedWith(parsed, createRefreshTokenKey())).toBe(false);
    }),
  );
});

test("a version 2 token has the layout that is documented", () => {
  const key = Buffer.alloc(32, 7);
  const bytes = Buffer.from(encodeRefreshToken("00112233-4455-6677-8899-aabbccddeeff", 300, key), "base64url");
  expect(bytes.subarray(0, 19).toString("hex")).toBe("0000112233445566778899aabbccddeeffac02");
  expect(bytes.length).toBe(19 + 16 + 4);
  expect(bytes.subarray(-4)).toEqual(createHash("sha256").update(bytes.subarray(0, -4)).digest().subarray(0, 4));
});

test("any flipped bit is caught by the checksum", () => {
  const token = Buffer.from(encodeRefreshToken(randomUUID(), 5, createRefreshTokenKey()), "base64url");
  for (let bit = 0; bit < token.length * 8; bit++) {
    const changed = Buffer.from(token);
    changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    expect(parseRefreshToken(changed.toString("base64url"))).toBeNull();
  }
});

test("a raised counter with a corrected checksum is not signed", () => {
  const key = createRefreshTokenKey();
  const bytes = Buffer.from(encodeRefreshToken(randomUUID(), 1, key), "base64url");
  bytes[17] = 2;
  createHash("sha256")
    .update(bytes.subarray(0, -4))
    .digest()
    .copy(bytes, bytes.length - 4, 0, 4);
  const forged = parseRefreshToken(bytes.toString("base64url"));
  expect(forged?.version === 2 && isSignedWith(forged, key)).toBe(false);
});

test.each(["", "short", "ABCDEFGHIJKL", "abcdefghijkl!", "x".repeat(200), "AAAAAAAAAAAAAAAAAAAA"])(
  "%j has the shape of no refresh token",
  (text) => {
    expect(parseRefreshToken(text)).toBeNull();
  },
);

test("a version 1 token is 12 characters and read back as such", () => {
  const token = createV1RefreshToken();
  expect(parseRefreshToken(token)).toEqual({ version: 1, token });
});
