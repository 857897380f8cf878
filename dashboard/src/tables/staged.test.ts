import { expect, test } from "vitest";
import { countStaged, NOTHING, stageCell, stageDelete, stageInsert, toInput, toSql } from "./staged.ts";

const key = { id: "1" };

test("a cell that gets its old value back is no change", () => {
  const once = stageCell(NOTHING, key, "a", "x", "y");
  const twice = stageCell(once, key, "a", "y", "z");
  expect(toInput(twice).updates).toEqual([{ key, old: { a: "x" }, new: { a: "z" } }]);
  expect(stageCell(twice, key, "a", "z", "x")).toEqual(NOTHING);
});

test("NULL and the empty text are two values", () => {
  expect(countStaged(stageCell(NOTHING, key, "a", null, ""))).toBe(1);
});

test("a deleted row is not changed before; a second press takes the mark away", () => {
  const both = stageDelete(stageCell(NOTHING, key, "a", "x", "y"), key);
  expect(toInput(both)).toEqual({ inserts: [], updates: [], deletes: [key] });
  expect(toInput(stageDelete(both, key)).updates).toHaveLength(1);
});

test("the SQL that is shown quotes names and values", () => {
  const staged = stageInsert(stageCell(NOTHING, { 'i"d': "o'1" }, "a", "x", null), {});
  expect(toSql("public", "t", staged)).toBe(
    `update "public"."t" set "a" = null where "i""d" = 'o''1';\ninsert into "public"."t" default values;`,
  );
});
