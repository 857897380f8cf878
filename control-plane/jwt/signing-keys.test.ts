import { importJWK, jwtVerify, SignJWT } from "jose";
import { expect, test } from "vitest";
import { Conflict, NotFound } from "../errors.ts";
import { addSigningKey, removeSigningKey, rotateSigningKeys } from "./signing-key-changes.ts";
import { generateSigningKey, parseSigningKeys, publicJwk, type SigningKey } from "./signing-keys.ts";

const now = Date.parse("2026-01-01T00:00:00Z");
const states = (keys: readonly SigningKey[]) => keys.map(({ state }) => state);

test("a token of the current key verifies with what is public of it", async () => {
  const keys = rotateSigningKeys([await generateSigningKey(now)]);
  const { signingKey } = parseSigningKeys(JSON.stringify(keys));
  if (!signingKey || !keys[0]) throw new Error("no current key");
  const token = await new SignJWT({ role: "authenticated" })
    .setProtectedHeader({ alg: "ES256", kid: keys[0].kid })
    .sign(await importJWK(signingKey as never, "ES256"));
  const { payload } = await jwtVerify(token, await importJWK(publicJwk(keys[0]) as never, "ES256"));
  expect(payload.role).toBe("authenticated");
});

test("only the current key is private in a snapshot; the others verify", async () => {
  const first = rotateSigningKeys([await generateSigningKey(now)]);
  const second = rotateSigningKeys(addSigningKey(first, await generateSigningKey(now)));
  const third = addSigningKey(second, await generateSigningKey(now));
  expect(states(third)).toEqual(["standby", "current", "previous"]);
  const { signingKey, verificationKeys } = parseSigningKeys(JSON.stringify(third));
  expect(signingKey).toMatchObject({ kid: third[1]?.kid, alg: "ES256" });
  expect(signingKey).toHaveProperty("d");
  expect(verificationKeys.map((key) => (key as { kid?: string }).kid)).toEqual([third[0]?.kid, third[2]?.kid]);
  expect(JSON.stringify(verificationKeys)).not.toContain('"d"');
});

test("rotation needs a standby key, and there is one at most", async () => {
  const key = await generateSigningKey(now);
  expect(() => rotateSigningKeys([])).toThrow(Conflict);
  expect(() => addSigningKey([key], key)).toThrow(Conflict);
  expect(() => removeSigningKey([key], "another")).toThrow(NotFound);
  expect(removeSigningKey([key], key.kid)).toEqual([]);
});
