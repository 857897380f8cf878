/** `supalove project sql`: runs SQL as the project's database user, shows results as tables. */
import { text } from "node:stream/consumers";
import { RunSqlDocument, type RunSqlMutation } from "./generated/operations.ts";
import type { GraphqlClient } from "./graphql-client.ts";
import { formatTable, printJson } from "./output.ts";

/** @throws {CommandError} with PostgreSQL's message. */
export async function executeSql(api: GraphqlClient, ref: string, sql: string): Promise<RunSqlMutation["runSql"]> {
  return (await api.request(RunSqlDocument, { input: { ref, sql } })).runSql;
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
          rows.map((row) => (row as unknown[]).map(cell)), // each is a list of values, which the schema calls JSON
        ),
      );
    console.log(truncated ? `${command} (first ${rows.length} shown)` : command);
  }
}

function cell(value: unknown): string {
  if (value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}
