/** Relations as the stream describes them, and their rows by the catalogue's columns. */
import type { Column, Table } from "./catalogue.ts";
import type { Change, Values } from "./change-message.ts";
import { type Relation, type ReplicationMessage, type Tuple, type TupleValue, UNCHANGED } from "./pgoutput/decode.ts";

export interface KnownRelation {
  readonly relation: Relation;
  readonly table: Table;
  /** The relation's columns in the table, in the stream's order. */
  readonly columns: readonly (Column | undefined)[];
}

/** Pure. */
export function knownRelation(relation: Relation, table: Table): KnownRelation {
  return { relation, table, columns: columnsOf(relation, table) };
}

/** Pure: whether the catalogue says the same of the table as the stream. */
export function isAsInCatalogue({ relation, table }: KnownRelation): boolean {
  const hasColumns = relation.columns.every(({ name }) => table.columnsByName.has(name));
  return hasColumns && sameIdentity(relation, table) && table.name === relation.table;
}

/** Pure. @returns Null for a message that changes no row. */
export function changeOf(
  message: ReplicationMessage,
  known: KnownRelation,
  transaction: Pick<Change, "committedAtMs" | "xid">,
): Change | null {
  const { table, relation } = known;
  const common = { table, ...transaction };
  switch (message.tag) {
    case "insert":
      return { ...common, type: "INSERT", row: valuesOf(known, message.row), old: null };
    case "update": {
      const old = message.old && valuesOf(known, message.old);
      const row = filled(valuesOf(known, message.row), relation.replicaIdentity === "f" ? old : null);
      return { ...common, type: "UPDATE", row, old: identityOf(known, old, message.oldIsKey, row) };
    }
    case "delete": {
      const old = valuesOf(known, message.old);
      return { ...common, type: "DELETE", row: null, old: identityOf(known, old, message.oldIsKey, old) };
    }
    default:
      return null;
  }
}

/** Pure: a value as filters look at it; undefined when the change does not tell it. */
export function valueForFilter(value: TupleValue | undefined): string | null | undefined {
  return typeof value === "symbol" ? undefined : value;
}

/** The table's columns in the relation's order; one that was renamed since then is known by its place. */
function columnsOf(relation: Relation, table: Table): (Column | undefined)[] {
  const names = new Set(relation.columns.map(({ name }) => name));
  const stored = table.columns.filter(({ isGenerated, name }) => !isGenerated || names.has(name));
  return relation.columns.map(({ name }, index) => {
    const column = table.columnsByName.get(name);
    if (column) return column;
    const inPlace = stored[index];
    return inPlace && !names.has(inPlace.name) ? { ...inPlace, name } : undefined;
  });
}

function valuesOf({ columns }: KnownRelation, tuple: Tuple): Map<Column, TupleValue> {
  const values = new Map<Column, TupleValue>();
  tuple.forEach((value, index) => {
    const column = columns[index];
    if (column) values.set(column, value);
  });
  return values;
}

/** A large value that was left alone is in the old row, when that was sent whole. */
function filled(row: Map<Column, TupleValue>, old: Values | null): Map<Column, TupleValue> {
  if (!old) return row;
  for (const [column, value] of row) {
    const before = old.get(column);
    if (value === UNCHANGED && before !== undefined) row.set(column, before);
  }
  return row;
}

/** Without an old row its key is the new one's: PostgreSQL sends the old one only when it was another. */
function identityOf(
  { relation, columns }: KnownRelation,
  old: Values | null,
  oldIsKey: boolean,
  row: Values,
): Map<Column, TupleValue> {
  const keys = columns.filter(
    (column, index): column is Column => column !== undefined && relation.columns[index]?.isKey === true,
  );
  const isWhole = old !== null && !oldIsKey;
  const source = old ?? row;
  const wanted = isWhole ? columns.filter((column) => column !== undefined) : keys;
  return new Map(wanted.flatMap((column) => (source.has(column) ? [[column, source.get(column) as TupleValue]] : [])));
}

/** The stream names the identity's columns; for the primary key they are the catalogue's. */
function sameIdentity(relation: Relation, table: Table): boolean {
  if (relation.replicaIdentity !== "d") return true;
  const keys = relation.columns.filter(({ isKey }) => isKey).map(({ name }) => name);
  return keys.length === table.primaryKey.length && table.primaryKey.every(({ name }) => keys.includes(name));
}
