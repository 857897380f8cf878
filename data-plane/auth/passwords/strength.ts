/** What a project asks of a password. */
import { AuthError } from "../errors.ts";

/** bcrypt reads no further; a longer password would be cut without a word. */
const MAX_PASSWORD_BYTES = 72;
const SHORTEST_MINIMUM = 6;

export interface PasswordRules {
  readonly passwordMinLength: number;
  /** Sets of characters of which each must occur; empty: no rule. */
  readonly passwordRequiredCharacters: readonly string[];
}

export type Weakness = { readonly reasons: readonly ("length" | "characters")[]; readonly message: string };

/** @throws {AuthError} `validation_failed` when the password is longer than the 72 bytes that bcrypt reads. */
export function checkPasswordLength(password: string): void {
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) {
    throw new AuthError("validation_failed", `Password cannot be longer than ${MAX_PASSWORD_BYTES} characters`);
  }
}

/** Null when the password meets the rules. */
export function findWeakness(password: string, rules: PasswordRules): Weakness | null {
  const minimum = Math.max(rules.passwordMinLength, SHORTEST_MINIMUM);
  const missing = rules.passwordRequiredCharacters.filter(
    (set) => set && ![...set].some((one) => password.includes(one)),
  );
  const reasons: Weakness["reasons"][number][] = [];
  const messages: string[] = [];
  if (Buffer.byteLength(password) < minimum) {
    reasons.push("length");
    messages.push(`Password should be at least ${minimum} characters.`);
  }
  if (missing.length > 0) {
    reasons.push("characters");
    const sets = rules.passwordRequiredCharacters.join(", ");
    messages.push(`Password should contain at least one character of each: ${sets}.`);
  }
  return reasons.length > 0 ? { reasons, message: messages.join(" ") } : null;
}

/** @throws {AuthError} `validation_failed` when too long, `weak_password` with its reasons when too weak. */
export function checkPasswordStrength(password: string, rules: PasswordRules): void {
  checkPasswordLength(password);
  const weakness = findWeakness(password, rules);
  if (weakness) {
    throw new AuthError("weak_password", weakness.message, {
      details: { weak_password: { reasons: weakness.reasons } },
    });
  }
}
