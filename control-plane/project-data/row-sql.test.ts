import { expect, test } from "vitest";
import { behindSql, filterSql, Parameters, quoteName } from "./row-sql.ts";

test("a hostile name is one quoted name", () => {
  expect(quoteName('a"; drop table x; --')).toBe('"a""; drop table x; --"');
});

test("values are parameters, never text of the statement", () => {
  const parameters = new Parameters();
  expect(
    filterSql(
      [
        { column: "a", operator: "EQ", value: "' or 1=1 --" },
        { column: "b", operator: "IS_NULL", value: null },
      ],
      parameters,
    ),
  ).toEqual(['t."a" = $1', 't."b" is null']);
  expect(parameters.values).toEqual(["' or 1=1 --"]);
});

test("a place in an order without nulls is one comparison of rows, which an index serves", () => {
  const order = [
    { column: "a", isDescending: false },
    { column: "b", isDescending: false },
  ];
  expect(behindSql(order, new Set(["a", "b"]), ["1", "2"], new Parameters())).toBe('(t."a", t."b") > ($1, $2)');
});

test("nulls come last when ascending and first when descending", () => {
  const asc = [{ column: "a", isDescending: false }];
  const desc = [{ column: "a", isDescending: true }];
  expect(behindSql(asc, new Set(), ["1"], new Parameters())).toBe('(((t."a" > $1 or t."a" is null)))');
  expect(behindSql(asc, new Set(), [null], new Parameters())).toBe("((false))");
  expect(behindSql(desc, new Set(), [null], new Parameters())).toBe('((t."a" is not null))');
});
