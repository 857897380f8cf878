import { randomBytes } from "node:crypto";

const ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/**
 * A bcrypt hash of a password that nobody knows, for users who are invited or come by a link: they count as having a
 * password. Drawn rather than computed: it costs no 75 ms, which would also tell a new address from a known one.
 */
export function unknownPasswordHash(): string {
  const characters = [...randomBytes(53)].map((byte) => byte & 63);
  // The last characters of salt (128 bits) and digest (184 bits) carry unused low bits, which are zero.
  characters[21] = (characters[21] ?? 0) & 0b110000;
  characters[52] = (characters[52] ?? 0) & 0b111100;
  return `$2b$10$${characters.map((index) => ALPHABET[index]).join("")}`;
}
