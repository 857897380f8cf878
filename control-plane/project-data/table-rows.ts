/** Pages of a table's rows, counts and whole cells, for one identity. */
import { InvalidInput } from "../errors.ts";
import type { Relation } from "./catalog.ts";
import type { DataSession } from "./data-session.ts";
import {
  behindSql,
  type Filter,
  filterSql,
  keySql,
  orderSql,
  Parameters,
  quoteName,
  reversed,
  type Sort,
  shownCell,
} from "./row-sql.ts";

export const ROW_LIMITS = { most: 1_000, fallback: 100, filters: 20, sorts: 10, cellBytes: 16_000_000 } as const;
/** A table without a key is paged by counting from its start: not further than this. */
const MOST_SKIPPED = 100_000;
const MAX_CURSOR_CHARACTERS = 32_000;

export interface RowsQuery {
  readonly filters: readonly Filter[];
  readonly sorts: readonly Sort[];
  readonly limit: number;
  readonly after: string | null;
  readonly before: string | null;
}

export interface RowsPage {
  readonly columns: readonly string[];
  /** Text as PostgreSQL writes it, or null. */
  readonly rows: readonly (readonly (string | null)[])[];
  /** Row, column, and the stored bytes when not even its beginning was read, else 0. */
  readonly cut: readonly (readonly [number, number, number])[];
  readonly keys: readonly Readonly<Record<string, string | null>>[];
  readonly startCursor: string | null;
  readonly endCursor: string | null;
}

/** @throws {InvalidInput} a filter or an order by a column that is not there; a cursor of another order. */
export async function readRows(session: DataSession, relation: Relation, query: RowsQuery): Promise<RowsPage> {
  const columns = relation.columns.map(({ name }) => name);
  checkColumns("filters", columns, query.filters);
  checkColumns("sort", columns, query.sorts);
  const isBackwards = query.before !== null;
  const order = fullOrder(relation, query.sorts);
  const hasKey = relation.rowKey.length > 0;
  const place = parseCursor(query.before ?? query.after, order, hasKey);
  const parameters = new Parameters();
  const conditions = filterSql(query.filters, parameters);
  const direction = isBackwards && hasKey ? reversed(order) : order;
  let offset = 0;
  if (place && hasKey) {
    const notNull = new Set(relation.columns.filter((column) => column.notNull).map(({ name }) => name));
    conditions.push(
      isBackwards ? aheadSql(order, notNull, place, parameters) : behindSql(order, notNull, place, parameters),
    );
  } else if (place) {
    offset = Math.max(0, Number(place[0]) - (isBackwards ? query.limit : 0));
  }
  const own = [...order.map(({ column }) => column), ...relation.rowKey];
  const texts = await session.rows(
    `/* readRows */ select ${[...columns.map(shownCell), ...own.map((name) => `t.${quoteName(name)}::text`)].join(", ") || "1"}
     from ${quoteName(relation.schema)}.${quoteName(relation.name)} t
     ${conditions.length > 0 ? `where ${conditions.join(" and ")}` : ""}
     ${orderSql(direction)} limit ${query.limit + 1} ${offset > 0 ? `offset ${offset}` : ""}`,
    parameters.values,
  );
  const hasMore = texts.length > query.limit;
  const page = texts.slice(0, query.limit);
  if (isBackwards && hasKey) page.reverse();
  const places = page.map((row) => row.slice(columns.length, columns.length + order.length));
  const cursorAt = (row: number) =>
    hasKey ? formatCursor(order, places[row] ?? []) : formatCursor(order, [String(offset + (row < 0 ? 0 : row + 1))]);
  const hasLater = isBackwards ? true : hasMore;
  const hasEarlier = isBackwards ? (hasKey ? hasMore : offset > 0) : query.after !== null;
  return {
    ...shownCells(page, columns),
    keys: page.map((row) =>
      Object.fromEntries(relation.rowKey.map((name, at) => [name, row[columns.length + order.length + at] ?? null])),
    ),
    startCursor: page.length > 0 && hasEarlier ? (hasKey ? cursorAt(0) : formatCursor(order, [String(offset)])) : null,
    endCursor: page.length > 0 && hasLater ? cursorAt(page.length - 1) : null,
  };
}

/** Rows before the place: the opposite order, whose nulls are at its other end. */
function aheadSql(order: readonly Sort[], notNull: ReadonlySet<string>, place: (string | null)[], to: Parameters) {
  return behindSql(reversed(order), notNull, place, to);
}

