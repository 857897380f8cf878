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

test("what is a third alike is suggested, however short the names are", () => {
  expect(fuzzyMatches(["tags"], "places")).toEqual([{ text: "tags", score: expect.closeTo(1 / 3) }]);
  expect(fuzzyMatches(["tag"], "places")).toEqual([]);
});

test("parameter lists that are far too long are not looked into", () => {
  const lists = Array.from({ length: 500 }, (_, index) => `(${`parameter${index}, `.repeat(2000)})`);
  expect(fuzzyMatches([...lists.slice(1), "(parameter)"], "(parameters)")).toMatchObject([{ text: "(parameter)" }]);
});
