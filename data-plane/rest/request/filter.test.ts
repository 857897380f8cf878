import { expect, test } from "vitest";
import { ParseFailure } from "./cursor.ts";
import { arrayLiteral, arrayLiteralOfList, operatorLength, parseLogic, parseOperation } from "./filter.ts";

test.each([
  ["eq.5", 3],
  ["not.eq.5", 7],
  ["fts(english).x", 13],
  ["like(any).{a}", 10],
  ["isdistinct.1", 11],
  ["5", 0],
  ["eq", 0],
  ["neq(all).{1}", 0],
])("the operator of %s takes %i characters", (text, length) => {
  expect(operatorLength(text)).toBe(length);
});

test.each([
  ["eq.5", { negated: false, operation: { kind: "simple", operator: "eq", value: { kind: "text", text: "5" } } }],
  ["not.in.(1,2)", { negated: true, operation: { kind: "in", value: { kind: "text", text: "(1,2)" } } }],
  ["is.NOT_NULL", { negated: false, operation: { kind: "is", value: "not_null" } }],
  [
    "gt(all).{1}",
    {
      negated: false,
      operation: { kind: "quantified", operator: "gt", quantifier: "all", value: { kind: "text", text: "{1}" } },
    },
  ],
  [
    "wfts(de).a b",
    {
      negated: false,
      operation: { kind: "textSearch", operator: "wfts", language: "de", value: { kind: "text", text: "a b" } },
    },
  ],
])("filter %s", (text, expected) => {
  expect(parseOperation(text, null)).toEqual(expected);
});

test.each([
  ["0", 'unexpected "0" expecting "not" or operator (eq, gt, ...)'],
  ["is.nil", 'unexpected "n" expecting isVal: (null, not_null, true, false, unknown)'],
  ["in.1", 'unexpected "1" expecting "("'],
])("filter %s is refused", (text, details) => {
  expect(() => parseOperation(text, null)).toThrow(expect.objectContaining({ code: "PGRST100", details }));
});

test.each([
  ["()", "{}"],
  ["(   )", "{}"],
  ["(1,2)", '{"1","2"}'],
  ['("a,b","c\\"d")', '{"a,b","c\\"d"}'],
  ["(\\)", '{"\\\\"}'],
  ['(a"b)', '{"a\\"b"}'],
  ['("")', '{""}'],
  ["( ,3)", '{"","3"}'],
])("list %s becomes the array %s", (list, literal) => {
  expect(arrayLiteralOfList(list)).toBe(literal);
});

test("what is no list is refused, not guessed", () => {
  expect(() => arrayLiteralOfList("1,2")).toThrow(ParseFailure);
  expect(() => arrayLiteralOfList("(1,2")).toThrow(ParseFailure);
});

test("an array literal quotes everything, so that NULL is text", () => {
  expect(arrayLiteral(["NULL", "{}", "\\"])).toBe('{"NULL","{}","\\\\"}');
});

test("logic nests, negates and keeps quoted values whole", () => {
  expect(parseLogic("not.or", '(a.eq."x,y",and(b.not.is.null,c->>d.in.(1,"2,3")))')).toEqual({
    kind: "group",
    negated: true,
    operator: "or",
    members: [
      {
        kind: "filter",
        field: { name: "a", jsonPath: [] },
        negated: false,
        operation: { kind: "simple", operator: "eq", value: { kind: "text", text: "x,y" } },
      },
      {
        kind: "group",
        negated: false,
        operator: "and",
        members: [
          {
            kind: "filter",
            field: { name: "b", jsonPath: [] },
            negated: true,
            operation: { kind: "is", value: "null" },
          },
          {
            kind: "filter",
            field: { name: "c", jsonPath: [{ kind: "key", key: "d", asText: true }] },
            negated: false,
            operation: { kind: "in", value: { kind: "text", text: '("1","2,3")' } },
          },
        ],
      },
    ],
  });
});

test("a column whose name begins like an operator is a column", () => {
  expect(parseLogic("or", "(android.eq.1,order.eq.2)")).toMatchObject({
    members: [{ field: { name: "android" } }, { field: { name: "order" } }],
  });
});

test("blanks may follow an array within logic", () => {
  expect(parseLogic("or", "(a.like(any).{x*,y*} , b.eq.1)")).toMatchObject({
    members: [{ operation: { value: { text: "{x*,y*}" } } }, { field: { name: "b" } }],
  });
});

test("logic without a condition says what could have stood there", () => {
  expect(() => parseLogic("or", "()")).toThrow(
    expect.objectContaining({
      message: '"failed to parse logic tree (())" (line 1, column 4)',
      details:
        'unexpected ")" expecting field name (* or [a..z0..9_$]), negation operator (not) or logic operator (and, or)',
    }),
  );
});

test.each([
  [")(", 'unexpected ")" expecting "("', 3],
  ["(ord(id.eq.1),id.eq.2)", 'unexpected "d" expecting "("', 6],
  ["(id.in.1,2,id.eq.3)", 'unexpected "1" expecting "("', 10],
])("logic or=%s is refused where it goes wrong", (text, details, column) => {
  expect(() => parseLogic("or", text)).toThrow(
    expect.objectContaining({ details, message: `"failed to parse logic tree (${text})" (line 1, column ${column})` }),
  );
});

test("errors quote whole characters and count them", () => {
  expect(() => parseOperation("😀", null)).toThrow(
    expect.objectContaining({ details: 'unexpected "😀" expecting "not" or operator (eq, gt, ...)' }),
  );
  expect(() => parseLogic("or", "(😀)")).toThrow(
    expect.objectContaining({ details: expect.stringMatching(/^unexpected "😀" expecting/) }),
  );
  expect(() => parseLogic("or", "(a.eq.😀😀,b)")).toThrow(
    expect.objectContaining({ message: expect.stringMatching(/column 13\)$/) }),
  );
});

test("letters beyond the first plane are letters", () => {
  expect(parseLogic("or", "(𐐷.eq.1)")).toMatchObject({ members: [{ field: { name: "𐐷" } }] });
});
