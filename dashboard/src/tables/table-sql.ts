/** A new table as SQL, as the form shows and runs it. Pure. */

export interface NewColumn {
  readonly name: string;
  readonly type: string;
  readonly isKey: boolean;
  readonly notNull: boolean;
  /** SQL; empty for none. */
  readonly defaultSql: string;
}

export interface NewTable {
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly NewColumn[];
  readonly rls: boolean;
}

const name = (text: string) => `"${text.replaceAll('"', '""')}"`;

export function createTableSql({ schema, name: table, columns, rls }: NewTable): string {
  const full = `${name(schema)}.${name(table)}`;
  const lines = columns.map(
    (column) =>
      `  ${name(column.name)} ${column.type}${column.notNull && !column.isKey ? " not null" : ""}${
        column.defaultSql.trim() === ""
          ? ""
          : ` ${/^generated\b/i.test(column.defaultSql.trim()) ? "" : "default "}${column.defaultSql.trim()}`
      }`,
  );
  const key = columns.filter(({ isKey }) => isKey).map((column) => name(column.name));
  if (key.length > 0) lines.push(`  primary key (${key.join(", ")})`);
  return `create table ${full} (\n${lines.join(",\n")}\n);${rls ? `\nalter table ${full} enable row level security;` : ""}`;
}
