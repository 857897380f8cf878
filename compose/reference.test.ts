import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { printReference, REFERENCE_PATH } from "./reference.ts";

test("the committed reference is what the catalogues print", () => {
  const committed = readFileSync(resolve(import.meta.dirname, "..", REFERENCE_PATH), "utf8");
  expect(committed, "run: npm run reference:print").toBe(printReference());
});

test("every variable has a meaning", () => {
  expect(printReference()).not.toMatch(/^\| `[A-Z_]+` \|[^|]*\|\s*\|$/m);
});
