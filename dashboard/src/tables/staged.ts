/** Edits that wait for their review: what was there, what is to be there, and the SQL that does it. Pure. */

export type Values = Readonly<Record<string, string | null>>;

export interface StagedUpdate {
  readonly key: Values;
  readonly old: Values;
  readonly new: Values;
}

export interface Staged {
  /** By the row's key as text. */
  readonly updates: Readonly<Record<string, StagedUpdate>>;
  readonly inserts: readonly Values[];
  readonly deletes: Readonly<Record<string, Values>>;
}

export const NOTHING: Staged = { updates: {}, inserts: [], deletes: {} };

export function keyText(key: Values): string {
  return JSON.stringify(Object.entries(key).sort(([one], [other]) => (one < other ? -1 : 1)));
}

export function countStaged({ updates, inserts, deletes }: Staged): number {
  return Object.keys(updates).length + inserts.length + Object.keys(deletes).length;
}

/** A cell that gets its old value back is no change any more. */
export function stageCell(
  staged: Staged,
  key: Values,
  column: string,
  old: string | null,
  value: string | null,
): Staged {
  const id = keyText(key);
  const known = staged.updates[id] ?? { key, old: {}, new: {} };
  const before = column in known.old ? (known.old[column] ?? null) : old;
  const { [id]: _, ...others } = staged.updates;
  if (before === value) {
    const { [column]: _old, ...restOld } = known.old;
    const { [column]: _new, ...restNew } = known.new;
    const isLeft = Object.keys(restNew).length > 0;
    return { ...staged, updates: isLeft ? { ...others, [id]: { key, old: restOld, new: restNew } } : others };
  }
  const update = { key, old: { ...known.old, [column]: before }, new: { ...known.new, [column]: value } };
  return { ...staged, updates: { ...others, [id]: update } };
}

export function stageInsert(staged: Staged, values: Values): Staged {
  return { ...staged, inserts: [...staged.inserts, values] };
}

/** Takes the mark away again when it is there already. */
export function stageDelete(staged: Staged, key: Values): Staged {
  const id = keyText(key);
  const { [id]: known, ...others } = staged.deletes;
  return { ...staged, deletes: known ? others : { ...staged.deletes, [id]: key } };
}

/** Deleted rows are not changed before. */
export function toInput({ updates, inserts, deletes }: Staged) {
  return {
    inserts: [...inserts],
    updates: Object.entries(updates)
      .filter(([id]) => !deletes[id])
      .map(([, update]) => update),
    deletes: Object.values(deletes),
  };
}

const name = (text: string) => `"${text.replaceAll('"', '""')}"`;
const literal = (value: string | null) => (value === null ? "null" : `'${value.replaceAll("'", "''")}'`);
const pairs = (values: Values, between: string) =>
  Object.entries(values)
    .map(([column, value]) => `${name(column)} = ${literal(value)}`)
    .join(between);

/** As it reads; the server sends the values as parameters and compares what was there as well. */
export function toSql(schema: string, relation: string, staged: Staged): string {
  const table = `${name(schema)}.${name(relation)}`;
  const { inserts, updates, deletes } = toInput(staged);
  return [
    ...deletes.map((key) => `delete from ${table} where ${pairs(key, " and ")};`),
    ...updates.map((update) => `update ${table} set ${pairs(update.new, ", ")} where ${pairs(update.key, " and ")};`),
    ...inserts.map((values) =>
      Object.keys(values).length === 0
        ? `insert into ${table} default values;`
        : `insert into ${table} (${Object.keys(values).map(name).join(", ")}) values (${Object.values(values).map(literal).join(", ")});`,
    ),
  ].join("\n");
}
