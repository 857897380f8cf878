import { createHash, createHmac, pbkdf2Sync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { SaltedPasswords, ScramError, ScramExchange } from "./scram.ts";

const salt = Buffer.from("W22ZaJ0SNY7soEsUEjb6gQ==", "base64");
const hmac = (key: Buffer, text: string) => createHmac("sha256", key).update(text).digest();

/** A server that knows the password: answers its first message, checks the proof, gives its own. */
class Server {
  readonly first: string;
  readonly #salted: Buffer;
  readonly #clientFirst: string;

  constructor(clientFirst: string, password: string) {
    this.#clientFirst = clientFirst.slice("n,,".length);
    this.#salted = pbkdf2Sync(password, salt, 4096, 32, "sha256");
    this.first = `${/r=.*/.exec(clientFirst)?.[0]}SERVER,s=${salt.toString("base64")},i=4096`;
  }

  final(clientFinal: string): string {
    const [withoutProof = "", proof = ""] = clientFinal.split(/,p=/);
    const authMessage = [this.#clientFirst, this.first, withoutProof].join(",");
    const clientKey = hmac(this.#salted, "Client Key");
    const signature = hmac(createHash("sha256").update(clientKey).digest(), authMessage);
    const expected = clientKey.map((byte, index) => byte ^ (signature[index] ?? 0));
    expect(Buffer.from(proof, "base64")).toEqual(Buffer.from(expected));
    return `v=${hmac(hmac(this.#salted, "Server Key"), authMessage).toString("base64")}`;
  }
}

describe("ScramExchange", () => {
  test("proves the password and accepts a server that proves it too", async () => {
    const client = new ScramExchange();
    const server = new Server(client.clientFirst(), "secret");
    client.verifyServerFinal(server.final(await client.clientFinal(server.first, "secret")));
  });

  test("refuses a server that does not know the password", async () => {
    const client = new ScramExchange();
    const server = new Server(client.clientFirst(), "secret");
    await client.clientFinal(server.first, "secret");
    expect(() => client.verifyServerFinal(`v=${Buffer.alloc(32).toString("base64")}`)).toThrow(ScramError);
    expect(() => client.verifyServerFinal("e=other-error")).toThrow(ScramError);
  });

  test("refuses a server's proof that comes before its own", () => {
    expect(() => new ScramExchange().verifyServerFinal("v=")).toThrow(ScramError);
  });

  test.each([
    ["another nonce", "r=other,s=AAAA,i=4096"],
    ["our nonce and nothing more", "r=nonce,s=AAAA,i=4096"],
    ["more work than a server may ask for", "r=nonceX,s=AAAA,i=100000000"],
    ["something else", "hello"],
  ])("refuses a first message with %s", async (_what, serverFirst) => {
    await expect(new ScramExchange("nonce").clientFinal(serverFirst, "secret")).rejects.toThrow(ScramError);
  });

  test("prepares the password as the server does", async () => {
    const client = new ScramExchange();
    const server = new Server(client.clientFirst(), "a\u00e9 b");
    server.final(await client.clientFinal(server.first, "a\u00ade\u0301\u00a0b"));
  });
});

test("a salted password is derived once for the same salt", async () => {
  const salted = new SaltedPasswords();
  const first = await salted.get("secret", salt, 4096);
  expect(await salted.get("secret", salt, 4096)).toBe(first);
  expect(await salted.get("other", salt, 4096)).not.toEqual(first);
});
