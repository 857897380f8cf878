import { afterAll, expect, test } from "vitest";
import { InvalidInput, RateLimited } from "../errors.ts";
import { checkNewPassword, createPasswordHashing } from "./password-hashing.ts";

const hashing = createPasswordHashing(2);
afterAll(() => hashing.close());

test("a hash is bcrypt and verifies its own password only", async () => {
  const hash = await hashing.hash("correct horse");
  expect(hash).toMatch(/^\$2[aby]\$10\$/);
  expect(await hashing.verify("correct horse", hash)).toBe(true);
  expect(await hashing.verify("wrong horse", hash)).toBe(false);
});

test("an unknown account is compared too, and never matches", async () => {
  expect(await hashing.verify("anything", null)).toBe(false);
});

test("the event loop goes on while passwords are hashed", async () => {
  let turns = 0;
  const ticking = setInterval(() => turns++, 1);
  await Promise.all([hashing.hash("one password"), hashing.hash("another password")]);
  clearInterval(ticking);
  expect(turns).toBeGreaterThan(5);
});

test("a flood is refused instead of queued without end", async () => {
  const flooded = createPasswordHashing(1);
  const results = await Promise.allSettled(
    Array.from({ length: 150 }, () => {
      const running = flooded.hash("password");
      running.catch(() => undefined);
      return Promise.race([running, new Promise((resolve) => setTimeout(resolve, 0, "queued"))]);
    }),
  );
  await flooded.close();
  const refused = results.filter((result) => result.status === "rejected" && result.reason instanceof RateLimited);
  expect(refused.length).toBeGreaterThan(0);
});

test.each(["short", "x".repeat(73), "ä".repeat(37)])("%s is no new password", (password) => {
  expect(() => checkNewPassword("password", password)).toThrow(InvalidInput);
});
