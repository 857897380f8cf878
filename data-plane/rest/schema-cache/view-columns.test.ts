import { expect, test } from "vitest";
import { viewColumnsOf } from "./view-columns.ts";

const entry = (number: number, table: number, column: number, expression = "{VAR :varno 1}", junk = false) =>
  `{TARGETENTRY :expr ${expression} :resno ${number} :resname c :ressortgroupref 0 :resorigtbl ${table} :resorigcol ${column} :resjunk ${junk}}`;

test("columns are read from the outermost query only", () => {
  const inner = `{QUERY :targetList (${entry(1, 99, 9)}) :x}`;
  const tree = `({QUERY :rtable ({RTE :subquery ${inner}}) :targetList (${entry(1, 5, 2)} ${entry(2, 6, 1, `{SUBLINK :subselect ${inner}}`)}) :returningList <>})`;
  expect(viewColumnsOf(tree)).toEqual([
    { number: 1, originRelation: 5, originColumn: 2 },
    { number: 2, originRelation: 6, originColumn: 1 },
  ]);
});

test("computed and hidden columns have no origin", () => {
  const tree = `({QUERY :targetList (${entry(1, 0, 0)} ${entry(2, 5, 1, "{VAR}", true)}) :x})`;
  expect(viewColumnsOf(tree)).toEqual([]);
});

test("escaped braces in names do not count", () => {
  const tree = `({QUERY :alias a\\}\\{b :targetList (${entry(1, 5, 2)}) :x})`;
  expect(viewColumnsOf(tree)).toHaveLength(1);
});
