/** Filters and sort of a table as they stand in the address: `id.gte.100`, `name.desc`. Pure. */

export const OPERATORS = {
  eq: { sign: "=", api: "EQ" },
  neq: { sign: "≠", api: "NEQ" },
  gt: { sign: ">", api: "GT" },
  gte: { sign: "≥", api: "GTE" },
  lt: { sign: "<", api: "LT" },
  lte: { sign: "≤", api: "LTE" },
  like: { sign: "like", api: "LIKE" },
  ilike: { sign: "ilike", api: "ILIKE" },
  null: { sign: "is null", api: "IS_NULL" },
  notnull: { sign: "is not null", api: "NOT_NULL" },
} as const;
export type Operator = keyof typeof OPERATORS;

export interface Filter {
  readonly column: string;
  readonly operator: Operator;
  readonly value: string;
}

export interface Sort {
  readonly column: string;
  readonly descending: boolean;
}

/** Column names may hold anything, so each part is JSON. */
export function parseFilters(text: string | undefined): Filter[] {
  return parseList(text).flatMap(([column, operator, value]) =>
    typeof column === "string" && typeof value === "string" && String(operator) in OPERATORS
      ? [{ column, operator: operator as Operator, value }]
      : [],
  );
}

export function formatFilters(filters: readonly Filter[]): string | undefined {
  return filters.length === 0
    ? undefined
    : JSON.stringify(filters.map(({ column, operator, value }) => [column, operator, value]));
}

export function parseSort(text: string | undefined): Sort[] {
  return parseList(text).flatMap(([column, direction]) =>
    typeof column === "string" ? [{ column, descending: direction === "desc" }] : [],
  );
}

export function formatSort(sorts: readonly Sort[]): string | undefined {
  return sorts.length === 0
    ? undefined
    : JSON.stringify(sorts.map(({ column, descending }) => [column, descending ? "desc" : "asc"]));
}

/** A press on the head: ascending, then descending, then none; others stay as they are when `isAdded`. */
export function pressSort(sorts: readonly Sort[], column: string, isAdded: boolean): Sort[] {
  const known = sorts.find((sort) => sort.column === column);
  const others = isAdded ? sorts.filter((sort) => sort.column !== column) : [];
  if (!known) return [...others, { column, descending: false }];
  return known.descending ? others : [...others, { column, descending: true }];
}

function parseList(text: string | undefined): unknown[][] {
  try {
    const list: unknown = JSON.parse(text ?? "[]");
    return Array.isArray(list) ? list.filter(Array.isArray).slice(0, 20) : [];
  } catch {
    return [];
  }
}
