/** What subscribers are told of one change: JSON text, built by concatenation so that no digit is lost on the way. */
import type { ChangeType } from "./binding.ts";
import type { Column, Table } from "./catalogue.ts";
import { toJson } from "./json-value.ts";
import { OMITTED, type TupleValue, UNCHANGED } from "./pgoutput/decode.ts";

/** Values by column; a column that is not there is not told. */
export type Values = ReadonlyMap<Column, TupleValue>;

export interface Change {
  readonly table: Table;
  readonly type: ChangeType;
  readonly committedAtMs: number;
  /** Of the transaction, its lower 32 bits. */
  readonly xid: number;
  /** The new row; null for a deletion. */
  readonly row: Values | null;
  /** The old row's identity, or all of it where the replica identity is FULL; null for an insertion. */
  readonly old: Values | null;
}

/** JSON of values that only the database could convert. */
export type Conversions = ReadonlyMap<Column, ReadonlyMap<string, string>>;

const MAX_BYTES = 1_048_576;
/** What is left of a change that is larger. */
const MAX_VALUE_BYTES = 64;

/**
 * The member `data` for a role that may read these columns.
 * @param isShown Whether the column is readable and wanted.
 */
export function changeData(
  change: Change,
  isShown: (column: Column) => boolean,
  conversions: Conversions,
  isKeyOnly: boolean,
): string {
  const { table, row } = change;
  const old = change.old !== null && isKeyOnly ? keyOf(table, change.old) : change.old;
  const record = row === null ? null : members(row, isShown, conversions);
  const oldRecord = old === null ? null : members(old, isShown, conversions);
  const bytes = bytesOf(record) + bytesOf(oldRecord);
  const isTooLarge = bytes > MAX_BYTES || hasOmitted(row) || hasOmitted(old);
  // The stream may be behind the catalogue: columns are named as they were when the row was written.
  const known = row === null ? table.columns : [...row.keys()].sort((one, other) => one.number - other.number);
  const columns = known
    .filter((column) => isShown(column))
    .map(({ name, typeName }) => `{"name":${JSON.stringify(name)},"type":${JSON.stringify(typeName)}}`);
  let text = head(change, `[${columns.join(",")}]`);
  if (record !== null) text += `,"record":${join(record, isTooLarge)}`;
  if (oldRecord !== null) text += `,"old_record":${join(oldRecord, isTooLarge)}`;
  return `${text},"errors":${isTooLarge ? '["Error 413: Payload Too Large"]' : "null"}}`;
}

/** In place of a change that cannot be told. */
export function changeError(change: Change, error: string): string {
  const { schema, name } = change.table;
  const names = `"schema":${JSON.stringify(schema)},"table":${JSON.stringify(name)},"type":"${change.type}"`;
  const old = change.type === "UPDATE" ? ',"old_record":{}' : "";
  return `{${names},"commit_timestamp":null,"columns":[],"record":{}${old},"errors":[${JSON.stringify(error)}]}`;
}

function head({ table, type, committedAtMs }: Change, columns: string): string {
  const time = new Date(committedAtMs).toISOString();
  const names = `"schema":${JSON.stringify(table.schema)},"table":${JSON.stringify(table.name)},"type":"${type}"`;
  return `{${names},"commit_timestamp":"${time}","columns":${columns}`;
}

interface MemberText {
  readonly name: string;
  readonly value: string;
}

function members(values: Values, isShown: (column: Column) => boolean, conversions: Conversions): MemberText[] {
  const shown: MemberText[] = [];
  for (const [column, value] of values) {
    if (value === UNCHANGED || value === OMITTED || !isShown(column)) continue;
    const json =
      value === null
        ? "null"
        : (conversions.get(column)?.get(value as string) ?? toJson(column.conversion, value as string));
    shown.push({ name: JSON.stringify(column.name), value: json });
  }
  return shown;
}

function join(shown: readonly MemberText[], isTooLarge: boolean): string {
  const kept = isTooLarge ? shown.filter(({ value }) => Buffer.byteLength(value) <= MAX_VALUE_BYTES) : shown;
  return `{${kept.map(({ name, value }) => `${name}:${value}`).join(",")}}`;
}

function bytesOf(shown: readonly MemberText[] | null): number {
  let bytes = 0;
  for (const { name, value } of shown ?? []) bytes += name.length + Buffer.byteLength(value) + 2;
  return bytes;
}

function hasOmitted(values: Values | null): boolean {
  if (values) for (const value of values.values()) if (value === OMITTED) return true;
  return false;
}

function keyOf(table: Table, values: Values): Values {
  return new Map([...values].filter(([column]) => table.primaryKey.includes(column)));
}
