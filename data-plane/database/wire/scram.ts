/**
 * The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677) as PostgreSQL speaks it, without channel binding.
 * @see https://www.postgresql.org/docs/current/sasl-authentication.html
 */
import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";

export const SCRAM_MECHANISM = "SCRAM-SHA-256";
const GS2_HEADER = "n,,";
/** PostgreSQL's default is 4096; a server that asks for far more only wants our processor. */
const MAX_ITERATIONS = 100_000;

const deriveKey = promisify(pbkdf2);

/** The server failed to prove that it knows the password, or sent something that is not SCRAM. */
export class ScramError extends Error {}

/**
 * Remembers the salted password between connections of one login: deriving it takes 4096 rounds of HMAC, and a role
 * keeps its salt until its password changes.
 */
export class SaltedPasswords {
  #key = "";
  #value: Promise<Buffer> | null = null;

  get(password: string, salt: Buffer, iterations: number): Promise<Buffer> {
    const key = `${iterations}:${salt.toString("base64")}:${password}`;
    if (!this.#value || key !== this.#key) {
      this.#key = key;
      this.#value = deriveKey(normalizePassword(password), salt, iterations, 32, "sha256");
    }
    return this.#value;
  }
}

export class ScramExchange {
  readonly #clientNonce: string;
  #serverSignature: Buffer | null = null;

  constructor(clientNonce = randomBytes(18).toString("base64")) {
    this.#clientNonce = clientNonce;
  }

  /** The user name is left out: the server takes it from the start-up message. */
  clientFirst(): string {
    return `${GS2_HEADER}n=,r=${this.#clientNonce}`;
  }

  /** @throws {ScramError} when the server's message is malformed or does not continue our nonce. */
  async clientFinal(serverFirst: string, password: string, salted = new SaltedPasswords()): Promise<string> {
    const fields = /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/]+={0,2}),i=([1-9]\d{0,8})$/.exec(serverFirst);
    const [, nonce = "", salt = "", iterations = "0"] = fields ?? [];
    if (!fields) throw new ScramError("malformed first message of the server");
    if (!nonce.startsWith(this.#clientNonce) || nonce.length === this.#clientNonce.length)
      throw new ScramError("the server's nonce does not continue ours");
    if (Number(iterations) > MAX_ITERATIONS) throw new ScramError(`the server asks for ${iterations} iterations`);
    const saltedPassword = await salted.get(password, Buffer.from(salt, "base64"), Number(iterations));
    const withoutProof = `c=${Buffer.from(GS2_HEADER).toString("base64")},r=${nonce}`;
    const authMessage = `n=,r=${this.#clientNonce},${serverFirst},${withoutProof}`;
    const clientKey = hmac(saltedPassword, "Client Key");
    const clientSignature = hmac(createHash("sha256").update(clientKey).digest(), authMessage);
    const proof = Buffer.alloc(clientKey.length);
    for (let i = 0; i < proof.length; i++) proof[i] = (clientKey[i] ?? 0) ^ (clientSignature[i] ?? 0);
    this.#serverSignature = hmac(hmac(saltedPassword, "Server Key"), authMessage);
    return `${withoutProof},p=${proof.toString("base64")}`;
  }

  /** @throws {ScramError} when the server did not prove that it knows the password too. */
  verifyServerFinal(serverFinal: string): void {
    const signature = Buffer.from(/^v=([A-Za-z0-9+/]+={0,2})$/.exec(serverFinal)?.[1] ?? "", "base64");
    const expected = this.#serverSignature;
    if (!expected || signature.length !== expected.length || !timingSafeEqual(signature, expected))
      throw new ScramError("the server does not know the password");
  }
}

function hmac(key: Buffer, message: string): Buffer {
  return createHmac("sha256", key).update(message).digest();
}

/**
 * SASLprep (RFC 4013) as far as it changes bytes: other spaces become a space, invisible characters vanish, NFKC. Like
 * the server we do not refuse what the RFC prohibits, so that such a password still signs in.
 */
function normalizePassword(password: string): string {
  return password
    .replace(/[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/g, " ")
    .replace(/\u00ad|\u034f|\u1806|[\u180b-\u180d]|\u200c|\u200d|\u2060|[\ufe00-\ufe0f]|\ufeff/g, "")
    .normalize("NFKC");
}
