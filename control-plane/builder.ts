/**
 * The schema builder. A feature's `<feature>.graphql.ts` registers its types, queries and mutations here by being
 * imported; schema.ts imports them all. Fields and arguments are non-null unless they say `nullable` or
 * `required: false`. Failures are thrown as UserError (errors.ts), never modelled as result types.
 */
import SchemaBuilder from "@pothos/core";
import ComplexityPlugin from "@pothos/plugin-complexity";
import RelayPlugin from "@pothos/plugin-relay";
import { GraphQLError, Kind, type ValueNode } from "graphql";
import type { GraphqlContext } from "./context.ts";
import { ERROR_CODES } from "./errors.ts";

/**
 * Limits of one document; a dashboard page stays below half of each. A field costs 1, one that asks the database 5 or
 * more (`complexity` of the field), and what lies below a list counts as often as the list has items.
 */
export const QUERY_LIMITS = { depth: 12, breadth: 200, complexity: 20_000 } as const;

export const builder = new SchemaBuilder<{
  Context: GraphqlContext;
  DefaultFieldNullability: false;
  DefaultInputFieldRequiredness: true;
  Scalars: {
    ID: { Input: string; Output: string };
    DateTime: { Input: Date; Output: Date };
    JSON: { Input: unknown; Output: unknown };
  };
  Connection: { totalCount: () => Promise<number> };
}>({
  plugins: [ComplexityPlugin, RelayPlugin],
  defaultFieldNullability: false,
  defaultInputFieldRequiredness: true,
  complexity: { defaultComplexity: 1, defaultListMultiplier: 10 },
  relay: { nodeQueryOptions: false, nodesQueryOptions: false, cursorType: "String" },
});

builder.queryType({ description: "Reads. Everything but `viewer` and `instance` needs a credential." });
builder.mutationType({ description: "Changes. All are recorded in the audit log." });
builder.subscriptionType({ description: "Pushes over server-sent events; each begins with the present state." });

builder.scalarType("DateTime", {
  description: "A point in time, ISO 8601 with time zone: `2026-01-31T12:00:00.000Z`.",
  serialize: (value) => value.toISOString(),
  parseValue: parseDateTime,
});

builder.scalarType("JSON", {
  description: "Any JSON value.",
  serialize: (value) => value,
  parseValue: (value) => value,
  parseLiteral: (node, variables) => jsonOfLiteral(node, variables ?? {}),
});

builder.enumType("ErrorCode", {
  description:
    "What `extensions.code` of an error can be, for every operation. A document that is no GraphQL or does not fit the schema gets GRAPHQL_PARSE_FAILED or GRAPHQL_VALIDATION_FAILED.",
  values: Object.fromEntries(Object.entries(ERROR_CODES).map(([code, description]) => [code, { description }])),
});

function parseDateTime(value: unknown): Date {
  const date = typeof value === "string" ? new Date(value) : null;
  if (!date || Number.isNaN(date.getTime())) throw new GraphQLError("a DateTime is an ISO 8601 text");
  return date;
}

function jsonOfLiteral(node: ValueNode, variables: Record<string, unknown>): unknown {
  switch (node.kind) {
    case Kind.NULL:
      return null;
    case Kind.BOOLEAN:
    case Kind.STRING:
    case Kind.ENUM:
      return node.value;
    case Kind.INT:
    case Kind.FLOAT:
      return Number(node.value);
    case Kind.VARIABLE:
      return variables[node.name.value];
    case Kind.LIST:
      return node.values.map((item) => jsonOfLiteral(item, variables));
    case Kind.OBJECT:
      return Object.fromEntries(node.fields.map((field) => [field.name.value, jsonOfLiteral(field.value, variables)]));
  }
}
