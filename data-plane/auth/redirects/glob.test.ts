import { expect, test } from "vitest";
import { compileGlob, globBudget } from "./glob.ts";

test("a pattern that keeps many positions open is given up instead of being followed for ever", () => {
  const glob = compileGlob(`https://${"**?".repeat(160)}x`);
  const url = `https://${"a".repeat(4_000)}`;
  for (let count = 0; count < 100; count += 1) expect(glob?.(url)).toBe(false);
});

test("all patterns of a list share what may be spent on one text", () => {
  const budget = globBudget();
  const glob = compileGlob("https://**/**/**");
  let matched = 0;
  for (let count = 0; count < 100; count += 1) if (glob?.(`https://a/${"b".repeat(2_000)}/c`, budget)) matched += 1;
  expect(matched).toBeGreaterThan(0);
  expect(matched).toBeLessThan(100);
  expect(glob?.("https://a/b/c")).toBe(true);
});
