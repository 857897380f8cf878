/** Password verifiers, so that no plain password stands in a statement, a log or pg_stat_activity. */
import { createHash, createHmac, pbkdf2, randomBytes } from "node:crypto";
import { promisify } from "node:util";

const ITERATIONS = 4096; // PostgreSQL's default; generated passwords need no more
const PRINTABLE_ASCII = /^[\x20-\x7e]{8,}$/;

/**
 * The text PostgreSQL stores in pg_authid for SCRAM-SHA-256; `ALTER ROLE … PASSWORD` takes it as it is.
 * @throws {TypeError} for a password that is not at least 8 printable ASCII characters: others would need SASLprep.
 * @see https://www.postgresql.org/docs/current/catalog-pg-authid.html
 */
export async function scramVerifier(password: string, salt: Buffer = randomBytes(16)): Promise<string> {
  if (!PRINTABLE_ASCII.test(password)) {
    throw new TypeError("a database password is at least 8 printable ASCII characters");
  }
  const salted = await promisify(pbkdf2)(password, salt, ITERATIONS, 32, "sha256");
  const hmac = (text: string) => createHmac("sha256", salted).update(text).digest();
  const storedKey = createHash("sha256").update(hmac("Client Key")).digest("base64");
  const serverKey = hmac("Server Key").toString("base64");
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString("base64")}$${storedKey}:${serverKey}`;
}

/** Whether a stored verifier was made of this password, with the iterations that {@link scramVerifier} takes. */
export async function isVerifierOf(verifier: string, password: string): Promise<boolean> {
  const salt = /^SCRAM-SHA-256\$4096:([A-Za-z0-9+/=]+)\$/.exec(verifier)?.[1];
  return salt !== undefined && (await scramVerifier(password, Buffer.from(salt, "base64"))) === verifier;
}
