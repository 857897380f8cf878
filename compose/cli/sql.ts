/** `supalove project sql`: runs SQL as the project's database user, shows results as tables. */
import { text } from "node:stream/consumers";
import type { GraphqlClient } from "./graphql-client.ts";
import { formatTable, printJson } from "./output.ts";

interface SqlResult {
  readonly results: readonly {
    readonly command: string;
    readonly columns: readonly { readonly name: string }[];
    readonly rows: readonly (readonly unknown[])[];
    readonly truncated: boolean;
  }[];
  readonly notices: readonly string[];
}

/** @throws {CommandError} with PostgreSQL's message. */
export async function executeSql(api: GraphqlClient, ref: string, sql: string): Promise<SqlResult> {
  const { runSql } = await api.request<{ runSql: SqlResult }>(
    `mutation RunSql($input: RunSqlInput!) {
       runSql(input: $input) { notices results { command truncated rows columns { name } } }
     }`,
    { input: { ref, sql } },
  );
  return runSql;
}

/** @param sql the statements, or `-` for standard input. */
export async function printSql(
  api: GraphqlClient,
  ref: string,
  sql: string,
  options: { json?: boolean },
): Promise<void> {
  const result = await executeSql(api, ref, sql === "-" ? await text(process.stdin) : sql);
  if (options.json) return printJson(result);
  for (const notice of result.notices) console.error(notice);
  for (const { command, columns, rows, truncated } of result.results) {
    if (columns.length > 0)
      console.log(
        formatTable(
          columns.map(({ name }) => name),
          rows.map((row) => row.map(cell)),
        ),
      );
    console.log(truncated ? `${command} (first ${rows.length} shown)` : command);
  }
}

function cell(value: unknown): string {
  if (value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}
