/** Against a scripted server: what a hostile or broken one could try before the first query. */
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ConnectionLost, DatabaseError } from "../database.ts";
import { type HandshakeOptions, openConnection } from "./handshake.ts";
import { SaltedPasswords } from "./scram.ts";

/** For `localhost`, signed by itself, valid from 2020 to 2120; made for this test and used nowhere else. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBYDCCAQegAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABF27gy4UACWgdoUl
qjZE/fB6pNhWSyUp5Gh3cxSx11cECj/GP5v755mlZ6T7LORhZIrhg1xvHS9xWR2b
NxZbr0ijSDBGMA8GA1UdEwEB/wQFMAMBAf8wFAYDVR0RBA0wC4IJbG9jYWxob3N0
MB0GA1UdDgQWBBR1tMe1u/35aNsnV/MF0gcOIkT8DjAKBggqhkjOPQQDAgNHADBE
AiBPpLM60PPfPiGMe5+HxdUWEDUjQ7mvmtufOhQHJNitlAIgPCatHLPWPDb7keuE
3nDjgFmP294yYG0pKFCDKdAMVLI=
-----END CERTIFICATE-----`;
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgQ0xxj/UZg5Jk4LiY
41JBQJMz+QkTkji2asYKLv1Pko+hRANCAARdu4MuFAAloHaFJao2RP3weqTYVksl
KeRod3MUsddXBAo/xj+b++eZpWek+yzkYWSK4YNcbx0vcVkdmzcWW69I
-----END PRIVATE KEY-----`;

function message(tag: string, ...parts: (string | number)[]): Buffer {
  const body = Buffer.concat(
    parts.map((part) => {
      if (typeof part === "string") return Buffer.from(part);
      const number = Buffer.alloc(4);
      number.writeInt32BE(part);
      return number;
    }),
  );
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(tag), length, body]);
}

const OK = message("R", 0);
const READY = message("Z", "I");
const ASK_CLEARTEXT = message("R", 3);
const ASK_MD5 = message("R", 5, "salt");
const ASK_SCRAM = message("R", 10, "SCRAM-SHA-256\0\0");

let script: (socket: Socket) => unknown;
let port: number;
const sockets = new Set<Socket>();
const server = createServer((socket) => {
  socket.on("error", () => {});
  sockets.add(socket);
  void script(socket);
});

beforeEach(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  port = (server.address() as { port: number }).port;
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await new Promise((closed) => server.close(closed));
});

function open(ssl = false, tls?: HandshakeOptions["tls"], host = "localhost") {
  return openConnection({
    address: { host, port, database: "d", user: "u", password: "pass word", ssl },
    connectTimeoutMs: 3000,
    applicationName: "test",
    tls,
    saltedPasswords: new SaltedPasswords(),
    settings: {},
  });
}

/** Resolves with what the client sends next. */
async function next(socket: Socket): Promise<string> {
  const [chunk] = (await once(socket, "data")) as [Buffer];
  return chunk.toString("latin1");
}

async function answerTls(socket: Socket): Promise<Socket> {
  await next(socket);
  socket.write("S");
  const secureContext = createSecureContext({ cert: CERTIFICATE, key: KEY });
  const secure = new TLSSocket(socket, { isServer: true, secureContext });
  return secure.on("error", () => {});
}

