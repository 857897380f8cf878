import { expect, test } from "vitest";
import { formatFields, formatTable } from "./output.ts";

test("fields are aligned on their values", () => {
  expect(
    formatFields([
      ["URL", "a"],
      ["anon key", "b"],
    ]),
  ).toBe("  URL       a\n  anon key  b");
});

test("a table pads every column but the last", () => {
  expect(formatTable(["REF", "NAME"], [["abcdef", "x"]])).toBe("REF     NAME\nabcdef  x");
});
