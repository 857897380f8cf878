import { expect, test } from "vitest";
import { type PayloadOptions, parsePayload } from "./payload.ts";

function parse(body: string, contentType?: string, override: Partial<PayloadOptions> = {}) {
  return parsePayload(Buffer.from(body), { contentType, hasColumns: false, forRoutine: false, ...override });
}

/** What the server is given as the body. */
function sent(body: string, contentType?: string, override: Partial<PayloadOptions> = {}): string | null {
  const payload = parse(body, contentType, override);
  return payload.kind === "json" || payload.kind === "raw" ? payload.bytes.toString("utf8") : null;
}

test("JSON goes on byte for byte, without Content-Type too", () => {
  const body = ' [ {"a":1.0, "a":2} ] ';
  expect(sent(body)).toBe(body);
  expect(sent(body, "application/json; charset=utf-8; odd=1")).toBe(body);
  expect(parse(body)).toMatchObject({ kind: "json", shape: "array", keys: ["a"], empty: false, fromCsv: false });
});

test.each(["", " ", "{", "[1", '{"a":}', "[{}]x"])("%j is no JSON", (body) => {
  expect(() => parse(body)).toThrow(
    expect.objectContaining({ code: "PGRST102", status: 400, message: "Empty or invalid json" }),
  );
});

test.each(['[{"a":1},{"b":1}]', '[{"a":1},{}]', "[1]", '[{"a":1},[]]', '[{"a":1},{"a":1,"b":2}]'])(
  "%s has elements that are no rows of one kind",
  (body) => {
    expect(() => parse(body)).toThrow(
      expect.objectContaining({ code: "PGRST102", message: "All object keys must match" }),
    );
    expect(parse(body, undefined, { hasColumns: true })).toMatchObject({ shape: "array", keys: null });
  },
);

test("the order of keys does not matter", () => {
  expect(parse('[{"a":1,"b":2},{"b":1,"a":2}]')).toMatchObject({ keys: ["a", "b"] });
});

test("with columns nothing but the first bracket is looked at", () => {
  expect(parse("  [ broken", undefined, { hasColumns: true })).toMatchObject({ shape: "array", keys: null });
  expect(() => parse("broken", undefined, { hasColumns: true })).toThrow(expect.objectContaining({ code: "PGRST102" }));
});

test("an empty array is known to hold nothing", () => {
  expect(parse("[]")).toMatchObject({ shape: "array", empty: true });
  expect(parse("[{}]")).toMatchObject({ shape: "array", keys: [], empty: false });
});

test("a function can be called with an empty body, or with a value that is no object", () => {
  expect(parse("", undefined, { forRoutine: true })).toMatchObject({ kind: "json", shape: "object", keys: [] });
  expect(sent("[1,2]", undefined, { forRoutine: true })).toBe("[1,2]");
  expect(sent('"text"', undefined, { forRoutine: true })).toBe('"text"');
});

test("CSV becomes the JSON that the same rows would have been: an empty field is '', NULL is null", () => {
  expect(sent("a,b\n1,\nNULL,x\n", "text/csv")).toBe('[{"a":"1","b":""},{"a":null,"b":"x"}]');
  expect(parse("a,b\n1,2", "text/csv")).toMatchObject({ keys: ["a", "b"], fromCsv: true });
});

test("lines of CSV have as many fields as the first", () => {
  expect(() => parse("a,b\n1,2\n3", "text/csv")).toThrow(
    expect.objectContaining({ code: "PGRST102", message: "All lines must have same number of fields" }),
  );
});

test("a form is one row for a table, and repeatable arguments for a function", () => {
  const form = "application/x-www-form-urlencoded";
  expect(sent("a=1&b=x+y%26z&c", form)).toBe('{"a":"1","b":"x y&z","c":""}');
  expect(parse("v=1&v=2", form, { forRoutine: true })).toEqual({
    kind: "form",
    fields: [
      ["v", "1"],
      ["v", "2"],
    ],
  });
});

test("names that mean something to JavaScript are names like others", () => {
  expect(sent("__proto__=1&constructor=2", "application/x-www-form-urlencoded")).toBe(
    '{"__proto__":"1","constructor":"2"}',
  );
  expect(sent("__proto__,constructor\n1,2", "text/csv")).toBe('[{"__proto__":"1","constructor":"2"}]');
  expect(parse('{"__proto__":{"x":1}}')).toMatchObject({ keys: ["__proto__"] });
});

test.each([
  ["text/plain", "text"],
  ["text/xml", "xml"],
  ["application/octet-stream", "bytea"],
])("%s is a %s as it came", (contentType, type) => {
  const bytes = Buffer.from([0, 255, 65]);
  expect(parsePayload(bytes, { contentType, hasColumns: false, forRoutine: true })).toEqual({
    kind: "raw",
    type,
    mediaType: contentType,
    bytes,
  });
});

test("any other type is named, to be refused where it matters", () => {
  expect(parse("x", "Application/YAML; a=b")).toEqual({ kind: "unsupported", mediaType: "application/yaml" });
});
