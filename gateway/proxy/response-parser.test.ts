import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProtocolViolation, ResponseParser } from "./response-parser.ts";

interface Parsed {
  readonly status: number | undefined;
  readonly headers: readonly string[] | undefined;
  readonly body: string;
  readonly complete: boolean;
  readonly reusable: boolean;
  /** What lies behind the end of the response. */
  readonly left: string;
}

/** Feeds the text in pieces that end at the given positions. */
function parse(text: string, cuts: readonly number[] = [], headOnly = false): Parsed {
  const parser = new ResponseParser();
  parser.expect(headOnly);
  const bytes = Buffer.from(text, "latin1");
  let body = "";
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    if (parser.complete) break;
    const end = parser.feed(bytes.subarray(0, to), from);
    for (const piece of parser.pieces) body += piece.toString("latin1");
    from = end;
  }
  const { head, complete, reusable } = parser;
  const left = complete ? bytes.toString("latin1", from) : "";
  return { status: head?.status, headers: head?.headers, body, complete, reusable, left };
}

const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

describe("bodies", () => {
  test("by Content-Length", () => {
    const parsed = parse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:  b \r\n\r\nhello");
    expect(parsed).toMatchObject({ status: 200, body: "hello", complete: true, reusable: true });
    expect(parsed.headers).toEqual(["content-length", "5", "x-a", "b"]);
  });

  test("in chunks, with extensions and trailers that are dropped", () => {
    const parsed = parse(`${CHUNKED}5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n`);
    expect(parsed).toMatchObject({ body: "hello0123456789", complete: true, reusable: true });
    expect(parsed.headers).toEqual(["transfer-encoding", "chunked"]);
  });

  test("until the connection closes", () => {
    const parser = new ResponseParser();
    parser.expect(false);
    parser.feed(Buffer.from("HTTP/1.1 200 OK\r\n\r\nall of it"), 0);
    expect(Buffer.concat(parser.pieces).toString()).toBe("all of it");
    expect(parser.complete).toBe(false);
    parser.finish();
    expect(parser).toMatchObject({ complete: true, reusable: false });
  });

  test.each([
    ["HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true],
    ["204", "HTTP/1.1 204 No Content\r\n\r\n", false],
    ["304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false],
    ["length 0", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false],
  ])("none after %s", (_name, text, headOnly) => {
    expect(parse(text, [], headOnly)).toMatchObject({ body: "", complete: true, reusable: true });
  });

  test("interim responses are passed over", () => {
    const parsed = parse("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
    expect(parsed).toMatchObject({ status: 200, body: "x", complete: true });
  });
});

test.each([
  ["a length", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"],
  ["chunks", `${CHUNKED}1\r\nx\r\n0\r\n\r\n`],
  ["no body", "HTTP/1.1 204 No Content\r\n\r\n"],
])("nothing is read beyond a response with %s", (_name, text) => {
  expect(parse(`${text}HTTP/1.1 500 Next`)).toMatchObject({ complete: true, left: "HTTP/1.1 500 Next" });
});

describe("reuse of the connection", () => {
  test.each([
    ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"],
    ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, CLOSE\r\n\r\n"],
    ["HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"],
  ])("%j ends it", (text) => {
    expect(parse(text)).toMatchObject({ complete: true, reusable: false });
  });

  test("a keep-alive timeout is read", () => {
    const parser = new ResponseParser();
    parser.expect(false);
    parser.feed(Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: timeout=5, max=9\r\n\r\n"), 0);
    expect(parser.head?.keepAliveSeconds).toBe(5);
  });
});

describe("messages by which a response could be read as two, or two as one", () => {
  test.each([
    ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"],
    ["a length twice", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"],
    ["a list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello"],
    ["a signed length", "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello"],
    ["a hexadecimal length", "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello"],
    ["an empty length", "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nhello"],
    ["a length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["chunks and a length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"],
    ["another coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
    ["a coding spelt oddly", "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"],
    ["chunks twice", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["a folded header", "HTTP/1.1 200 OK\r\nX-A: 1\r\n folded\r\nContent-Length: 0\r\n\r\n"],
    ["a blank before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello"],
    ["a header without a name", "HTTP/1.1 200 OK\r\n: 5\r\n\r\n"],
    ["a line without a colon", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n"],
    ["a bare LF", "HTTP/1.1 200 OK\r\nX-A: 1\nContent-Length: 5\r\n\r\nhello"],
    ["a bare CR", "HTTP/1.1 200 OK\r\nX-A: 1\rContent-Length: 5\r\n\r\nhello"],
    ["a NUL", "HTTP/1.1 200 OK\r\nX-A: a\0b\r\n\r\n"],
    ["another version", "HTTP/2.0 200 OK\r\n\r\n"],
    ["no protocol", "200 OK\r\n\r\n"],
    ["an odd status", "HTTP/1.1 20 OK\r\n\r\n"],
    ["a status beyond the classes", "HTTP/1.1 600 Odd\r\n\r\n"],
    ["a blank line first", "\r\nHTTP/1.1 200 OK\r\n\r\n"],
    ["an unasked switch", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"],
    ["a chunk size with a sign", `${CHUNKED}+5\r\nhello\r\n0\r\n\r\n`],
    ["a chunk size with a prefix", `${CHUNKED}0x5\r\nhello\r\n0\r\n\r\n`],
    ["a chunk size with blanks before", `${CHUNKED} 5\r\nhello\r\n0\r\n\r\n`],
    ["an enormous chunk size", `${CHUNKED}FFFFFFFFFFFFFFFFF\r\nhello`],
    ["no chunk size", `${CHUNKED}\r\nhello\r\n0\r\n\r\n`],
    ["a chunk line ended by LF", `${CHUNKED}5\nhello\r\n0\r\n\r\n`],
    ["a chunk longer than announced", `${CHUNKED}5\r\nhello!\r\n0\r\n\r\n`],
    ["a chunk ended by CR only", `${CHUNKED}5\r\nhello\rX0\r\n\r\n`],
    ["a trailer with a bare LF", `${CHUNKED}0\r\nX: 1\nY: 2\r\n\r\n`],
    ["an endless chunk line", `${CHUNKED}5;${"x".repeat(300)}`],
    ["an endless trailer", `${CHUNKED}0\r\nX: ${"x".repeat(10_000)}`],
    ["an oversized head", `HTTP/1.1 200 OK\r\nX: ${"x".repeat(70_000)}\r\n\r\n`],
    ["an endless head", `HTTP/1.1 200 OK\r\nX: ${"x".repeat(70_000)}`],
    ["endless interim responses", "HTTP/1.1 100 Continue\r\n\r\n".repeat(20)],
  ])("%s: refused", (_name, text) => {
    expect(() => parse(text)).toThrow(ProtocolViolation);
  });

  test.each([
    ["a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"],
    ["chunks", `${CHUNKED}5\r\nhello\r\n`],
    ["a head", "HTTP/1.1 200 OK\r\nCont"],
  ])("a connection that ends within %s: refused", (_name, text) => {
    const parser = new ResponseParser();
    parser.expect(false);
    parser.feed(Buffer.from(text), 0);
    expect(() => parser.finish()).toThrow(ProtocolViolation);
  });
});

test("it does not matter how the bytes are cut into reads", () => {
  const messages = [
    "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nX-A: b\r\n\r\nhello world",
    `HTTP/1.1 100 Continue\r\n\r\n${CHUNKED}5;x\r\nhello\r\n6\r\n world\r\n0\r\nT: 1\r\n\r\n`,
  ];
  fc.assert(
    fc.property(fc.constantFrom(...messages), fc.array(fc.nat(120), { maxLength: 8 }), (message, positions) => {
      const cuts = positions.filter((position) => position < message.length).sort((a, b) => a - b);
      expect(parse(message, cuts)).toEqual(parse(message));
    }),
  );
});
