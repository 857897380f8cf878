import fc from "fast-check";
import { expect, test } from "vitest";
import { csvToObjects, parseCsv } from "./csv.ts";

test("the first line names the columns; NULL is null and nothing is empty text", () => {
  expect(JSON.parse(csvToObjects("a,b\nNULL,\n1,x\n")?.json ?? "")).toEqual([
    { a: null, b: "" },
    { a: "1", b: "x" },
  ]);
});

test("quotes hold separators, line breaks and doubled quotes", () => {
  expect(parseCsv('"a,b","c""d"\r\n"e\nf",g')).toEqual([
    ["a,b", 'c"d'],
    ["e\nf", "g"],
  ]);
});

test("a trailing comma is one more empty field", () => {
  expect(parseCsv("a,b,\n1,2,\n3,4,")).toEqual([
    ["a", "b", ""],
    ["1", "2", ""],
    ["3", "4", ""],
  ]);
});

test("uneven lines are refused", () => {
  expect(csvToObjects("a,b\n1")).toBe(null);
});

test("what is written is read back", () => {
  const cell = fc.string().map((text) => text.replaceAll("\r", ""));
  fc.assert(
    fc.property(fc.array(fc.array(cell, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 5 }), (rows) => {
      const text = rows.map((row) => row.map((field) => `"${field.replaceAll('"', '""')}"`).join(",")).join("\n");
      expect(parseCsv(text)).toEqual(rows);
    }),
  );
});

test("a key that names a prototype is a key", () => {
  expect(csvToObjects("__proto__\nx")?.json).toBe('[{"__proto__":"x"}]');
});
