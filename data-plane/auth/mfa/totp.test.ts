import { expect, test } from "vitest";
import { createTotpSecret, findTotpStep, totpCode, totpStep, totpUri } from "./totp.ts";

/** The secret of RFC 6238: `12345678901234567890`. */
const SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

test.each([
  [59, "287082"],
  [1111111109, "081804"],
  [1234567890, "005924"],
  [20000000000, "353130"],
])("at %i s the code is that of RFC 6238", (seconds, code) => {
  expect(totpCode(SECRET, totpStep(new Date(seconds * 1000)))).toBe(code);
});

test("a code is good in its own step and in those beside it", () => {
  const start = 37037036 * 30;
  const at = (seconds: number) => findTotpStep(SECRET, "081804", new Date((start + seconds) * 1000));
  expect([at(-30), at(0), at(59)]).toEqual([37037036, 37037036, 37037036]);
  expect([at(-31), at(60)]).toEqual([null, null]);
  expect(findTotpStep(SECRET, "", new Date(start * 1000))).toBeNull();
});

test("a secret is 160 bits in base32", () => {
  expect(createTotpSecret()).toMatch(/^[A-Z2-7]{32}$/);
  expect(createTotpSecret()).not.toBe(createTotpSecret());
});

test("issuer and account are escaped in the link", () => {
  expect(totpUri({ secret: "ABC", issuer: "my app:1", account: "a+b@c.d" })).toBe(
    "otpauth://totp/my%20app%3A1:a%2Bb%40c.d?algorithm=SHA1&digits=6&issuer=my%20app%3A1&period=30&secret=ABC",
  );
});
