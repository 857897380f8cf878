import fc from "fast-check";
import { expect, test } from "vitest";
import { aliasOf, castType, quoteIdentifier, quoteLiteral, SqlWriter } from "./sql.ts";

test("whatever a name holds, it is one identifier", () => {
  fc.assert(
    fc.property(fc.string(), (name) => {
      const quoted = quoteIdentifier(name);
      expect(quoted).toMatch(/^"([^"\0]|"")*"$/);
    }),
  );
});

test("whatever a constant holds, it is one constant, with and without standard_conforming_strings", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("a", "'", "\\", "\0", '"') }), (text) => {
      expect(quoteLiteral(text)).toMatch(/^(?:'(?:[^'\\\0]|'')*'| E'(?:[^'\\\0]|''|\\\\)*')$/);
    }),
  );
});

test("a cast is a type the grammar knows or a quoted name, never more words", () => {
  expect(castType("INT")).toBe("integer");
  expect(castType("double  precision")).toBe("double precision");
  expect(castType("MyType")).toBe('"mytype"');
  expect(castType("text from pg_authid")).toBe('"text from pg_authid"');
  expect(castType("constructor")).toBe('"constructor"');
});

test("an alias keeps its suffix within what PostgreSQL keeps of a name", () => {
  const alias = aliasOf("ü".repeat(60), 12);
  expect(Buffer.byteLength(alias)).toBeLessThanOrEqual(63);
  expect(alias.endsWith("_12")).toBe(true);
});

test("parameters are numbered in the order they are made", () => {
  const writer = new SqlWriter();
  expect([writer.value({ kind: "text", text: "a" }), writer.parameter({ kind: "body" })]).toEqual(["$1", "$2"]);
  expect(writer.bindings).toHaveLength(2);
});
