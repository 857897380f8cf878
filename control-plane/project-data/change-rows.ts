/** Inserts, updates and deletes of a table's rows: all of them or none. */
import { Conflict, InvalidInput, UserError } from "../errors.ts";
import type { Relation } from "./catalog.ts";
import type { DataSession } from "./data-session.ts";
import { keySql, Parameters, quoteName, shownCell } from "./row-sql.ts";
import { checkKey } from "./table-rows.ts";

export const CHANGE_LIMITS = { changes: 1_000, bytes: 16_000_000 } as const;

export type Values = Readonly<Record<string, string | null>>;

export interface RowUpdate {
  readonly key: Values;
  /** What the columns held when they were read: another value in there now stops everything. */
  readonly old: Values;
  readonly new: Values;
}

export interface Changes {
  readonly inserts: readonly Values[];
  readonly updates: readonly RowUpdate[];
  readonly deletes: readonly Values[];
}

export interface ChangeCounts {
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
}

/**
 * @throws {Conflict} a row is not what it was or gone; `change` and `index` name it and `present` is what it holds now.
 * @throws {UserError} SQL_ERROR with `change` and `index`.
 */
export async function applyChanges(session: DataSession, relation: Relation, changes: Changes): Promise<ChangeCounts> {
  const table = `${quoteName(relation.schema)}.${quoteName(relation.name)}`;
  for (const [index, key] of changes.deletes.entries()) {
    checkKey(relation, key);
    const parameters = new Parameters();
    const sql = `/* changeRows: delete */ delete from ${table} t where ${keySql(key, parameters)}`;
    const count = await named("delete", index, () => session.change(sql, parameters.values));
    if (count !== 1) throw await conflict(session, relation, "delete", index, key);
  }
  for (const [index, update] of changes.updates.entries()) {
    checkKey(relation, update.key);
    checkColumns(relation, update.old);
    checkColumns(relation, update.new);
    if (Object.keys(update.new).length === 0) continue;
    const parameters = new Parameters();
    const set = Object.entries(update.new).map(([name, value]) => `${quoteName(name)} = ${parameters.add(value)}`);
    const where = [
      keySql(update.key, parameters),
      ...Object.entries(update.old).map(
        ([name, value]) => `t.${quoteName(name)}::text is not distinct from ${parameters.add(value)}::text`,
      ),
    ];
    const sql = `/* changeRows: update */ update ${table} t set ${set.join(", ")} where ${where.join(" and ")}`;
    const count = await named("update", index, () => session.change(sql, parameters.values));
    if (count !== 1) throw await conflict(session, relation, "update", index, update.key);
  }
  for (const [index, values] of changes.inserts.entries()) {
    checkColumns(relation, values);
    const parameters = new Parameters();
    const names = Object.keys(values).map(quoteName);
    const places = Object.values(values).map((value) => parameters.add(value));
    const sql =
      names.length === 0
        ? `/* changeRows: insert */ insert into ${table} default values`
        : `/* changeRows: insert */ insert into ${table} (${names.join(", ")}) values (${places.join(", ")})`;
    await named("insert", index, () => session.change(sql, parameters.values));
  }
  return {
    inserted: changes.inserts.length,
    updated: changes.updates.length,
    deleted: changes.deletes.length,
  };
}

function checkColumns({ columns }: Relation, values: Values): void {
  for (const name of Object.keys(values)) {
    if (!columns.some((column) => column.name === name))
      throw new InvalidInput("columns", `there is no column ${JSON.stringify(name)}`);
  }
}

async function named<T>(change: string, index: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { message, code, detail, hint, column } = error as Record<string, string | undefined>;
    if (code === undefined) throw error;
    throw new UserError("SQL_ERROR", message ?? "", {
      sqlState: code,
      detail: detail ?? null,
      hint: hint ?? null,
      column: column ?? null,
      change,
      index,
    });
  }
}

async function conflict(session: DataSession, relation: Relation, change: string, index: number, key: Values) {
  const parameters = new Parameters();
  const names = relation.columns.map(({ name }) => name);
  const [row] = await session.rows(
    `/* changeRows: present */ select ${names.map(shownCell).join(", ")}
     from ${quoteName(relation.schema)}.${quoteName(relation.name)} t where ${keySql(key, parameters)}`,
    parameters.values,
  );
  const present = row
    ? Object.fromEntries(names.map((name, at) => [name, row[at] == null ? null : (row[at]?.slice(1) ?? null)]))
    : null;
  const why = present
    ? "the row was changed meanwhile, or this identity may not change it"
    : "the row is gone, or not visible to this identity";
  return new Conflict(`${why}; nothing was saved`, { change, index, present });
}
