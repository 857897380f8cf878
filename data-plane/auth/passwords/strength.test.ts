import { expect, test } from "vitest";
import { checkPasswordStrength, findWeakness } from "./strength.ts";

const rules = { passwordMinLength: 8, passwordRequiredCharacters: ["abc", "0123456789"] };

test("each rule that fails gives its reason, and the texts are joined", () => {
  expect(findWeakness("xyz", rules)).toEqual({
    reasons: ["length", "characters"],
    message:
      "Password should be at least 8 characters. Password should contain at least one character of each: abc, 0123456789.",
  });
  expect(findWeakness("abc12345", rules)).toBeNull();
});

test("six characters is the least a project can ask for", () => {
  expect(findWeakness("abcde", { passwordMinLength: 0, passwordRequiredCharacters: [] })?.message).toBe(
    "Password should be at least 6 characters.",
  );
});

test("more than 72 bytes are refused, because bcrypt would cut them silently", () => {
  const open = { passwordMinLength: 6, passwordRequiredCharacters: [] };
  expect(() => checkPasswordStrength("ä".repeat(37), open)).toThrow("Password cannot be longer than 72 characters");
  expect(() => checkPasswordStrength("ä".repeat(36), open)).not.toThrow();
});
