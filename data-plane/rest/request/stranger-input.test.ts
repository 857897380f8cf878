/** Bugs that a fuzzer found in the parsers; each stays found. */
import { expect, test } from "vitest";
import { fuzzyMatches } from "../plan/fuzzy.ts";
import { aliasOf } from "../query/sql.ts";
import { parseCsv } from "./csv.ts";
import { outlineOfJson } from "./json-scan.ts";
import { parsePreferences } from "./preferences.ts";

/** Far above what linear work takes and far below what quadratic work took. */
const LINEAR_MS = 2_000;

test("a body whose every element differs from the first is looked over in linear time", { timeout: LINEAR_MS }, () => {
  const first = Object.fromEntries(Array.from({ length: 4_000 }, (_, n) => [`k${n}`, 1]));
  const body = `[${JSON.stringify(first)}${",{}".repeat(100_000)}]`;
  expect(outlineOfJson(Buffer.from(body))).toMatchObject({ kind: "array", length: 100_001, uniform: false });
});

test("elements with the same keys in another order are uniform, whatever their escapes", () => {
  expect(outlineOfJson(Buffer.from('[{"a":1,"b":2},{"b":3,"\\u0061":4}]'))).toMatchObject({ uniform: true });
  expect(outlineOfJson(Buffer.from('[{"a":1,"b":2},{"b":3,"c":4}]'))).toMatchObject({ uniform: false });
});

test.each([
  ["h\na\rbc", [["h"], ["a\rbc"]]],
  ['h\n"a"xyz', [["h"], ["axyz"]]],
  [
    'a,b\r\n1,"x ""y"""\r\n',
    [
      ["a", "b"],
      ["1", 'x "y"'],
    ],
  ],
  [
    "a,b\n1,\n",
    [
      ["a", "b"],
      ["1", ""],
    ],
  ],
])("no character of the CSV text %j is lost", (text, rows) => {
  expect(parseCsv(text)).toEqual(rows);
});

test("a preference without a value is no preference", () => {
  expect(parsePreferences("timezones")).toMatchObject({ timezone: null, invalid: ["timezones"] });
});

test("aliases stay apart and short, whatever names they are made of", { timeout: LINEAR_MS }, () => {
  expect(aliasOf("x\0y", 1)).toBe("x_1");
  expect(aliasOf("é".repeat(200_000), 12).length).toBeLessThan(64);
});

test("no hint is worked out for a name that is none", { timeout: LINEAR_MS }, () => {
  expect(fuzzyMatches(["items"], "x".repeat(100_000))).toEqual([]);
});
