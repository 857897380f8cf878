/** INSERT, UPDATE and DELETE that return what the response needs and no more. */
import type { PlannedCondition } from "../plan/read-plan.ts";
import type { Relation } from "../schema-cache/types.ts";
import { columnReference, filterCondition } from "./condition-sql.ts";
import { type PayloadRows, payloadRows, payloadValues } from "./payload-sql.ts";
import { quoteIdentifier, quoteQualified, type SqlWriter } from "./sql.ts";

export interface Returning {
  /** Names of columns and computed fields; `*` for all columns. Empty: only that there was a row. */
  readonly columns: readonly string[];
}

export interface Upsert {
  readonly resolution: "merge" | "ignore";
  readonly conflictColumns: readonly string[];
}

const BODY = '"pgrst_body"';

/** Counts in a setting of the transaction, as neither views nor partitioned tables can return `xmax`. */
const COUNT_UPDATED = `set_config('pgrst.updated', (coalesce(nullif(current_setting('pgrst.updated', true), ''), '0')::int + 1)::text, true) IS NOT NULL`;
/** How many rows an upsert found to be there already. */
export const UPDATED_COUNT = `coalesce(nullif(current_setting('pgrst.updated', true), ''), '0')`;

export function insertSql(
  writer: SqlWriter,
  relation: Relation,
  rows: PayloadRows,
  upsert: Upsert | null,
  /** Of a PUT: what the payload's row must say. */
  mustHold: readonly PlannedCondition[],
  returning: Returning,
): string {
  const columns = rows.columns.map(({ name }) => quoteIdentifier(name));
  const isBare = columns.length === 0 && rows.shape === "object";
  const values = isBare ? " DEFAULT VALUES" : insertedRows(writer, rows, columns, mustHold);
  const conflict = conflictClause(upsert, columns);
  return `INSERT INTO ${quoteQualified(relation)}${values}${conflict}${returningClause(relation, returning)}`;
}

function insertedRows(
  writer: SqlWriter,
  rows: PayloadRows,
  columns: readonly string[],
  mustHold: readonly PlannedCondition[],
): string {
  const list = columns.length === 0 ? "" : `(${columns.join(", ")})`;
  const source = `SELECT ${payloadValues(rows, BODY).join(", ")} FROM ${payloadRows(writer, rows, BODY)}`;
  return `${list} ${source}${whereClause(writer, mustHold, BODY)}`;
}

function conflictClause(upsert: Upsert | null, columns: readonly string[]): string {
  if (upsert === null) return "";
  const target = upsert.conflictColumns.map(quoteIdentifier).join(", ");
  if (upsert.resolution === "ignore" || columns.length === 0) return ` ON CONFLICT (${target}) DO NOTHING`;
  const assignments = columns.map((column) => `${column} = EXCLUDED.${column}`).join(", ");
  return ` ON CONFLICT (${target}) DO UPDATE SET ${assignments} WHERE ${COUNT_UPDATED}`;
}

export function updateSql(
  writer: SqlWriter,
  relation: Relation,
  rows: PayloadRows,
  conditions: readonly PlannedCondition[],
  returning: Returning,
): string {
  const target = quoteQualified(relation);
  const alias = quoteIdentifier(relation.name);
  if (rows.columns.length === 0) {
    // Nothing to set: no row is touched, but the columns asked for must exist and be readable all the same.
    return `SELECT ${returningList(relation, returning)} FROM ${target} WHERE FALSE`;
  }
  const values = payloadValues(rows, BODY);
  const assignments = rows.columns.map(({ name }, index) => `${quoteIdentifier(name)} = ${values[index]}`).join(", ");
  const body = payloadRows(writer, rows, BODY);
  const where = whereClause(writer, conditions, alias);
  return `UPDATE ${target} SET ${assignments} FROM ${body}${where}${returningClause(relation, returning)}`;
}

export function deleteSql(
  writer: SqlWriter,
  relation: Relation,
  conditions: readonly PlannedCondition[],
  returning: Returning,
): string {
  const where = whereClause(writer, conditions, quoteIdentifier(relation.name));
  return `DELETE FROM ${quoteQualified(relation)}${where}${returningClause(relation, returning)}`;
}

function whereClause(writer: SqlWriter, conditions: readonly PlannedCondition[], alias: string): string {
  if (conditions.length === 0) return "";
  return ` WHERE ${conditions.map((condition) => writeCondition(writer, condition, alias)).join(" AND ")}`;
}

/** Writes know no embeds: a null filter on one cannot be planned for them. */
function writeCondition(writer: SqlWriter, condition: PlannedCondition, alias: string): string {
  switch (condition.kind) {
    case "filter": {
      const { field, negated, operation } = condition;
      return filterCondition(writer, columnReference(alias, field.name), field, negated, operation);
    }
    case "group": {
      const members = condition.members.map((member) => writeCondition(writer, member, alias));
      const text = `(${members.join(condition.operator === "and" ? " AND " : " OR ")})`;
      return condition.negated ? `NOT ${text}` : text;
    }
    case "embedNull":
      throw new Error("a write cannot be filtered by an embed");
  }
}

function returningClause(relation: Relation, returning: Returning): string {
  return ` RETURNING ${returningList(relation, returning)}`;
}

function returningList(relation: Relation, { columns }: Returning): string {
  const alias = quoteIdentifier(relation.name);
  return columns.length === 0 ? "1" : columns.map((name) => columnReference(alias, name)).join(", ");
}
