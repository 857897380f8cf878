/** The `select` and `columns` parameters. */
import { type Cursor, parseWhole } from "./cursor.ts";
import { parseJsonPath, parseName } from "./field.ts";
import type { AggregateFunction, JoinKind, SelectedEmbed, SelectedField, SelectItem } from "./query-types.ts";

/** Deeper nesting than anybody writes; keeps the recursion (and the planner's) bounded. */
const MAX_DEPTH = 32;

const AGGREGATE = /\.(sum|avg|max|min|count)\(\)/y;
const CAST = /[\p{L}\p{M}\p{N}_$ ]+/uy;
const STAR: SelectedField = {
  kind: "field",
  field: { name: "*", jsonPath: [] },
  alias: null,
  cast: null,
  aggregate: null,
};

/** @throws {RestError} PGRST100 */
export function parseSelect(text: string): readonly SelectItem[] {
  if (text.trim() === "") return [STAR];
  return parseWhole("select parameter", text, (cursor) => parseItems(cursor, 0));
}

/** @throws {RestError} PGRST100 */
export function parseColumns(
  text: string,
  part: "columns parameter" | "on_conflict parameter" = "columns parameter",
): readonly string[] {
  return parseWhole(part, text, (cursor) => {
    const columns: string[] = [];
    do {
      cursor.skipBlanks();
      columns.push(parseName(cursor));
      cursor.skipBlanks();
    } while (cursor.take(","));
    cursor.expecting('","');
    return columns;
  });
}

function parseItems(cursor: Cursor, depth: number): readonly SelectItem[] {
  const items: SelectItem[] = [];
  do {
    cursor.skipBlanks();
    items.push(parseItem(cursor, depth));
    cursor.skipBlanks();
  } while (cursor.take(","));
  cursor.expecting('","');
  return items;
}

function parseItem(cursor: Cursor, depth: number): SelectItem {
  if (cursor.take("...")) {
    const target = parseName(cursor);
    return parseEmbed(cursor, { target, alias: null, spread: true }, depth);
  }
  if (cursor.take("*")) return STAR;
  let name = parseName(cursor, '"..."');
  let alias: string | null = null;
  if (cursor.peek() === ":" && !cursor.text.startsWith("::", cursor.position)) {
    cursor.position += 1;
    cursor.skipBlanks();
    alias = name;
    if (cursor.take("*")) return { ...STAR, alias };
    name = parseName(cursor);
  }
  const next = cursor.peek();
  if (name === "count" && cursor.take("()")) {
    return { kind: "field", field: null, alias, cast: null, aggregate: { function: "count", cast: parseCast(cursor) } };
  }
  if (next === "(" || next === "!") return parseEmbed(cursor, { target: name, alias, spread: false }, depth);
  return parseSelectedField(cursor, name, alias);
}

function parseSelectedField(cursor: Cursor, name: string, alias: string | null): SelectedField {
  const jsonPath = parseJsonPath(cursor);
  const cast = parseCast(cursor);
  const aggregateText = cursor.match(AGGREGATE);
  if (aggregateText === null) {
    cursor.expecting('"::"', '"."');
    return { kind: "field", field: { name, jsonPath }, alias, cast, aggregate: null };
  }
  const aggregateFunction = aggregateText.slice(1, -2) as AggregateFunction;
  return {
    kind: "field",
    field: { name, jsonPath },
    alias,
    cast,
    aggregate: { function: aggregateFunction, cast: parseCast(cursor) },
  };
}

function parseCast(cursor: Cursor): string | null {
  if (!cursor.take("::")) return null;
  const cast = cursor.match(CAST)?.trim();
  if (!cast) return cursor.fail("letter", "digit", '"_"');
  return cast;
}

function parseEmbed(
  cursor: Cursor,
  head: { readonly target: string; readonly alias: string | null; readonly spread: boolean },
  depth: number,
): SelectedEmbed {
  let hint: string | null = null;
  let join: JoinKind | null = null;
  while (cursor.take("!")) {
    const word = parseName(cursor);
    if (word === "inner" || word === "left") join = word;
    else hint = word;
  }
  if (depth >= MAX_DEPTH) cursor.fail(`at most ${MAX_DEPTH} levels of embedding`);
  if (!cursor.take("(")) cursor.fail('"!"', '"("');
  cursor.skipBlanks();
  if (cursor.take(")")) return { kind: "embed", ...head, hint, join, items: [] };
  const items = parseItems(cursor, depth + 1);
  if (!cursor.take(")")) cursor.fail('")"');
  return { kind: "embed", ...head, hint, join, items };
}
