/** The values the query-string parsers make: what was asked, before anything is known of the database. */

/** One step of a JSON path; `text` is the last arrow of `->>`. */
export type JsonOperation =
  | { readonly kind: "key"; readonly key: string; readonly asText: boolean }
  | { readonly kind: "index"; readonly index: number; readonly asText: boolean };

export interface Field {
  readonly name: string;
  readonly jsonPath: readonly JsonOperation[];
}

export type AggregateFunction = "sum" | "avg" | "max" | "min" | "count";

export type JoinKind = "inner" | "left";

export interface SelectedField {
  readonly kind: "field";
  /** `*` stands for all columns; `count()` without a column has none. */
  readonly field: Field | null;
  readonly alias: string | null;
  readonly cast: string | null;
  readonly aggregate: { readonly function: AggregateFunction; readonly cast: string | null } | null;
}

export interface SelectedEmbed {
  readonly kind: "embed";
  readonly target: string;
  readonly alias: string | null;
  readonly hint: string | null;
  readonly join: JoinKind | null;
  /** `...target(…)`: the items become items of the parent. */
  readonly spread: boolean;
  readonly items: readonly SelectItem[];
}

export type SelectItem = SelectedField | SelectedEmbed;

/**
 * Where a value of a statement comes from. `slot` values are outside the statement's shape: they are taken anew from
 * each request (shape.ts), so that requests that differ only in them share one compiled statement.
 */
export type ValueSource =
  | { readonly kind: "slot"; readonly index: number }
  | { readonly kind: "text"; readonly text: string };

export const SIMPLE_OPERATORS = {
  eq: "=",
  neq: "<>",
  gt: ">",
  gte: ">=",
  lt: "<",
  lte: "<=",
  like: "LIKE",
  ilike: "ILIKE",
  match: "~",
  imatch: "~*",
  cs: "@>",
  cd: "<@",
  ov: "&&",
  sl: "<<",
  sr: ">>",
  nxr: "&<",
  nxl: "&>",
  adj: "-|-",
} as const;
export type SimpleOperator = keyof typeof SIMPLE_OPERATORS;

export const QUANTIFIABLE = ["eq", "like", "ilike", "gt", "gte", "lt", "lte", "match", "imatch"] as const;

export const TEXT_SEARCH_FUNCTIONS = {
  fts: "to_tsquery",
  plfts: "plainto_tsquery",
  phfts: "phraseto_tsquery",
  wfts: "websearch_to_tsquery",
} as const;
export type TextSearchOperator = keyof typeof TEXT_SEARCH_FUNCTIONS;

export const IS_VALUES = {
  null: "NULL",
  not_null: "NOT NULL",
  true: "TRUE",
  false: "FALSE",
  unknown: "UNKNOWN",
} as const;
export type IsValue = keyof typeof IS_VALUES;

export type Operation =
  | { readonly kind: "simple"; readonly operator: SimpleOperator; readonly value: ValueSource }
  | {
      readonly kind: "quantified";
      readonly operator: SimpleOperator;
      readonly quantifier: "any" | "all";
      readonly value: ValueSource;
    }
  | {
      readonly kind: "textSearch";
      readonly operator: TextSearchOperator;
      readonly language: string | null;
      readonly value: ValueSource;
    }
  /** The value is the list as written, `(a,"b,c")`; see decodeList. */
  | { readonly kind: "in"; readonly value: ValueSource }
  | { readonly kind: "is"; readonly value: IsValue }
  | { readonly kind: "isDistinct"; readonly value: ValueSource };

export interface Filter {
  readonly kind: "filter";
  readonly field: Field;
  readonly negated: boolean;
  readonly operation: Operation;
}

export interface LogicGroup {
  readonly kind: "group";
  readonly negated: boolean;
  readonly operator: "and" | "or";
  readonly members: readonly LogicTree[];
}

export type LogicTree = Filter | LogicGroup;

export interface OrderTerm {
  /** Embed by whose column the parent is sorted: `order=client(name)`. */
  readonly relation: string | null;
  readonly field: Field;
  readonly direction: "asc" | "desc" | null;
  readonly nulls: "first" | "last" | null;
}

/** Names of nested embeds, outermost first; empty for the root. */
export type EmbedPath = readonly string[];

export interface AtPath<T> {
  readonly path: EmbedPath;
  readonly value: T;
}

export interface PageParameters {
  /**
   * Part of the statement: without knowing it the server would plan for a tenth of all rows. Clients use few different
   * ones. Null: no limit, or none that can be read.
   */
  readonly limit: number | null;
  readonly offset: ValueSource | null;
}

export interface QueryParameters {
  readonly select: readonly SelectItem[];
  readonly filters: readonly AtPath<Filter>[];
  readonly logic: readonly AtPath<LogicTree>[];
  readonly order: readonly AtPath<readonly OrderTerm[]>[];
  readonly pages: readonly AtPath<PageParameters>[];
  readonly columns: readonly string[] | null;
  readonly onConflict: readonly string[] | null;
  /** Arguments of a function called with GET, in order, repeats kept. */
  readonly routineArguments: readonly { readonly name: string; readonly value: ValueSource }[];
}
