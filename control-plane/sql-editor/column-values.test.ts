import { expect, test } from "vitest";
import { jsonOfText } from "./column-values.ts";

test.each([
  ["t", 16, true],
  ["f", 16, false],
  ["42", 23, 42],
  ["1.5", 701, 1.5],
  ["NaN", 701, "NaN"],
  ["9007199254740993", 20, "9007199254740993"],
  ["0.10", 1700, "0.10"],
  ['{"a":[1]}', 3802, { a: [1] }],
  ["{1,2}", 1007, "{1,2}"],
  ["\u0001{}", 3802, "\u0001{}"], // jsonb as a binary cursor sends it
])("%s of type %i becomes %j", (text, oid, expected) => {
  expect(jsonOfText(text, oid)).toEqual(expected);
});
