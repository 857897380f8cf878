import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FieldReader, MessageReader } from "./reader.ts";
import { MAX_PARAMETERS, MessageWriter } from "./writer.ts";

function written(write: (writer: MessageWriter) => void): Buffer {
  const writer = new MessageWriter();
  write(writer);
  return Buffer.concat(writer.take());
}

/** Reads a Bind message back as the server would. */
function readBind(bytes: Buffer): { name: string; formats: number[]; values: (Buffer | null)[] } {
  let bind: ReturnType<typeof readBind> | undefined;
  new MessageReader((tag, buffer, start, end) => {
    expect(String.fromCharCode(tag)).toBe("B");
    const fields = new FieldReader(buffer, start, end);
    expect(fields.cstring()).toBe(""); // portal
    const name = fields.cstring();
    const formats = Array.from({ length: fields.int16() }, () => fields.int16());
    let rest = Buffer.alloc(0) as Buffer;
    const count = fields.int16() & 0xffff;
    rest = fields.rest();
    const values: (Buffer | null)[] = [];
    for (let n = 0; n < count; n++) {
      const length = rest.readInt32BE(0);
      values.push(length < 0 ? null : rest.subarray(4, 4 + length));
      rest = rest.subarray(4 + Math.max(0, length));
    }
    expect(rest).toEqual(Buffer.from([0, 0])); // all results as text
    bind = { name, formats, values };
  }).feed(bytes);
  if (!bind) throw new Error("no Bind message");
  return bind;
}

describe("MessageWriter", () => {
  test("writes Parse, Execute and Sync as the protocol has them", () => {
    const bytes = written((writer) => {
      writer.parse("p1", "select 1");
      writer.execute();
      writer.sync();
    });
    expect(bytes.toString("latin1")).toBe("P\0\0\0\x12p1\0select 1\0\0\0E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04");
  });

  test("writes any values so that the server reads the same ones", () => {
    const value = fc.oneof(
      fc.string({ unit: "binary", maxLength: 60 }),
      fc.constant(null),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
      fc.integer({ min: 1000, max: 9000 }).map((length) => "ü".repeat(length)),
      fc.integer({ min: 4000, max: 9000 }).map((length) => Buffer.alloc(length, "x")),
    );
    fc.assert(
      fc.property(fc.array(value, { maxLength: 20 }), (values) => {
        const bind = readBind(written((writer) => writer.bind("p7", values)));
        expect(bind.name).toBe("p7");
        expect(bind.values.length).toBe(values.length);
        values.forEach((item, index) => {
          const read = bind.values[index];
          expect(item === null ? read === null : read?.equals(Buffer.from(item as string))).toBe(true);
          expect(bind.formats[index] ?? 0).toBe(Buffer.isBuffer(item) ? 1 : 0);
        });
      }),
    );
  });

  test("keeps messages whole over the edges of its slabs", () => {
    const writer = new MessageWriter();
    for (let n = 0; n < 500; n++) writer.bind("p1", ["v".repeat(1000), String(n)]);
    let next = 0;
    const reader = new MessageReader((_tag, buffer, _start, end) => {
      expect(buffer.toString("latin1", end - 2 - String(next).length, end - 2)).toBe(String(next++));
    });
    for (const chunk of writer.take()) reader.feed(chunk);
    expect(next).toBe(500);
    expect(writer.isEmpty).toBe(true);
  });

  test("passes a large value on as it is, without a copy", () => {
    const body = Buffer.alloc(50_000_000, "x");
    const writer = new MessageWriter();
    writer.bind("p1", ["a", body, "z"]);
    expect(writer.take().includes(body)).toBe(true);
  });

  test("takes back what was written since a mark, also over the edge of a slab", () => {
    const writer = new MessageWriter();
    writer.parse("p1", "select 1");
    const mark = writer.mark();
    for (let n = 0; n < 100; n++) writer.bind("p1", ["v".repeat(1000), Buffer.alloc(5000)]);
    writer.rewind(mark);
    writer.sync();
    expect(Buffer.concat(writer.take())).toEqual(
      written((expected) => {
        expected.parse("p1", "select 1");
        expected.sync();
      }),
    );
  });

  test("refuses a text that would smuggle a message, and more parameters than the protocol counts", () => {
    expect(() => written((writer) => writer.parse("p1", "select 1\0X"))).toThrow(TypeError);
    expect(() => written((writer) => writer.bind("p1", new Array(MAX_PARAMETERS + 1).fill(null)))).toThrow(RangeError);
    expect(() => written((writer) => writer.startup({ user: "a\0database\0b" }))).toThrow(TypeError);
  });
});
