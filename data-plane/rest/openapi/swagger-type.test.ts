import { expect, test } from "vitest";
import type { Column } from "../schema-cache/types.ts";
import { defaultValue, queryType, swaggerType } from "./swagger-type.ts";

test.each([
  ["integer", { type: "integer", format: "int32" }],
  ["bigint", { type: "integer", format: "int64" }],
  ["numeric", { type: "number", format: "numeric" }],
  ["text", { type: "string", format: "text" }],
  ["jsonb", { format: "jsonb" }],
  ["integer[]", { type: "array", format: "integer[]", items: { type: "integer" } }],
  ["json[]", { type: "array", format: "json[]", items: {} }],
])("%s", (type, expected) => {
  expect(swaggerType(type)).toEqual(expected);
});

test("in a query an array is text, and so is JSON", () => {
  expect([queryType("text[]"), queryType("json")]).toEqual([
    { type: "string", format: "text[]" },
    { type: "string", format: "json" },
  ]);
});

const column = (baseType: string, defaultExpression: string | null): Column => ({
  name: "c",
  type: baseType,
  baseType,
  maxLength: null,
  nullable: true,
  defaultExpression,
  enumLabels: [],
  comment: null,
  domain: null,
});

test.each([
  ["text", "'it''s'::text", "it's"],
  ["time without time zone", "'13:00:00'::time without time zone", "13:00:00"],
  ["integer", "42", 42],
  ["boolean", "false", false],
  ["numeric", "'-1.5'::numeric", -1.5],
  ["integer", "nextval('s'::regclass)", undefined],
  ["text", null, undefined],
])("a %s with default %s", (type, expression, value) => {
  expect(defaultValue(column(type, expression))).toEqual(value);
});
