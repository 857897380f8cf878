import { describe, expect, test } from "vitest";
import { InvalidJsonPath, parseJsonPath } from "./json-path.ts";

const VALUE = {
  list: ["a", "b", "c", "d"],
  "odd key": { "☺": 1, "it's": 2 },
  people: [
    { name: "Ann", age: 30, tags: ["x"] },
    { name: "Bob", age: 40, tags: [] },
    { name: "Cy", boss: null, tags: ["x", "y"] },
  ],
  limit: 35,
  nested: { name: "deep", more: { name: "deeper" } },
};

test.each<[string, unknown[]]>([
  ["$", [VALUE]],
  ["$.list[0]", ["a"]],
  ["$.list[-1]", ["d"]],
  ["$.list[9]", []],
  ["$.list[1:3]", ["b", "c"]],
  ["$.list[::2]", ["a", "c"]],
  ["$.list[-2:]", ["c", "d"]],
  ["$.list[::-1]", ["d", "c", "b", "a"]],
  ["$.list[2:0:-1]", ["c", "b"]],
  ["$.list[ : : 0 ]", []],
  ["$.list[0, -1, 1:2]", ["a", "d", "b"]],
  ["$ .list [*]", ["a", "b", "c", "d"]],
  ["$['odd key']['☺', \"it's\"]", [1, 2]],
  ["$['odd key']['it\\'s']", [2]],
  ["$['odd key']['\\u263a']", [1]],
  ["$..name", ["Ann", "Bob", "Cy", "deep", "deeper"]],
  ["$.nested..*", ["deep", { name: "deeper" }, "deeper"]],
  ["$.people[?@.age > 30].name", ["Bob"]],
  ["$.people[?@.age<=30 || @.name=='Cy'].name", ["Ann", "Cy"]],
  ["$.people[?@.age && !(@.age == 40)].name", ["Ann"]],
  ["$.people[?!@.age].name", ["Cy"]],
  ["$.people[?@.boss == null].name", ["Cy"]],
  ["$.people[?@.age == @.none].name", ["Cy"]],
  ["$.people[?@.age > $.limit].name", ["Bob"]],
  ["$.people[?@.tags == $.people[0].tags].name", ["Ann"]],
  ["$.people[?@.tags[?@ == 'y']].name", ["Cy"]],
  ["$.people[?search(@.name, '^[AB]')].name", ["Ann", "Bob"]],
  ["$.people[?(@.name != 'Ann' && (@.age >= 4e1 || @.age < 1))].name", ["Bob"]],
  ["$.list[?@ >= 'c']", ["c", "d"]],
  ["$.toString", []],
])("%s", (path, nodes) => {
  expect(parseJsonPath(path)(VALUE)).toEqual(nodes);
});

test.each([
  "",
  "a",
  "$.",
  "$..",
  "$.a.",
  "$[",
  "$[]",
  "$['a'",
  "$[1,]",
  "$[?]",
  "$[?'a']",
  "$[?@.a ==]",
  "$[?length(@) > 1]",
  "$[?search(@, '(')]",
  "$[?search(@, '(?=a)')]",
  "$[?search(@, '(a{1000}){1000}')]",
  "$[?search(@, '(((a{10}){10}){10})')]",
  "$[?search(@, $.pattern)]",
  "$ ",
  `$${".a".repeat(1000)}`,
  `$[?${"(".repeat(100)}@${")".repeat(100)}]`,
  "$[?@".repeat(50) + "]".repeat(50),
])("%j is no path", (path) => {
  expect(() => parseJsonPath(path)).toThrow(InvalidJsonPath);
});

test("a path that looks at everything over and over leads nowhere", () => {
  const value = { a: Array.from({ length: 200 }, (_, index) => [[index]]) };
  expect(parseJsonPath("$..*")(value)).toHaveLength(601);
  for (const path of [`$${"..*".repeat(8)}`, `$.a[${"*,".repeat(500)}*]..[${"*,".repeat(4)}*]`]) {
    expect(parseJsonPath(path)(value)).toEqual([]);
  }
});

test("so does one into a value that is nested without end", () => {
  const value: unknown = JSON.parse(`${"[".repeat(50_000)}${"]".repeat(50_000)}`);
  expect(parseJsonPath("$..role")(value)).toEqual([]);
  expect(parseJsonPath("$[?@ == $[0]]")(value)).toEqual([]);
});

describe("a pattern that a backtracking engine would take years over", () => {
  const text = `${"a".repeat(1_000)}!`;
  test.each(["(a|a)".repeat(40), "(a+)+$", "(a|aa)+$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(.*)*x"])(
    "%s",
    (pattern) => {
      const path = parseJsonPath(`$[?search(@, '${pattern}')]`);
      expect(path([text]).length).toBeLessThanOrEqual(1);
    },
    2_000,
  );

  test("is not asked of more texts than the bound for all allows", () => {
    const path = parseJsonPath("$..[?search(@, '(a|a|a|a|a|a|a|a){20}b')]");
    expect(path(Array.from({ length: 50_000 }, () => "a".repeat(1_000)))).toEqual([]);
  });
});

test("comparing whole values over and over counts as well", () => {
  const value = Array.from({ length: 2_000 }, () => Array.from({ length: 100 }, (_, index) => index));
  expect(parseJsonPath("$[?@ == $[0]]")(value)).toEqual([]);
});
