/** What PostgreSQL said about a person's statement, in the fields an editor can show. */
import { UserError } from "../errors.ts";
import { findMigrationHint } from "./migration-hints.ts";

interface ServerError {
  readonly message: string;
  readonly code?: string | undefined;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
  readonly position?: string | undefined;
  readonly where?: string | undefined;
}

/** Error code SQL_ERROR; `extensions` hold sqlState, detail, hint, where, position (1-based, in the script) and line. */
export class SqlError extends UserError {
  /** @param offset characters of the script before the statement that failed. */
  constructor(script: string, error: ServerError, offset: number) {
    const within = error.position === undefined ? Number.NaN : Number(error.position);
    const position = Number.isInteger(within) ? offset + within : null;
    super("SQL_ERROR", error.message, {
      sqlState: error.code ?? null,
      detail: error.detail ?? null,
      hint: error.hint ?? findMigrationHint(error.code, error.message),
      where: error.where ?? null,
      position,
      line: position === null ? null : script.slice(0, position - 1).split("\n").length,
    });
  }
}

/** The script was stopped by a limit of the runner rather than by PostgreSQL. SQLSTATE 57014 as for any cancel. */
export function stoppedBy(script: string, reason: string): SqlError {
  return new SqlError(script, { message: reason, code: "57014" }, 0);
}
