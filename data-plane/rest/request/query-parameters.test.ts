import { expect, test } from "vitest";
import { parseQueryParameters } from "./query-parameters.ts";
import { shapeOfQuery } from "./shape.ts";

const parse = (query: string, takesArguments = false) =>
  parseQueryParameters(shapeOfQuery(query, takesArguments).pairs);

test("parameters of embeds carry their path", () => {
  const query = parse("a.b.id=eq.1&a.order=id&a.b.limit=3&a.offset=2&a.not.or=(x.eq.1)&and=(y.eq.2)");
  expect(query.filters).toMatchObject([{ path: ["a", "b"], value: { field: { name: "id" } } }]);
  expect(query.order).toMatchObject([{ path: ["a"] }]);
  expect(query.pages).toEqual([
    { path: ["a", "b"], value: { limit: 3, offset: null } },
    { path: ["a"], value: { limit: null, offset: { kind: "slot", index: 1 } } },
  ]);
  expect(query.logic).toMatchObject([
    { path: ["a"], value: { negated: true, operator: "or" } },
    { path: [], value: { negated: false, operator: "and" } },
  ]);
});

test("not.and at the root is a negation, not an embed", () => {
  expect(parse("not.and=(a.eq.1)").logic).toMatchObject([{ path: [], value: { negated: true } }]);
});

test("quoted names may hold what otherwise separates", () => {
  expect(parse('"a.b"."c,d"=eq.1').filters).toMatchObject([{ path: ["a.b"], value: { field: { name: "c,d" } } }]);
});

test("the first select counts, and arguments keep their repeats", () => {
  const query = parse("select=a&select=b&v=1&v=2", true);
  expect(query.select).toMatchObject([{ field: { name: "a" } }]);
  expect(query.routineArguments.map(({ name }) => name)).toEqual(["v", "v"]);
});

test("a negative limit is refused", () => {
  expect(() => parse("a.limit=-1")).toThrow(expect.objectContaining({ code: "PGRST103" }));
});

test("a blank on_conflict is told by its name", () => {
  expect(() => parse("on_conflict=")).toThrow(
    expect.objectContaining({ message: '"failed to parse on_conflict parameter ()" (line 1, column 1)' }),
  );
});