function shownCells(page: readonly (string | null)[][], columns: readonly string[]) {
  const cut: [number, number, number][] = [];
  const rows = page.map((row, rowIndex) =>
    columns.map((_, columnIndex) => {
      const text = row[columnIndex];
      if (text == null) return null;
      if (text.startsWith("L")) {
        cut.push([rowIndex, columnIndex, Number(text.slice(1))]);
        return "";
      }
      if (text.startsWith("C")) cut.push([rowIndex, columnIndex, 0]);
      return text.slice(1);
    }),
  );
  return { columns, rows, cut };
}

/** What was asked for, then the key, so that every row has one place. */
function fullOrder({ rowKey }: Relation, sorts: readonly Sort[]): Sort[] {
  const rest = rowKey.filter((column) => !sorts.some((sort) => sort.column === column));
  const isDescending = sorts.at(-1)?.isDescending ?? false;
  return [...sorts, ...rest.map((column) => ({ column, isDescending }))];
}

function checkColumns(field: string, columns: readonly string[], used: readonly { readonly column: string }[]): void {
  for (const { column } of used) {
    if (!columns.includes(column)) throw new InvalidInput(field, `there is no column ${JSON.stringify(column)}`);
  }
}

function orderName(order: readonly Sort[]): string {
  return JSON.stringify(order.map(({ column, isDescending }) => [column, isDescending ? 1 : 0]));
}

function formatCursor(order: readonly Sort[], place: readonly (string | null)[]): string {
  const cursor = Buffer.from(JSON.stringify([orderName(order), ...place])).toString("base64url");
  if (cursor.length > MAX_CURSOR_CHARACTERS)
    throw new InvalidInput("sort", "values of this column are too long to sort by");
  return cursor;
}

function parseCursor(cursor: string | null, order: readonly Sort[], hasKey: boolean): (string | null)[] | null {
  if (cursor === null) return null;
  const wrong = new InvalidInput("after", "the place in the list is not one of this order");
  if (cursor.length > MAX_CURSOR_CHARACTERS) throw wrong;
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(cursor, "base64url").toString());
  } catch {
    throw wrong;
  }
  if (!Array.isArray(parsed) || parsed[0] !== orderName(order)) throw wrong;
  const place = parsed.slice(1) as unknown[];
  if (place.length !== (hasKey ? order.length : 1)) throw wrong;
  if (!place.every((value) => value === null || typeof value === "string")) throw wrong;
  if (!hasKey && !(Number(place[0]) >= 0 && Number(place[0]) <= MOST_SKIPPED))
    throw new InvalidInput("after", `a table without a key is paged to its first ${MOST_SKIPPED} rows`);
  return place as (string | null)[];
}

export async function countRows(session: DataSession, relation: Relation, filters: readonly Filter[]): Promise<number> {
  checkColumns(
    "filters",
    relation.columns.map(({ name }) => name),
    filters,
  );
  const parameters = new Parameters();
  const conditions = filterSql(filters, parameters);
  const [row] = await session.rows(
    `/* countRows */ select count(*) from ${quoteName(relation.schema)}.${quoteName(relation.name)} t
     ${conditions.length > 0 ? `where ${conditions.join(" and ")}` : ""}`,
    parameters.values,
  );
  return Number(row?.[0] ?? 0);
}

/** @throws {InvalidInput} the value is too large to be shown. */
export async function readCell(
  session: DataSession,
  relation: Relation,
  column: string,
  key: Readonly<Record<string, string | null>>,
): Promise<string | null> {
  checkColumns(
    "column",
    relation.columns.map(({ name }) => name),
    [{ column }],
  );
  checkKey(relation, key);
  const parameters = new Parameters();
  const where = keySql(key, parameters);
  const cell = `t.${quoteName(column)}`;
  const [row] = await session.rows(
    `/* readCell */ select octet_length(${cell}::text), case when octet_length(${cell}::text) <= ${ROW_LIMITS.cellBytes} then ${cell}::text end
     from ${quoteName(relation.schema)}.${quoteName(relation.name)} t where ${where}`,
    parameters.values,
  );
  if (!row) throw new InvalidInput("key", "the row is gone, or not visible");
  if (Number(row[0]) > ROW_LIMITS.cellBytes)
    throw new InvalidInput("column", `the value has ${row[0]} bytes; at most ${ROW_LIMITS.cellBytes} can be shown`);
  return row[1] ?? null;
}

/** @throws {InvalidInput} not exactly the columns of the relation's key. */
export function checkKey({ rowKey }: Relation, key: Readonly<Record<string, string | null>>): void {
  if (rowKey.length === 0) throw new InvalidInput("key", "the table has no key that names a row: add a primary key");
  const names = Object.keys(key);
  if (names.length !== rowKey.length || !rowKey.every((name) => names.includes(name)))
    throw new InvalidInput("key", `the key of a row is ${rowKey.join(", ")}`);
}
