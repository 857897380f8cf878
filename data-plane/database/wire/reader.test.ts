import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FieldReader, MessageReader, MessageTooLarge, ProtocolViolation, readErrorFields } from "./reader.ts";

function message(tag: string, body: Buffer): Buffer {
  const header = Buffer.alloc(5);
  header.write(tag, "latin1");
  header.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([header, body]);
}

function collect(chunks: readonly Buffer[], maxMessageBytes?: number): [string, string][] {
  const seen: [string, string][] = [];
  const reader = new MessageReader((tag, buffer, start, end) => {
    seen.push([String.fromCharCode(tag), buffer.toString("latin1", start, end)]);
  }, maxMessageBytes);
  for (const chunk of chunks) reader.feed(chunk);
  return seen;
}

const stream = Buffer.concat([
  message("2", Buffer.alloc(0)),
  message("D", Buffer.from("a row of some length")),
  message("n", Buffer.alloc(0)),
  message("C", Buffer.from("SELECT 1\0")),
  message("Z", Buffer.from("I")),
]);
const whole: [string, string][] = [
  ["2", ""],
  ["D", "a row of some length"],
  ["n", ""],
  ["C", "SELECT 1\0"],
  ["Z", "I"],
];

describe("MessageReader", () => {
  test("gives the same messages wherever the stream is cut in two", () => {
    for (let cut = 0; cut <= stream.length; cut++)
      expect(collect([stream.subarray(0, cut), stream.subarray(cut)])).toEqual(whole);
  });

  test("gives the same messages however the stream is cut", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: stream.length })), (cuts) => {
        const edges = [0, ...cuts.toSorted((a, b) => a - b), stream.length];
        const chunks = edges.slice(1).map((edge, index) => stream.subarray(edges[index], edge));
        expect(collect(chunks)).toEqual(whole);
      }),
    );
  });

  test("hands over a message that lies whole in a chunk without copying it", () => {
    let seen: Buffer | undefined;
    new MessageReader((_tag, buffer) => {
      seen = buffer;
    }).feed(stream);
    expect(seen).toBe(stream);
  });

  test("refuses a message above its limit before it makes room for it", () => {
    const announced = Buffer.from([0x44, 0x3f, 0xff, 0xff, 0xff]);
    expect(() => collect([announced], 1000)).toThrow(MessageTooLarge);
  });

  test("refuses a length that cannot be", () => {
    expect(() => collect([Buffer.from([0x44, 0, 0, 0, 3, 0])])).toThrow(ProtocolViolation);
    expect(() => collect([Buffer.from([0x44, 0xff, 0xff, 0xff, 0xff, 0])])).toThrow(ProtocolViolation);
  });

  test("never does worse than refuse whatever bytes come", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), (chunks) => {
        try {
          collect(
            chunks.map((chunk) => Buffer.from(chunk)),
            10_000,
          );
        } catch (error) {
          expect(error instanceof MessageTooLarge || error instanceof ProtocolViolation).toBe(true);
        }
      }),
    );
  });
});

describe("FieldReader", () => {
  test("reads an error's fields", () => {
    const body = Buffer.from("SERROR\0C23505\0Mduplicate\0\0");
    expect(readErrorFields(new FieldReader(body, 0, body.length))).toEqual({
      S: "ERROR",
      C: "23505",
      M: "duplicate",
    });
  });

  test("never reads beyond the end of its message", () => {
    const chunk = Buffer.from("abc\0def\0");
    expect(() => new FieldReader(chunk, 0, 3).cstring()).toThrow(ProtocolViolation);
    expect(() => new FieldReader(chunk, 0, 3).int32()).toThrow(ProtocolViolation);
    expect(new FieldReader(chunk, 4, 8).cstring()).toBe("def");
  });
});
