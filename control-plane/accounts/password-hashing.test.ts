import { afterAll, expect, test } from "vitest";
import { InvalidInput, RateLimited } from "../errors.ts";
import { checkNewPassword, createPasswordHashing, hashGeneratedPassword } from "./password-hashing.ts";

const hashing = createPasswordHashing(2);
afterAll(() => hashing.close());

test("a hash is bcrypt and verifies its own password only", async () => {
  const hash = await hashing.hash("me", "correct horse");
  expect(hash).toMatch(/^\$2[aby]\$10\$/);
  expect(await hashing.verify("me", "correct horse", hash)).toBe(true);
  expect(await hashing.verify("me", "wrong horse", hash)).toBe(false);
});

test("a generated password's hash is bcrypt of the least cost", async () => {
  const hash = await hashGeneratedPassword("Kd8vWq2mZr5tYh3n");
  expect(hash).toMatch(/^\$2[aby]\$04\$/);
  expect(await hashing.verify("me", "Kd8vWq2mZr5tYh3n", hash)).toBe(true);
});

test("an unknown account is compared too, and never matches", async () => {
  expect(await hashing.verify("me", "anything", null)).toBe(false);
});

test("the event loop goes on while passwords are hashed", async () => {
  let turns = 0;
  const ticking = setInterval(() => turns++, 1);
  await Promise.all([hashing.hash("me", "one password"), hashing.hash("me", "another password")]);
  clearInterval(ticking);
  expect(turns).toBeGreaterThan(5);
});

test("a flood is refused instead of queued without end", async () => {
  const flooded = createPasswordHashing(1);
  const results = await Promise.allSettled(
    Array.from({ length: 150 }, () => {
      const running = flooded.hash("flood", "password");
      running.catch(() => undefined);
      return Promise.race([running, new Promise((resolve) => setTimeout(resolve, 0, "queued"))]);
    }),
  );
  await flooded.close();
  const refused = results.filter((result) => result.status === "rejected" && result.reason instanceof RateLimited);
  expect(refused.length).toBeGreaterThan(0);
});

test("a flood of one is not the wait of another", async () => {
  const shared = createPasswordHashing(1);
  const order: string[] = [];
  const flood = Array.from({ length: 30 }, () => shared.hash("flood", "password").then(() => order.push("flood")));
  const settled = Promise.allSettled(flood);
  await shared.hash("calm", "password").then(() => order.push("calm"));
  await shared.close();
  await settled;
  expect(order.indexOf("calm")).toBeLessThanOrEqual(2);
});

test.each(["short", "x".repeat(73), "ä".repeat(37)])("%s is no new password", (password) => {
  expect(() => checkNewPassword("password", password)).toThrow(InvalidInput);
});
