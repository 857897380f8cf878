import { expect, test } from "vitest";
import { fuzzyMatches } from "./fuzzy.ts";

test("the nearest name comes first", () => {
  expect(fuzzyMatches(["projects", "project_invoices", "clients"], "projeckts").map(({ text }) => text)[0]).toBe(
    "projects",
  );
});

test("the case of letters does not count", () => {
  expect(fuzzyMatches(["Projects"], "projects")).toEqual([{ text: "Projects", score: 1 }]);
});

test("nothing is better than something far off", () => {
  expect(fuzzyMatches(["projects"], "x")).toEqual([]);
  expect(fuzzyMatches([], "projects")).toEqual([]);
});