describe("opening a connection", () => {
  test("gives what the server tells about itself", async () => {
    let startup = "";
    script = async (socket) => {
      startup = await next(socket);
      socket.write(Buffer.concat([OK, message("S", "server_version\0", "18.1\0"), message("K", 4711, 99), READY]));
    };
    const opened = await open();
    expect(startup).toContain("user\0u\0database\0d\0application_name\0test\0client_encoding\0UTF8\0");
    expect(opened.processId).toBe(4711);
    expect(opened.secretKey).toEqual(Buffer.from([0, 0, 0, 99]));
    expect(opened.parameters.get("server_version")).toBe("18.1");
    opened.socket.destroy();
  });

  test("answers md5 with the twice hashed password", async () => {
    let answer = "";
    script = async (socket) => {
      await next(socket);
      socket.write(ASK_MD5);
      answer = await next(socket);
      socket.write(Buffer.concat([OK, READY]));
    };
    (await open()).socket.destroy();
    expect(answer).toMatch(/^p\0\0\0\(md5[0-9a-f]{32}\0$/);
  });

  test("passes the server's refusal on", async () => {
    script = (socket) => socket.write(message("E", "SFATAL\0", "VFATAL\0", "C3D000\0", "Mno such database\0", "\0"));
    const error = await open().catch((thrown: Error) => thrown);
    expect(error).toBeInstanceOf(DatabaseError);
    expect(error).toMatchObject({ code: "3D000", severity: "FATAL", message: "no such database" });
  });

  test.each<[string, (socket: Socket) => unknown, RegExp]>([
    ["that closes at once", (socket) => socket.end(), /closed the connection/],
    ["that speaks something else", (socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"), /could not connect/],
    ["that wants the bare password in the clear", (socket) => socket.write(ASK_CLEARTEXT), /bare password without TLS/],
    ["that is ready before it has authenticated", (socket) => socket.write(READY), /before it has authenticated/],
    [
      "that begins SCRAM and then claims to be satisfied",
      (socket) => socket.write(Buffer.concat([ASK_SCRAM, OK, READY])),
      /before it has authenticated/,
    ],
    [
      "that takes any SCRAM proof and gives a false one",
      async (socket) => {
        await next(socket);
        socket.write(ASK_SCRAM);
        const [nonce] = /r=.*/.exec(await next(socket)) ?? [];
        socket.write(message("R", 11, `${nonce}x,s=c2FsdA==,i=4096`));
        await next(socket);
        socket.write(Buffer.concat([message("R", 12, `v=${Buffer.alloc(32).toString("base64")}`), OK, READY]));
      },
      /before it has authenticated/,
    ],
    ["that offers no method we have", (socket) => socket.write(message("R", 7)), /method 7 is not supported/],
  ])("refuses a server %s", async (_what, behave, complaint) => {
    script = behave;
    const error = await open().catch((thrown: Error) => thrown);
    expect(error).toBeInstanceOf(ConnectionLost);
    expect(error).toMatchObject({ sent: false });
    expect(String(error)).toMatch(complaint);
    expect(String(error)).not.toContain("pass word");
  });
});

describe("TLS", () => {
  test("is used when asked for, and the password may then be sent", async () => {
    const seen: string[] = [];
    script = async (socket) => {
      const secure = await answerTls(socket);
      seen.push(await next(secure));
      secure.write(ASK_CLEARTEXT);
      seen.push(await next(secure));
      secure.write(Buffer.concat([OK, READY]));
    };
    const { socket } = await open(true, { ca: CERTIFICATE });
    expect("encrypted" in socket).toBe(true);
    expect(seen[0]).toContain("user\0u\0");
    expect(seen[1]).toContain("pass word\0");
    socket.destroy();
  });

  test("needs a certificate that somebody vouches for, and of this host", async () => {
    script = answerTls;
    await expect(open(true)).rejects.toThrow(/self-signed certificate/);
    await expect(open(true, { ca: CERTIFICATE }, "127.0.0.1")).rejects.toThrow(/IP: 127.0.0.1 is not in the cert/);
  });

  test.each([
    ["does not offer it", Buffer.from("N")],
    ["sends more than its consent in the clear", Buffer.concat([Buffer.from("S"), OK, READY])],
  ])("is insisted on when the server %s", async (_what, answer) => {
    script = async (socket) => {
      await next(socket);
      socket.write(answer);
    };
    await expect(open(true, { ca: CERTIFICATE })).rejects.toThrow(/does not offer TLS/);
  });
});
