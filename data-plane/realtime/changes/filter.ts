/**
 * Filters of `postgres_changes`: `column=operator.value[,column=operator.value…]`, all of which must hold. What can be
 * decided exactly here is; the rest is left to the database, which knows collations, enums and numerics.
 */

export const OPERATORS = {
  eq: "=",
  neq: "<>",
  lt: "<",
  lte: "<=",
  gt: ">",
  gte: ">=",
  in: "= any",
  like: "~~",
  ilike: "~~*",
  is: "is",
  match: "~",
  imatch: "~*",
  isdistinct: "is distinct from",
} as const;

export type Operator = keyof typeof OPERATORS;

export interface Filter {
  readonly column: string;
  readonly operator: Operator;
  readonly isNegated: boolean;
  /** As the client wrote it. */
  readonly text: string;
  /** One value, or the list of `in`. */
  readonly values: readonly string[];
}

/** The client's fault, in the words of Supabase Realtime. */
export class FilterError extends Error {}

const MAX_FILTERS = 20;
const MAX_VALUES = 100;
const MAX_LENGTH = 8_000;

/** @throws {FilterError} */
export function parseFilters(text: string): readonly Filter[] {
  if (text.trim() === "") return [];
  if (text.length > MAX_LENGTH) throw new FilterError("Error parsing `filter` params: the filter is too long");
  const segments = splitOutside(text);
  if (segments.length > MAX_FILTERS) throw new FilterError("Error parsing `filter` params: too many filters");
  if (segments.some((segment) => segment.trim() === "")) {
    throw new FilterError(
      "Error parsing `filter` params: filter must not contain empty segments (check for extra commas)",
    );
  }
  return segments.map(parseFilter);
}

function parseFilter(segment: string): Filter {
  const equals = segment.indexOf("=");
  const column = equals === -1 ? segment : segment.slice(0, equals);
  const condition = equals === -1 ? "" : segment.slice(equals + 1);
  const isNegated = condition.startsWith("not.");
  const rest = isNegated ? condition.slice(4) : condition;
  const dot = rest.indexOf(".");
  const operator = rest.slice(0, Math.max(0, dot));
  if (equals === -1 || dot === -1 || !Object.hasOwn(OPERATORS, operator)) {
    const shown = equals === -1 ? [segment] : [column, condition];
    throw new FilterError(`Error parsing \`filter\` params: ${JSON.stringify(shown)}`);
  }
  const text = rest.slice(dot + 1);
  return {
    column: column.trim(),
    operator: operator as Operator,
    isNegated,
    text,
    values: operator === "in" ? parseList(text) : [unquote(text)],
  };
}

function parseList(text: string): readonly string[] {
  if (!text.startsWith("(") || !text.endsWith(")")) {
    throw new FilterError("Error parsing `filter` params: `in` filter value must be wrapped by parentheses");
  }
  const inner = text.slice(1, -1);
  const values = inner === "" ? [] : splitOutside(inner).map((value) => unquote(value.trim()));
  if (values.length > MAX_VALUES) throw new FilterError(`too many values for \`in\` filter. Maximum ${MAX_VALUES}`);
  return values;
}

/** At commas outside of parentheses and quotes; a quote opens only behind `.`, `(`, `,` or at the beginning. */
function splitOutside(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  let isQuoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (isQuoted) {
      if (character === "\\") at += 1;
      else if (character === '"') isQuoted = false;
    } else if (character === '"' && (at === start || ".(,".includes(text[at - 1] ?? ""))) isQuoted = true;
    else if (character === "(") depth += 1;
    else if (character === ")") depth -= 1;
    else if (character === "," && depth <= 0) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}

function unquote(text: string): string {
  if (text.length < 2 || !text.startsWith('"') || !text.endsWith('"')) return text;
  return text.slice(1, -1).replace(/\\(.)/gs, "$1");
}

// ---- deciding here ---------------------------------------------------------------------------------------------------

export type Kind = "integer" | "uuid" | "boolean" | "text" | "other";

const INTEGER_RANGES: Readonly<Record<string, bigint>> = { int2: 2n ** 15n, int4: 2n ** 31n, int8: 2n ** 63n };
const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;
const BOOLEANS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(["t", "true", "y", "yes", "on", "1"].map((text) => [text, "t"])),
  ...Object.fromEntries(["f", "false", "n", "no", "off", "0"].map((text) => [text, "f"])),
};

/** @param typeName `pg_type.typname` of the base type. */
export function kindOf(typeName: string, hasOwnCollation: boolean): Kind {
  if (Object.hasOwn(INTEGER_RANGES, typeName)) return "integer";
  if (typeName === "uuid") return "uuid";
  if (typeName === "bool") return "boolean";
  return (typeName === "text" || typeName === "varchar") && !hasOwnCollation ? "text" : "other";
}

