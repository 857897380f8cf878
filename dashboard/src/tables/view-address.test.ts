import { expect, test } from "vitest";
import { formatFilters, formatSort, parseFilters, parseSort, pressSort } from "./view-address.ts";

test("filters and sort are the same in the address and out of it, whatever the columns are called", () => {
  const filters = [{ column: 'a.b",[', operator: "gte", value: "ä=&" }] as const;
  expect(parseFilters(formatFilters(filters))).toEqual(filters);
  const sorts = [{ column: "a,b", descending: true }];
  expect(parseSort(formatSort(sorts))).toEqual(sorts);
});

test.each(["nonsense", "{}", '[["a"]]', '[["a","drop","x"]]', "[1]"])("%s is no filter", (text) => {
  expect(parseFilters(text)).toEqual([]);
});

test("a head is pressed through ascending, descending and none", () => {
  const once = pressSort([], "a", false);
  const twice = pressSort(once, "a", false);
  expect([once, twice, pressSort(twice, "a", false)]).toEqual([
    [{ column: "a", descending: false }],
    [{ column: "a", descending: true }],
    [],
  ]);
  expect(pressSort(once, "b", true)).toHaveLength(2);
});
