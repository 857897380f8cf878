import { expect, test } from "vitest";
import { decodeComponent, shapeOfQuery } from "./shape.ts";

test("queries that differ only in values have one shape", () => {
  const first = shapeOfQuery("id=eq.7&select=name&offset=0", false);
  const second = shapeOfQuery("id=eq.8&select=name&offset=20", false);
  expect(second.key).toBe(first.key);
  expect(first.slots).toEqual(["7", "0"]);
  expect(second.slots).toEqual(["8", "20"]);
});

test.each([
  ["another operator", "id=gt.7"],
  ["a negation", "id=not.eq.7"],
  ["another column", "key=eq.7"],
  ["another language", "id=fts(de).7"],
  ["a value that is part of the operator", "id=is.null"],
  ["no operator at all", "id=7"],
  ["more columns", "id=eq.7&select=name"],
  ["another limit", "id=eq.7&limit=1"],
])("%s is another shape", (_, query) => {
  expect(shapeOfQuery(query, false).key).not.toBe(shapeOfQuery("id=eq.7", false).key);
});

test("nothing in a value can make it pass for another shape", () => {
  expect(shapeOfQuery("id=eq.7%26select=name", false).key).toBe(shapeOfQuery("id=eq.7", false).key);
  expect(shapeOfQuery("id=eq.%00", false).slots).toEqual(["\0"]);
});

test("what is no filter is an argument where a function is called", () => {
  expect(shapeOfQuery("a=1&b=eq.2", true)).toMatchObject({
    pairs: [
      { kind: "argument", name: "a", slot: 0 },
      { kind: "filter", name: "b", slot: 1 },
    ],
    slots: ["1", "2"],
  });
});

test.each([
  ["a+b", "a b"],
  ["%C3%A9", "é"],
  ["100%", "100%"],
  ["%zz%41", "%zzA"],
  ["%ff", "\uFFFD"],
])("%s is decoded to %s", (raw, text) => {
  expect(decodeComponent(raw)).toBe(text);
});
