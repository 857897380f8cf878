/**
 * SQL of row reads and changes, composed from names of the catalog and parameters. Pure. Names are quoted, values are
 * always parameters without a type, so PostgreSQL reads them as it reads a literal for the column.
 */

export interface Sort {
  readonly column: string;
  readonly isDescending: boolean;
}

export interface Filter {
  readonly column: string;
  readonly operator: FilterOperator;
  readonly value: string | null;
}

export const FILTER_OPERATORS = {
  EQ: "=",
  NEQ: "<>",
  GT: ">",
  GTE: ">=",
  LT: "<",
  LTE: "<=",
  LIKE: "like",
  ILIKE: "ilike",
  IS_NULL: "is null",
  NOT_NULL: "is not null",
} as const;
export type FilterOperator = keyof typeof FILTER_OPERATORS;

/** Characters of a cell that a page of rows shows. */
export const SHOWN_CHARACTERS = 2_048;
/** Stored bytes above which a cell is not even opened for a page of rows. */
export const UNOPENED_BYTES = 1_048_576;

export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Takes values and answers their placeholders. */
export class Parameters {
  readonly values: (string | null)[] = [];

  add(value: string | null): string {
    this.values.push(value);
    return `$${this.values.length}`;
  }
}

/** `V` and the value, `C` and its beginning, or `L` and its stored bytes; null is null. */
export function shownCell(column: string): string {
  const cell = `t.${quoteName(column)}`;
  return `case when ${cell} is null then null
    when pg_column_size(${cell}) > ${UNOPENED_BYTES} then 'L' || pg_column_size(${cell})::text
    when length(${cell}::text) > ${SHOWN_CHARACTERS} then 'C' || left(${cell}::text, ${SHOWN_CHARACTERS})
    else 'V' || ${cell}::text end`;
}

export function filterSql(filters: readonly Filter[], parameters: Parameters): string[] {
  return filters.map(({ column, operator, value }) => {
    const cell = `t.${quoteName(column)}`;
    const sql = FILTER_OPERATORS[operator];
    if (operator === "IS_NULL" || operator === "NOT_NULL") return `${cell} ${sql}`;
    if (operator === "LIKE" || operator === "ILIKE") return `${cell}::text ${sql} ${parameters.add(value)}`;
    return `${cell} ${sql} ${parameters.add(value)}`;
  });
}

/** Rows behind the place, in PostgreSQL's own order: nulls last when ascending, first when descending. */
export function behindSql(
  order: readonly Sort[],
  notNull: ReadonlySet<string>,
  place: readonly (string | null)[],
  parameters: Parameters,
): string {
  const [first] = order;
  const isUniform = order.every(
    ({ column, isDescending }) => notNull.has(column) && isDescending === first?.isDescending,
  );
  if (isUniform) {
    const columns = order.map(({ column }) => `t.${quoteName(column)}`).join(", ");
    const values = order.map((_, index) => parameters.add(place[index] ?? null)).join(", ");
    return `(${columns}) ${first?.isDescending ? "<" : ">"} (${values})`;
  }
  const alternatives = order.map((sort, index) => {
    const same = order.slice(0, index).map(({ column }, at) => sameSql(column, place[at] ?? null, parameters));
    return `(${[...same, laterSql(sort, place[index] ?? null, parameters)].join(" and ")})`;
  });
  return `(${alternatives.join(" or ")})`;
}

function sameSql(column: string, value: string | null, parameters: Parameters): string {
  const cell = `t.${quoteName(column)}`;
  return value === null ? `${cell} is null` : `${cell} = ${parameters.add(value)}`;
}

function laterSql({ column, isDescending }: Sort, value: string | null, parameters: Parameters): string {
  const cell = `t.${quoteName(column)}`;
  if (value === null) return isDescending ? `${cell} is not null` : "false";
  return isDescending
    ? `${cell} < ${parameters.add(value)}`
    : `(${cell} > ${parameters.add(value)} or ${cell} is null)`;
}

export function orderSql(order: readonly Sort[]): string {
  if (order.length === 0) return "";
  return `order by ${order.map(({ column, isDescending }) => `t.${quoteName(column)} ${isDescending ? "desc" : "asc"}`).join(", ")}`;
}

/** The same order from the other end. */
export function reversed(order: readonly Sort[]): Sort[] {
  return order.map(({ column, isDescending }) => ({ column, isDescending: !isDescending }));
}

export function keySql(key: Readonly<Record<string, string | null>>, parameters: Parameters): string {
  return Object.entries(key)
    .map(([column, value]) => `t.${quoteName(column)} = ${parameters.add(value)}`)
    .join(" and ");
}
