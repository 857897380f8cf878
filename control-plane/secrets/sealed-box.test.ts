import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { seal, UnsealError, unseal } from "./sealed-box.ts";

const key = randomBytes(32);
const plaintext = Buffer.from("p4ssword");

test("a box opens with its key at its place", () => {
  const box = seal(key, plaintext, ["secret", "a", "B"]);
  expect(unseal(key, box, ["secret", "a", "B"])).toEqual(plaintext);
  expect(box.includes(plaintext)).toBe(false);
});

test("the same value never gives the same box", () => {
  expect(seal(key, plaintext, ["secret"]).equals(seal(key, plaintext, ["secret"]))).toBe(false);
});

test.each([
  ["another project", ["secret", "b", "B"]],
  ["another name", ["secret", "a", "C"]],
  ["another purpose", ["api-key", "a", "B"]],
  ["the same letters, split elsewhere", ["secret", "aB", ""]],
] as const)("a box copied to %s does not open", (_where, place) => {
  expect(() => unseal(key, seal(key, plaintext, ["secret", "a", "B"]), place)).toThrow(UnsealError);
});

test("every altered byte is noticed", () => {
  const box = seal(key, plaintext, ["secret"]);
  for (let index = 0; index < box.length; index++) {
    const altered = Buffer.from(box);
    altered.writeUInt8((altered.readUInt8(index) ^ 1) & 0xff, index);
    expect(() => unseal(key, altered, ["secret"])).toThrow(UnsealError);
  }
});

test("what is no box is refused, and the error holds no content", () => {
  for (const noBox of [Buffer.alloc(0), Buffer.from([1, 2, 3]), plaintext])
    expect(() => unseal(key, noBox, ["secret"])).toThrow("not a sealed box");
  expect(() => unseal(randomBytes(32), seal(key, plaintext, ["secret"]), ["secret"])).toThrow(/^(?!.*p4ssword)/);
});

test("a part with the separator in it cannot stand for two parts", () => {
  expect(() => seal(key, plaintext, ["secret", "a\0B"])).toThrow(TypeError);
});
