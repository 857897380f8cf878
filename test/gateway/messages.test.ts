/** Requests by which a client tries to get a second request past the gateway, or to be read in two ways. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ANON_JWT, REF, snapshot } from "../../gateway/snapshot.fixture.ts";
import { OK, type RawUpstream, startRawUpstream } from "./raw-upstream.ts";
import { MemoryConfigs, type RunningGateway, rawExchange, startGateway } from "./support.ts";

let upstream: RawUpstream;
let gateway: RunningGateway;
beforeAll(async () => {
  upstream = await startRawUpstream((socket) => void socket.write(OK));
  const http = { kind: "http", origin: upstream.origin } as const;
  const upstreams = { rest: http, auth: http, storage: http, realtime: http };
  gateway = await startGateway({ configs: new MemoryConfigs(snapshot({ upstreams })) });
});
afterAll(async () => {
  gateway.gateway.close();
  await upstream.close();
});

const TARGET = `/projects/${REF}/rest/v1/x`;
const KEY = `apikey: ${ANON_JWT}`;
const HIDDEN = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";

const request = (headers: string, body = "", line = `POST ${TARGET} HTTP/1.1`) =>
  `${line}\r\nHost: localhost\r\n${KEY}\r\n${headers}\r\n${body}`;

describe("never reach an upstream as two requests, or as one that another reader sees differently", () => {
  test.each([
    ["CL.TE", request(`Content-Length: ${HIDDEN.length + 5}\r\nTransfer-Encoding: chunked\r\n`, `0\r\n\r\n${HIDDEN}`)],
    ["TE.CL", request("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", `5c\r\n${HIDDEN}\r\n0\r\n\r\n`)],
    [
      "TE.TE, one of them hidden",
      request("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", `0\r\n\r\n${HIDDEN}`),
    ],
    ["another coding before chunked", request("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")],
    ["a misspelt coding", request("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n")],
    ["a coding with a tab", request("Transfer-Encoding:\tchunked\t,\r\n", "0\r\n\r\n")],
    ["an identity coding", request("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", "hello")],
    ["a blank before the colon", request("Transfer-Encoding : chunked\r\n", "0\r\n\r\n")],
    ["two different lengths", request("Content-Length: 5\r\nContent-Length: 0\r\n", `hello${HIDDEN}`)],
    ["the same length twice", request("Content-Length: 5\r\nContent-Length: 5\r\n", "hello")],
    ["a list of lengths", request("Content-Length: 5, 5\r\n", "hello")],
    ["a signed length", request("Content-Length: +5\r\n", "hello")],
    ["a negative length", request("Content-Length: -1\r\n", "hello")],
    ["a hexadecimal length", request("Content-Length: 0x5\r\n", "hello")],
    ["an empty length", request("Content-Length: \r\n", HIDDEN)],
    ["an enormous length", request(`Content-Length: ${"9".repeat(40)}\r\n`, "hello")],
    ["obs-fold", request("X-A: 1\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "hello")],
    ["a bare LF in the head", request("X-A: 1\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", "hello")],
    ["a bare CR in the head", request("X-A: 1\rTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", "hello")],
    ["a NUL in a header", request("X-A: a\0b\r\nContent-Length: 0\r\n")],
    ["a chunk size with a prefix", request("Transfer-Encoding: chunked\r\n", `0x5\r\nhello\r\n0\r\n\r\n`)],
    ["an overflowing chunk size", request("Transfer-Encoding: chunked\r\n", `FFFFFFFFFFFFFFFF5\r\nhello\r\n0\r\n\r\n`)],
    ["two hosts", request("Host: other\r\n", "", `GET ${TARGET} HTTP/1.1`)],
    ["two keys", request(`apikey: other\r\n`, "", `GET ${TARGET} HTTP/1.1`)],
    ["two authorizations", request("Authorization: a\r\nAuthorization: b\r\n", "", `GET ${TARGET} HTTP/1.1`)],
    ["an absolute target", request("", "", `GET http://x${TARGET} HTTP/1.1`)],
    ["HTTP/1.0", request("", "", `GET ${TARGET} HTTP/1.0`)],
    ["a blank in the target", request("", "", `GET ${TARGET} x HTTP/1.1`)],
    ["a fragment", request("", "", `GET ${TARGET}#x HTTP/1.1`)],
    ["an escaped slash", request("", "", `GET /projects/${REF}/rest%2fv1/x HTTP/1.1`)],
    ["a dot segment", request("", "", `GET /projects/${REF}/storage/v1/../../rest/v1/ HTTP/1.1`)],
    ["an escaped line break", request("", "", `GET ${TARGET}%0d%0aX: HTTP/1.1`)],
    ["an oversized head", request(`X-A: ${"a".repeat(100_000)}\r\n`, "", `GET ${TARGET} HTTP/1.1`)],
    ["too many headers", request("X-A: a\r\n".repeat(500), "", `GET ${TARGET} HTTP/1.1`)],
    ["no host", `GET ${TARGET} HTTP/1.1\r\n${KEY}\r\n\r\n`],
  ])("%s", async (_name, message) => {
    const before = upstream.received.join("").length;
    const response = await rawExchange(gateway.port, message);
    expect(response === "" || /^HTTP\/1\.1 (4\d\d|505)/.test(response), response).toBe(true);
    expect(response).not.toContain("\r\n\r\nok");
    // What a streamed body has already sent of itself is cut off, never completed.
    const reached = upstream.received.join("").slice(before);
    expect(reached).not.toMatch(/\/hidden HTTP|\r\n0\r\n\r\n$/);
  });
});

describe("that are merely unusual pass, made plain", () => {
  test.each([
    ["a chunked body", request("Transfer-Encoding: Chunked\r\n", "5\r\nhello\r\n0\r\n\r\n")],
    ["a body with GET", request("Content-Length: 5\r\n", "hello", `GET ${TARGET} HTTP/1.1`)],
    ["headers in capitals", request("X-CAPITALS: 1\r\n", "", `GET ${TARGET} HTTP/1.1`)],
  ])("%s", async (_name, message) => {
    expect(await rawExchange(gateway.port, message)).toContain("\r\n\r\nok");
  });

  // The server library reads these two more leniently than it should. What goes on is framed anew by the gateway.
  test.each([
    [
      "a header without a name, and what follows it",
      request(": x\r\nX-Behind: 1\r\n", "", `GET ${TARGET} HTTP/1.1`),
      /x-behind/,
    ],
    ["what exceeds a chunk", request("Transfer-Encoding: chunked\r\n", "3\r\nhello\r\n0\r\n\r\n"), /hello/],
  ])("%s is left out", async (_name, message, leftOut) => {
    const before = upstream.received.join("").length;
    await rawExchange(gateway.port, message);
    expect(upstream.received.join("").slice(before)).not.toMatch(leftOut);
  });

  test("a header that Connection names goes no further", async () => {
    await rawExchange(gateway.port, request("Connection: X-Hop, close\r\nX-Hop: 1\r\n", "", `GET ${TARGET} HTTP/1.1`));
    expect(upstream.received.join("")).not.toMatch(/x-hop: 1/i);
  });

  test("a second request behind a body is a request of its own", async () => {
    const message = `${request("Content-Length: 5\r\n", "hello")}`;
    const response = await rawExchange(gateway.port, message);
    expect(response.match(/HTTP\/1.1 200/g)?.length).toBe(1);
    expect(upstream.received.join("")).toContain("content-length: 5\r\n\r\nhello");
  });
});
