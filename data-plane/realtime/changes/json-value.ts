/**
 * Values in PostgreSQL's text format as JSON, as `to_jsonb` writes them. Digits are passed on as they are: a JavaScript
 * number would lose some.
 */

/** How values of a type become JSON; `sql`: only the database can tell. */
export type Conversion =
  | { readonly kind: "number" | "boolean" | "json" | "timestamp" | "timestamptz" | "bytea" | "string" | "sql" }
  | { readonly kind: "array"; readonly element: Conversion; readonly delimiter: string };

const BUILT_IN: Readonly<Record<string, Conversion["kind"]>> = {
  int2: "number",
  int4: "number",
  int8: "number",
  numeric: "number",
  float4: "number",
  float8: "number",
  bool: "boolean",
  json: "json",
  jsonb: "json",
  timestamp: "timestamp",
  timestamptz: "timestamptz",
  bytea: "bytea",
};

export function builtInConversion(typeName: string): Conversion {
  return { kind: (BUILT_IN[typeName] ?? "string") as "string" };
}

/** @returns JSON text. For `sql` the text as a JSON string. */
export function toJson(conversion: Conversion, text: string): string {
  switch (conversion.kind) {
    case "number":
      // Not a number in JSON either.
      return /^-?\d/.test(text) ? text : "null";
    case "boolean":
      return text === "t" ? "true" : "false";
    case "json":
      return text;
    case "timestamp":
      return JSON.stringify(isoTime(text));
    case "timestamptz":
      return JSON.stringify(isoTime(text).replace(/([+-]\d\d)$/, "$1:00"));
    case "bytea":
      return JSON.stringify(text.startsWith("\\x") ? text.slice(2) : text);
    case "array":
      return arrayToJson(conversion.element, conversion.delimiter, text);
    default:
      return JSON.stringify(text);
  }
}

function isoTime(text: string): string {
  return text.replace(/^(\d+-\d\d-\d\d) /, "$1T");
}

/** `{1,NULL,"a,b"}`, nested for dimensions, perhaps with bounds in front: `[0:1]={1,2}`. */
function arrayToJson(element: Conversion, delimiter: string, text: string): string {
  let at = text.indexOf("{");
  let json = "";
  while (at < text.length) {
    const character = text[at] as string;
    if (character === "{") json += "[";
    else if (character === "}") json += "]";
    else if (character === delimiter) json += ",";
    else {
      const { value, end } = readElement(text, at, delimiter);
      json += value === null ? "null" : toJson(element, value);
      at = end;
      continue;
    }
    at += 1;
  }
  return json;
}

function readElement(text: string, from: number, delimiter: string): { value: string | null; end: number } {
  if (text[from] !== '"') {
    let end = from;
    while (end < text.length && text[end] !== delimiter && text[end] !== "}") end += 1;
    const value = text.slice(from, end);
    return { value: value === "NULL" ? null : value, end };
  }
  let value = "";
  let at = from + 1;
  while (at < text.length && text[at] !== '"') {
    if (text[at] === "\\") at += 1;
    value += text[at];
    at += 1;
  }
  return { value, end: at + 1 };
}
