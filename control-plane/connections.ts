/** Relay connections over keyset pages: the cursor is the row's key, so a page costs the same wherever it lies. */
import { resolveCursorConnection } from "@pothos/plugin-relay";
import { builder } from "./builder.ts";
import { InvalidInput } from "./errors.ts";

const DEFAULT_PAGE = 50;
const MAX_PAGE = 200;

builder.globalConnectionField("totalCount", (t) =>
  t.int({
    description: "How many there are on all pages; counted only when asked for.",
    complexity: 10,
    resolve: (connection) => connection.totalCount(),
  }),
);

/**
 * What a connection costs by its page size, for `complexity` of the field: its list of edges counts ten times by
 * itself, as every list does.
 */
export function pageComplexity({ first, last }: ConnectionArguments): { field: number; multiplier: number } {
  return { field: 10, multiplier: Math.max(first ?? last ?? DEFAULT_PAGE, 1) / 10 };
}

export interface Page {
  /** Key of the row that the page follows or precedes; null at the ends. */
  readonly after: string | null;
  readonly before: string | null;
  readonly limit: number;
  /** Whether to read backwards, in the opposite of the connection's order. */
  readonly backwards: boolean;
}

export interface ConnectionArguments {
  first?: number | null | undefined;
  last?: number | null | undefined;
  after?: string | null | undefined;
  before?: string | null | undefined;
}

export interface ConnectionSource<Row> {
  /** Any text that names the row within the order. */
  cursorOf(row: Row): string;
  page(page: Page): Promise<readonly Row[]>;
  count(): Promise<number>;
}

export async function resolveConnection<Row>(args: ConnectionArguments, source: ConnectionSource<Row>) {
  for (const name of ["first", "last"] as const) {
    const size = args[name];
    if (size !== null && size !== undefined && (size < 0 || size > MAX_PAGE)) {
      throw new InvalidInput(name, `a page has 0 to ${MAX_PAGE} items`);
    }
  }
  const connection = await resolveCursorConnection(
    { args, defaultSize: DEFAULT_PAGE, maxSize: MAX_PAGE, toCursor: (row: Row) => source.cursorOf(row) },
    ({ before, after, limit, inverted }: { before?: string; after?: string; limit: number; inverted: boolean }) =>
      source.page({ after: after ?? null, before: before ?? null, limit, backwards: inverted }),
  );
  return { ...connection, totalCount: () => source.count() };
}

/**
 * SQL of a page's bounds and order for one unique key. `key` is an expression over a row; `keyOf` makes the key of a
 * cursor from a parameter's placeholder; parameters `$first` and `$first + 1` are the page's after and before.
 * Pure; every part but the placeholders is text of the caller.
 */
export function keysetSql(
  page: Page,
  options: { key: string; keyOf: (placeholder: string) => string; direction: "asc" | "desc"; firstParameter: number },
): { where: string; orderBy: string; values: readonly (string | null)[] } {
  const { key, keyOf, direction, firstParameter } = options;
  const after = `$${firstParameter}::text`;
  const before = `$${firstParameter + 1}::text`;
  const [later, earlier] = direction === "asc" ? [">", "<"] : ["<", ">"];
  const opposite = direction === "asc" ? "desc" : "asc";
  const order = page.backwards ? opposite : direction;
  const columns = key.startsWith("(") ? key.slice(1, -1).split(",") : [key];
  return {
    where: `(${after} is null or ${key} ${later} ${keyOf(after)}) and (${before} is null or ${key} ${earlier} ${keyOf(before)})`,
    orderBy: columns.map((column) => `${column.trim()} ${order}`).join(", "),
    values: [page.after, page.before],
  };
}
