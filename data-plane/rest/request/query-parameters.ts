/** The whole query string, parsed. */
import { parseWhole } from "./cursor.ts";
import { parseJsonPath, parseName } from "./field.ts";
import { parseLogic, parseOperation } from "./filter.ts";
import { parseOrder } from "./order.ts";
import { parseLimit } from "./page.ts";
import type {
  AtPath,
  EmbedPath,
  Field,
  Filter,
  LogicTree,
  OrderTerm,
  PageParameters,
  QueryParameters,
  SelectItem,
  ValueSource,
} from "./query-types.ts";
import { parseColumns, parseSelect } from "./select.ts";
import type { QueryPair } from "./shape.ts";

/** @throws {RestError} PGRST100 for the first parameter that cannot be read. */
export function parseQueryParameters(pairs: readonly QueryPair[]): QueryParameters {
  let select: readonly SelectItem[] | null = null;
  let columns: readonly string[] | null = null;
  let onConflict: readonly string[] | null = null;
  const filters: AtPath<Filter>[] = [];
  const logic: AtPath<LogicTree>[] = [];
  const order: AtPath<readonly OrderTerm[]>[] = [];
  const pages = new Map<string, AtPath<PageParameters>>();
  const routineArguments: { name: string; value: ValueSource }[] = [];

  for (const pair of pairs) {
    if (pair.kind === "argument") {
      routineArguments.push({ name: pair.name, value: { kind: "slot", index: pair.slot } });
    } else if (pair.kind === "offset") {
      addPage(pages, pair.name, "offset", { offset: { kind: "slot", index: pair.slot } });
    } else if (pair.kind === "filter") {
      const { path, field } = parseTreePath(pair.name);
      filters.push({ path, value: { kind: "filter", field, ...parseOperation(pair.value, pair.slot) } });
    } else if (pair.name === "select") {
      select ??= parseSelect(pair.value);
    } else if (pair.name === "columns") {
      columns ??= parseColumns(pair.value);
    } else if (pair.name === "on_conflict") {
      onConflict ??= parseColumns(pair.value, "on_conflict parameter");
    } else if (pair.name === "limit" || pair.name.endsWith(".limit")) {
      addPage(pages, pair.name, "limit", { limit: parseLimit(pair.value) });
    } else if (pair.name === "order" || pair.name.endsWith(".order")) {
      const path = parsePath(pair.name.slice(0, -"order".length));
      order.push({ path, value: parseOrder(pair.value) });
    } else {
      addLogic(logic, pair.name, pair.value);
    }
  }
  return {
    select: select ?? parseSelect(""),
    filters,
    logic,
    order,
    pages: [...pages.values()],
    columns,
    onConflict,
    routineArguments,
  };
}

/** The first of a name counts. */
function addPage(
  pages: Map<string, AtPath<PageParameters>>,
  name: string,
  which: keyof PageParameters,
  parameter: Partial<PageParameters>,
): void {
  const prefix = name.slice(0, -which.length);
  const at = pages.get(prefix) ?? { path: parsePath(prefix), value: { limit: null, offset: null } };
  if (at.value[which] === null) pages.set(prefix, { path: at.path, value: { ...at.value, ...parameter } });
}

/** `columns`, `select` and `on_conflict` below an embed mean nothing and are left out. */
const LOGIC_NAME = /^(?:(.*)\.)?((?:not\.)?(?:and|or))$/s;

function addLogic(logic: AtPath<LogicTree>[], name: string, value: string): void {
  const found = LOGIC_NAME.exec(name);
  if (found === null) return;
  let [, prefix = "", operator = ""] = found;
  // The greedy prefix takes the `not` of `a.not.or` with it.
  if (prefix === "not" || prefix.endsWith(".not")) {
    prefix = prefix.slice(0, -"not".length);
    operator = `not.${operator}`;
  }
  logic.push({ path: parsePath(prefix), value: parseLogic(operator, value) });
}

/** `a.b.` or `a.b` or nothing. */
function parsePath(prefix: string): EmbedPath {
  const text = prefix.endsWith(".") ? prefix.slice(0, -1) : prefix;
  if (text === "") return [];
  return parseWhole("tree path", text, (cursor) => {
    const names = [parseName(cursor)];
    while (cursor.take(".")) names.push(parseName(cursor));
    cursor.expecting('"."');
    return names;
  });
}

/** `a.b.column->key`: the embeds, then the field. */
function parseTreePath(name: string): { readonly path: EmbedPath; readonly field: Field } {
  return parseWhole("tree path", name, (cursor) => {
    const names = [parseName(cursor)];
    while (cursor.take(".")) names.push(parseName(cursor));
    cursor.expecting('"->>"', '"->"', '"."');
    const jsonPath = parseJsonPath(cursor);
    return { path: names.slice(0, -1), field: { name: names[names.length - 1] ?? "", jsonPath } };
  });
}
