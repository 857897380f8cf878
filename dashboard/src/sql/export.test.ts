import { expect, test } from "vitest";
import { toCsv, toJson, toMarkdown } from "./export.ts";

const grid = {
  columns: [{ name: "id" }, { name: "a,b" }, { name: "id" }],
  rows: [
    ["9007199254740993", null, ""],
    [1, 'say "hi"\nthere', { a: [1] }],
  ],
};

test("CSV tells NULL from an empty text and quotes what needs it", () => {
  expect(toCsv(grid)).toBe('id,"a,b",id\r\n9007199254740993,,""\r\n1,"say ""hi""\nthere","{""a"":[1]}"\r\n');
});

test("JSON loses no column that shares its name, and no digit", () => {
  expect(JSON.parse(toJson(grid))).toEqual([
    { id: "9007199254740993", "a,b": null, id_2: "" },
    { id: 1, "a,b": 'say "hi"\nthere', id_2: { a: [1] } },
  ]);
});

test("Markdown keeps its columns apart", () => {
  expect(toMarkdown({ columns: [{ name: "x" }], rows: [["a|b"]] })).toBe("| x |\n| --- |\n| a\\|b |\n");
});
