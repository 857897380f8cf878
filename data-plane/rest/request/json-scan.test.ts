import fc from "fast-check";
import { expect, test } from "vitest";
import { firstBracket, outlineOfJson } from "./json-scan.ts";

const outline = (text: string) => outlineOfJson(Buffer.from(text));

test.each([
  ['{"a":1,"b":[{"c":2}]}', { kind: "object", keys: ["a", "b"] }],
  ['{"\\u0061":1,"a":2}', { kind: "object", keys: ["a"] }],
  ["[]", { kind: "array", length: 0, keys: [], uniform: true }],
  ['[{"a":1},{"a":2}]', { kind: "array", length: 2, keys: ["a"], uniform: true }],
  ['[{"a":1,"b":2},{"b":1,"a":2}]', { kind: "array", length: 2, keys: ["a", "b"], uniform: true }],
  ['[{"a":1},{"b":2}]', { kind: "array", length: 2, keys: ["a"], uniform: false }],
  ['[{"a":1},{"a":2,"b":2}]', { kind: "array", length: 2, keys: ["a"], uniform: false }],
  ['[{"a":1},2]', { kind: "array", length: 2, keys: ["a"], uniform: false }],
  [' "text" ', { kind: "scalar" }],
])("%s", (text, expected) => {
  expect(outline(text)).toEqual(expected);
});

test.each(["", "{", '{"a"}', '{"a":}', "[1,]", "01", "1.", "-", "nul", '"\\x"', '"\\u12"', '"\n"', "{} x", "[}"])(
  "%j is no JSON",
  (text) => {
    expect(outline(text)).toBe(null);
  },
);

test("agrees with JSON.parse on what is JSON", () => {
  fc.assert(fc.property(fc.json(), (text) => outline(text) !== null));
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'[]{}",:\\truefalsn0123.eE+-u \n') }), (text) => {
      let valid = true;
      try {
        JSON.parse(text);
      } catch {
        valid = false;
      }
      return (outline(text) !== null) === valid;
    }),
    { numRuns: 2000 },
  );
});

test("keys are those JSON.parse finds", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (object) => {
      const found = outline(JSON.stringify(object));
      expect(found?.kind === "object" && new Set(found.keys)).toEqual(new Set(Object.keys(object)));
    }),
  );
});

test("nesting without end is refused before the stack is", () => {
  expect(outline("[".repeat(1_000_000))).toBe(null);
  expect(outline('{"a":'.repeat(1_000_000))).toBe(null);
});

test("the first bracket is found without reading on", () => {
  expect(firstBracket(Buffer.from(" \n[broken"))).toBe("array");
  expect(firstBracket(Buffer.from("{"))).toBe("object");
  expect(firstBracket(Buffer.from(""))).toBe("other");
});
