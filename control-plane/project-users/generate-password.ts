/** Passwords for people to read from a screen once. */
import { randomInt } from "node:crypto";

const LENGTH = 16;
/** Without the characters that are mistaken for one another: 0 O 1 l I o. */
const ALPHABET = "23456789abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ";

/** 16 characters of 56: 92 bits. */
export function generatePassword(): string {
  return Array.from({ length: LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join("");
}
