import { expect, test } from "vitest";
import { toCsv } from "./csv.ts";

test("separators, quotes and line ends stay inside their field", () => {
  expect(toCsv([["a,b", 'say "x"', "two\nlines", "plain"]])).toBe('"a,b","say ""x""","two\nlines",plain\r\n');
});

test.each(["=1+1", "+1", "-1", "@cmd", "\tx"])("%j is no formula in a spreadsheet", (text) => {
  expect(toCsv([[text]])).toMatch(/^"?'/);
});
