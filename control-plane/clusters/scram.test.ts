import { expect, test } from "vitest";
import { isVerifierOf, scramVerifier } from "./scram.ts";

test("a verifier is what PostgreSQL itself stores for the password and salt", async () => {
  // From pg_authid after `create role x password 'test-password'`.
  const stored =
    "SCRAM-SHA-256$4096:VQT6fl3ZD6SAYvIKw2nHsQ==$eIJy3ddKCj3MP0SeCFd/ZYIzlJoc3LYlL6fnaeFJGy8=:Ou4kbe4Fj3GYanU/LXKU9A/mRV+QDEWO90qTjZRZTpw=";
  const salt = Buffer.from(/4096:([^$]+)\$/.exec(stored)?.[1] ?? "", "base64");
  expect(await scramVerifier("test-password", salt)).toBe(stored);
});

test("every verifier has a salt of its own", async () => {
  expect(await scramVerifier("test-password")).not.toBe(await scramVerifier("test-password"));
});

test.each(["short", "with a tab\t in it", "pässwörter", ""])(
  "%j is refused: it would need SASLprep",
  async (password) => {
    await expect(scramVerifier(password)).rejects.toThrow(TypeError);
  },
);

test("a verifier is recognized by its password alone", async () => {
  const verifier = await scramVerifier("test-password");
  expect(await isVerifierOf(verifier, "test-password")).toBe(true);
  expect(await isVerifierOf(verifier, "other-password")).toBe(false);
  expect(await isVerifierOf("", "test-password")).toBe(false);
});
