/** All bindings of a project by what they listen to: one table, or every table of a schema or of the database. */
import { Slices } from "../../work/slices.ts";
import type { ChangeType } from "./binding.ts";
import type { Table } from "./catalogue.ts";
import { type Candidate, MatchIndex, type ValueOf } from "./match-index.ts";

/** Fewer are matched in a turn of the loop: that takes less than a slice. */
const MANY = 2_000;
/** Between two looks at the clock. */
const STEPS = 64;

export class BindingIndex {
  readonly #holder: string;
  readonly #byTable = new Map<number, MatchIndex>();
  /** `*`: of the whole database. A binding without a filter is the same for all its tables, so it is kept once. */
  readonly #bySchema = new Map<string, MatchIndex>();

  /** @param holder The project, for turns among others. */
  constructor(holder: string) {
    this.#holder = holder;
  }

  ofTable({ oid }: Table): MatchIndex {
    return madeOnce(this.#byTable, oid);
  }

  ofSchema(schema: string): MatchIndex {
    return madeOnce(this.#bySchema, schema);
  }

  clear(): void {
    this.#byTable.clear();
    this.#bySchema.clear();
  }

  hasListeners(table: Table): boolean {
    return this.#indexesOf(table).length > 0;
  }

  /**
   * Who may get the change. In slices when there are many: then a promise.
   * @param read Of the new row, or of the old row's identity for a deletion; null: everybody, whatever the filters say.
   */
  match(table: Table, type: ChangeType, read: ValueOf | null): Candidate[] | Promise<Candidate[]> {
    const indexes = this.#indexesOf(table);
    const found = candidatesOf(indexes, type, read);
    if (indexes.reduce((sum, { size }) => sum + size, 0) > MANY) return this.#inSlices(found);
    const candidates: Candidate[] = [];
    for (const candidate of found) if (candidate !== null) candidates.push(candidate);
    return candidates;
  }

  async #inSlices(found: Iterable<Candidate | null>): Promise<Candidate[]> {
    const slices = new Slices(this.#holder);
    const candidates: Candidate[] = [];
    let steps = 0;
    for (const candidate of found) {
      if (candidate !== null) candidates.push(candidate);
      steps += 1;
      if (steps % STEPS === 0 && slices.isDue) await slices.pause();
    }
    return candidates;
  }

  #indexesOf({ oid, schema }: Table): MatchIndex[] {
    return [this.#byTable.get(oid), this.#bySchema.get(schema), this.#bySchema.get("*")].filter(
      (index): index is MatchIndex => index !== undefined && index.size > 0,
    );
  }
}

function* candidatesOf(
  indexes: readonly MatchIndex[],
  type: ChangeType,
  read: ValueOf | null,
): Generator<Candidate | null> {
  for (const index of indexes) yield* read === null ? index.all(type) : index.match(type, read);
}

function madeOnce<Key>(indexes: Map<Key, MatchIndex>, key: Key): MatchIndex {
  let index = indexes.get(key);
  if (!index) {
    index = new MatchIndex();
    indexes.set(key, index);
  }
  return index;
}
