/** A JSON body as rows with typed columns. The body itself is one parameter, whatever it holds. */

import type { QualifiedName } from "../schema-cache/types.ts";
import { quoteIdentifier, quoteLiteral, quoteQualified, type SqlWriter } from "./sql.ts";

export interface PayloadColumn {
  readonly name: string;
  /** Type of a column definition list. */
  readonly type: string;
  /** Function that makes the column's domain of JSON; null when the type itself does. */
  readonly parse: QualifiedName | null;
  /** Function that makes JSON of the column's domain, which `parse` takes back; null when the type itself does. */
  readonly format: QualifiedName | null;
  /** Used for elements that lack the key, when wanted. */
  readonly defaultExpression: string | null;
}

export interface PayloadRows {
  readonly shape: "object" | "array";
  readonly columns: readonly PayloadColumn[];
  /** `Prefer: missing=default` */
  readonly defaults: boolean;
  /** Only the first element. */
  readonly firstOnly: boolean;
}

/** A FROM item under the alias given. */
export function payloadRows(writer: SqlWriter, rows: PayloadRows, alias: string): string {
  const body = `${writer.parameter({ kind: "body" })}::json`;
  if (rows.columns.length === 0) return emptyRows(rows, body, alias);
  const definitions = rows.columns.map(({ name, type, parse }) => `${quoteIdentifier(name)} ${parse ? "json" : type}`);
  const call = `${rows.defaults ? withDefaults(rows, body) : withoutDefaults(rows, body)} AS ${alias}(${definitions.join(", ")})`;
  return rows.firstOnly && rows.shape === "array" ? `(SELECT * FROM ${call} LIMIT 1) AS ${alias}` : call;
}

/** The values of a row, in order of the columns. */
export function payloadValues(rows: PayloadRows, alias: string): readonly string[] {
  return rows.columns.map(({ name, parse }) => {
    const value = `${alias}.${quoteIdentifier(name)}`;
    return parse ? `${quoteQualified(parse)}(${value})` : value;
  });
}

function emptyRows({ shape, firstOnly }: PayloadRows, body: string, alias: string): string {
  if (shape === "object") return `(SELECT ${body}) AS ${alias}`;
  return `(SELECT FROM json_array_elements(${body})${firstOnly ? " LIMIT 1" : ""}) AS ${alias}`;
}

function withoutDefaults({ shape }: PayloadRows, body: string): string {
  return shape === "object" ? `json_to_record(${body})` : `json_to_recordset(${body})`;
}

/** Each element over an object of the defaults, so that keys it lacks are filled in. */
function withDefaults({ shape, columns }: PayloadRows, body: string): string {
  const pairs = columns.flatMap(({ name, type, parse, format, defaultExpression }) => {
    if (defaultExpression === null) return [];
    const value = parse && format ? `${quoteQualified(format)}((${defaultExpression})::${type})` : defaultExpression;
    return [`${quoteLiteral(name)}, ${value}`];
  });
  const defaults = `jsonb_build_object(${pairs.join(", ")})`;
  if (shape === "object") return `jsonb_to_record(${defaults} || ${body}::jsonb)`;
  const elements = `SELECT jsonb_agg(${defaults} || "element") FROM jsonb_array_elements(${body}::jsonb) AS "element"`;
  return `jsonb_to_recordset((${elements}))`;
}
