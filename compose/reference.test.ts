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

test("every variable that holds a secret can be given as a file, so that no environment shows it", () => {
  const names = [...printReference().matchAll(/^\| `([A-Z0-9_]+)`( or `\1_FILE`)? \|/gm)];
  const secrets = names.filter(([, name = ""]) => /(?:TOKEN|PASSWORD|SECRET|KEYS|ACCESS_KEY|DATABASE_URL)$/.test(name));
  expect(secrets.length).toBeGreaterThan(8);
  expect(secrets.filter(([, , file]) => file === undefined).map(([, name]) => name)).toEqual([]);
});
