/** Text of statements: quoting, and parameters that are numbered as they are used. */
import type { ValueSource } from "../request/query-types.ts";

/** A double-quoted identifier. PostgreSQL knows no zero character, so a name ends before one. */
export function quoteIdentifier(name: string): string {
  return `"${beforeZero(name).replaceAll('"', '""')}"`;
}

export function quoteQualified(name: { readonly schema: string; readonly name: string }): string {
  return `${quoteIdentifier(name.schema)}.${quoteIdentifier(name.name)}`;
}

/** A string constant that reads the same whatever `standard_conforming_strings` is. For names, never for values. */
export function quoteLiteral(text: string): string {
  const quoted = `'${beforeZero(text).replaceAll("'", "''").replaceAll("\\", "\\\\")}'`;
  return text.includes("\\") ? ` E${quoted}` : quoted;
}

function beforeZero(text: string): string {
  const zero = text.indexOf("\0");
  return zero < 0 ? text : text.slice(0, zero);
}

const MAX_IDENTIFIER_BYTES = 63;

/** `base_suffix`, shortened at the base when PostgreSQL would cut off the suffix that tells it from others. */
export function aliasOf(base: string, suffix: string | number): string {
  const tail = `_${suffix}`;
  let name = beforeZero(base.slice(0, MAX_IDENTIFIER_BYTES)); // a name comes from the URL and has any length
  while (Buffer.byteLength(name) + tail.length > MAX_IDENTIFIER_BYTES) name = name.slice(0, -1);
  return name + tail;
}

/** Names of types the grammar knows by other words than their own; quoted they would not be found. */
const TYPE_WORDS: Readonly<Record<string, string>> = {
  int: "integer",
  integer: "integer",
  smallint: "smallint",
  bigint: "bigint",
  real: "real",
  float: "double precision",
  "double precision": "double precision",
  decimal: "numeric",
  dec: "numeric",
  boolean: "boolean",
  char: "character",
  character: "character",
  "character varying": "character varying",
  bit: "bit",
  "bit varying": "bit varying",
  "timestamp with time zone": "timestamp with time zone",
  "timestamp without time zone": "timestamp without time zone",
  "time with time zone": "time with time zone",
  "time without time zone": "time without time zone",
};

/** The type of a `::cast`, as typed by a client: folded to lower case as SQL does with unquoted names. */
export function castType(name: string): string {
  const folded = name.toLowerCase().replace(/ +/g, " ");
  return Object.hasOwn(TYPE_WORDS, folded) ? (TYPE_WORDS[folded] as string) : quoteIdentifier(folded);
}

/** Where the value of a parameter comes from when the statement is run. */
export type Binding =
  | { readonly kind: "value"; readonly source: ValueSource; readonly decode: "text" | "pattern" | "list" }
  /** Elements of a VARIADIC argument, as one array. */
  | { readonly kind: "elements"; readonly sources: readonly ValueSource[] }
  | { readonly kind: "offset"; readonly source: ValueSource }
  | { readonly kind: "pageOffset" }
  /** The request's body, as bytes. */
  | { readonly kind: "body" };

export class SqlWriter {
  readonly bindings: Binding[] = [];
  #aliases = 0;

  /** The next parameter, `$n`. */
  parameter(binding: Binding): string {
    return `$${this.bindings.push(binding)}`;
  }

  value(source: ValueSource, decode: "text" | "pattern" | "list" = "text"): string {
    return this.parameter({ kind: "value", source, decode });
  }

  /** An alias nothing else in the statement has. */
  freshAlias(base: string): string {
    this.#aliases += 1;
    return aliasOf(base, this.#aliases);
  }
}
