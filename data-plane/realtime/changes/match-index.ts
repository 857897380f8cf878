/**
 * Which bindings a change is for. Bindings that ask for one value of a column are found by that value, so ten thousand
 * subscribers of `room_id=eq.N` cost one look-up and not ten thousand comparisons.
 */
import type { Channel } from "../channel.ts";
import type { BindingSpec, ChangeType } from "./binding.ts";
import type { Column, Table } from "./catalogue.ts";
import { compileTest, equalityOf, type Filter, kindOf, type Test } from "./filter.ts";

/** One binding of a channel, as it holds for one table. */
export interface Entry {
  readonly channel: Channel;
  readonly id: number;
  readonly spec: BindingSpec;
  readonly tests: readonly CompiledFilter[];
  /** Columns that are sent; null for all that the role may read. */
  readonly select: string;
}

export interface CompiledFilter {
  readonly filter: Filter;
  readonly column: Column;
  /** Null: the database has to be asked. */
  readonly test: Test | null;
}

/** An entry, and the filters that only the database can decide. */
export interface Candidate {
  readonly entry: Entry;
  readonly undecided: readonly CompiledFilter[];
}

/** The value of a column: undefined when the change does not tell it. */
export type ValueOf = (column: Column) => string | null | undefined;

const NONE: readonly CompiledFilter[] = [];

/** Filters of a binding for one table. @throws {FilterError} when a column or a value does not fit. */
export function compileFilters(filters: readonly Filter[], table: Table): readonly CompiledFilter[] {
  return filters.flatMap((filter) => {
    const column = table.columnsByName.get(filter.column);
    if (!column) return [];
    const kind = kindOf(column.baseTypeName, column.collation !== null);
    return [{ filter, column, test: column.isGenerated ? null : compileTest(filter, kind, column.baseTypeName) }];
  });
}

export class MatchIndex {
  readonly #plain = new Set<Entry>();
  /** By column, then by value. */
  readonly #byValue = new Map<Column, Map<string, Set<Entry>>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(entry: Entry): void {
    this.#size += 1;
    this.#placeOf(entry, true)?.add(entry);
  }

  remove(entry: Entry): void {
    const place = this.#placeOf(entry, false);
    if (!place?.delete(entry)) return;
    this.#size -= 1;
    const key = indexKey(entry);
    if (place.size > 0 || !key) return;
    const values = this.#byValue.get(key.column);
    values?.delete(key.value);
    if (values?.size === 0) this.#byValue.delete(key.column);
  }

  /**
   * Those whom the change is for, one after the other, so that whoever goes through them can stop in between.
   * @param read Of the new row, or of the old row's identity for a deletion.
   * @returns Null stands for an entry that was looked at and does not want it.
   */
  *match(type: ChangeType, read: ValueOf): Generator<Candidate | null> {
    for (const entry of this.#plain) yield candidateOf(entry, type, read);
    for (const [column, values] of this.#byValue) {
      const value = read(column);
      if (typeof value !== "string") continue;
      for (const entry of values.get(value) ?? []) yield candidateOf(entry, type, read);
    }
  }

  /** Everybody who listens to this kind of change, whatever the filters say; null as above. */
  *all(type: ChangeType): Generator<Candidate | null> {
    for (const entry of this.#plain) yield wants(entry, type) ? { entry, undecided: NONE } : null;
    for (const values of this.#byValue.values())
      for (const set of values.values())
        for (const entry of set) yield wants(entry, type) ? { entry, undecided: NONE } : null;
  }

  #placeOf(entry: Entry, isMade: boolean): Set<Entry> | undefined {
    const key = indexKey(entry);
    if (!key) return this.#plain;
    let values = this.#byValue.get(key.column);
    if (!values && isMade) {
      values = new Map();
      this.#byValue.set(key.column, values);
    }
    let place = values?.get(key.value);
    if (!place && isMade) {
      place = new Set();
      values?.set(key.value, place);
    }
    return place;
  }
}

function wants({ spec }: Entry, type: ChangeType): boolean {
  return spec.event === "*" || spec.event === type;
}

function candidateOf(entry: Entry, type: ChangeType, read: ValueOf): Candidate | null {
  if (!wants(entry, type)) return null;
  let undecided: CompiledFilter[] | null = null;
  for (const compiled of entry.tests) {
    const value = read(compiled.column);
    if (value === undefined && !compiled.column.isGenerated) return null;
    if (compiled.test === null) {
      if (type === "DELETE" && value === undefined) return null;
      undecided ??= [];
      undecided.push(compiled);
    } else if (!compiled.test(value ?? null)) return null;
  }
  return { entry, undecided: undecided ?? NONE };
}

function indexKey({ tests }: Entry): { column: Column; value: string } | null {
  for (const { filter, column, test } of tests) {
    if (test === null) continue;
    const value = equalityOf(filter, kindOf(column.baseTypeName, column.collation !== null), column.baseTypeName);
    if (value !== null) return { column, value };
  }
  return null;
}
