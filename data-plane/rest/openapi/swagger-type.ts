/** PostgreSQL types and defaults as OpenAPI 2.0 has them. */
import type { Json } from "../error.ts";
import type { Column } from "../schema-cache/types.ts";

export interface SwaggerType {
  readonly type?: string;
  readonly format: string;
  readonly items?: { readonly type?: string };
}

const TYPES: Readonly<Record<string, { readonly type: string; readonly format?: string }>> = {
  smallint: { type: "integer", format: "int32" },
  integer: { type: "integer", format: "int32" },
  bigint: { type: "integer", format: "int64" },
  numeric: { type: "number" },
  real: { type: "number" },
  "double precision": { type: "number" },
  boolean: { type: "boolean" },
};
/** Any value will do. */
const UNTYPED: ReadonlySet<string> = new Set(["json", "jsonb"]);

/** @param type As the catalogue prints it, without a length. */
export function swaggerType(type: string): SwaggerType {
  if (type.endsWith("[]")) {
    const element = plainType(type.slice(0, -2));
    return { type: "array", format: type, items: element === null ? {} : { type: element } };
  }
  const plain = plainType(type);
  const format = TYPES[type]?.format ?? type;
  return plain === null ? { format } : { type: plain, format };
}

function plainType(type: string): string | null {
  if (UNTYPED.has(type)) return null;
  return TYPES[type]?.type ?? "string";
}

/** In a query string an array is its literal and JSON is text. */
export function queryType(type: string): { readonly type: string; readonly format: string } {
  const { type: found, format } = swaggerType(type);
  return { type: found === undefined || found === "array" ? "string" : found, format };
}

const TYPED_LITERAL = /^'((?:[^']|'')*)'::[\w ".]+(?:\(\d+\))?$/;

/** A column's default as a JSON value; undefined when there is none or it is computed. */
export function defaultValue(column: Column): Json | undefined {
  const expression = column.defaultExpression;
  if (expression === null) return undefined;
  const literal = TYPED_LITERAL.exec(expression)?.[1]?.replaceAll("''", "'");
  if (swaggerType(column.baseType).type === "string") return literal ?? expression;
  try {
    return JSON.parse(literal ?? expression) as Json;
  } catch {
    return undefined;
  }
}