/**
 * The value as PostgreSQL writes it, so that equal values are equal texts.
 * @throws {FilterError} in PostgreSQL's words when the type does not take it.
 */
export function canonicalValue(kind: Kind, typeName: string, value: string): string {
  switch (kind) {
    case "integer": {
      const text = value.trim();
      if (!/^[+-]?\d{1,30}$/.test(text)) throw invalid(typeName, value);
      const number = BigInt(text);
      const bound = INTEGER_RANGES[typeName] ?? 0n;
      if (number >= bound || number < -bound) {
        const name = PUBLIC_NAMES[typeName] ?? typeName;
        throw new FilterError(
          `ERROR 22003 (numeric_value_out_of_range) value "${value}" is out of range for type ${name}`,
        );
      }
      return number.toString();
    }
    case "uuid": {
      if (!UUID.test(value)) throw invalid(typeName, value);
      const hex = value.toLowerCase().replaceAll("-", "");
      return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
    }
    case "boolean": {
      const text = BOOLEANS[value.trim().toLowerCase()];
      if (text === undefined) throw invalid(typeName, value);
      return text;
    }
    default:
      return value;
  }
}

const PUBLIC_NAMES: Readonly<Record<string, string>> = {
  int2: "smallint",
  int4: "integer",
  int8: "bigint",
  bool: "boolean",
};

function invalid(typeName: string, value: string): FilterError {
  const name = PUBLIC_NAMES[typeName] ?? typeName;
  return new FilterError(`ERROR 22P02 (invalid_text_representation) invalid input syntax for type ${name}: "${value}"`);
}

/** What a filter says about a value's text; null where the database has to be asked. */
export type Test = (value: string | null) => boolean;

/** @throws {FilterError} when the type does not take the filter's value. */
export function compileTest(filter: Filter, kind: Kind, typeName: string): Test | null {
  const plain = compilePlain(filter, kind, typeName);
  if (plain === null) return null;
  // In SQL a comparison with null is neither true nor false, and so is its negation.
  const knowsNull = filter.operator === "is" || filter.operator === "isdistinct";
  if (filter.isNegated) return (value) => (value !== null || knowsNull) && !plain(value);
  return (value) => (value !== null || knowsNull) && plain(value);
}

function compilePlain(filter: Filter, kind: Kind, typeName: string): Test | null {
  const { operator, values } = filter;
  const [first = ""] = values;
  if (operator === "is") return compileIs(first.trim().toLowerCase(), kind, typeName);
  if (kind === "other") return null;
  const wanted = values.map((value) => canonicalValue(kind, typeName, value));
  const [only] = wanted;
  switch (operator) {
    case "eq":
      return (value) => value === only;
    case "neq":
    case "isdistinct":
      return (value) => value !== only;
    case "in": {
      const set = new Set(wanted);
      return (value) => value !== null && set.has(value);
    }
    case "lt":
    case "lte":
    case "gt":
    case "gte": {
      if (kind !== "integer") return null;
      const bound = BigInt(only ?? "0");
      const compare = COMPARISONS[operator];
      return (value) => value !== null && compare(BigInt(value), bound);
    }
    default:
      return null;
  }
}

const COMPARISONS = {
  lt: (a: bigint, b: bigint) => a < b,
  lte: (a: bigint, b: bigint) => a <= b,
  gt: (a: bigint, b: bigint) => a > b,
  gte: (a: bigint, b: bigint) => a >= b,
};

function compileIs(wanted: string, kind: Kind, typeName: string): Test {
  if (wanted === "null") return (value) => value === null;
  if (kind === "boolean") {
    if (wanted === "true") return (value) => value === "t";
    if (wanted === "false") return (value) => value === "f";
    if (wanted === "unknown") return (value) => value === null;
  }
  throw new FilterError(`ERROR P0001 (raise_exception) invalid value for operator is on type ${typeName}: ${wanted}`);
}

/** The value that an index can find the filter by; null when it does not ask for equality. */
export function equalityOf(filter: Filter, kind: Kind, typeName: string): string | null {
  if (filter.operator !== "eq" || filter.isNegated || kind === "other") return null;
  return canonicalValue(kind, typeName, filter.values[0] ?? "");
}

/** As Supabase Realtime shows filters in its errors. */
export function describeFilters(filters: readonly Filter[]): string {
  const shown = filters.map(
    ({ column, operator, text, isNegated }) =>
      `{${JSON.stringify(column)}, ${JSON.stringify(operator)}, ${JSON.stringify(text)}, ${isNegated}}`,
  );
  return `[${shown.join(", ")}]`;
}
