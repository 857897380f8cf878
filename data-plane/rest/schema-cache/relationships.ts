/**
 * Relationships, worked out from the foreign keys on demand: a database has far more of them than are ever asked for
 * once every view of a table stands in for it.
 */
import type { ComputedRelationshipRow, ForeignKeyRow } from "./introspection.ts";
import type { ColumnPair, JunctionSide, Relation, Relationship } from "./types.ts";

/** The columns of one base table that a relation shows; a view may show one of them several times. */
export interface Exposure {
  readonly table: number;
  /** From the table's column names to the relation's. */
  readonly columns: ReadonlyMap<string, readonly string[]>;
}

/** A view that shows each key column many times would have as many relationships as their product. */
const MAX_COMBINATIONS = 64;
/** Of one relation by foreign keys: a thousand views of a table with a thousand keys would have a million. */
const MAX_DIRECT = 5_000;

export interface RelationshipSources {
  readonly relations: readonly Relation[];
  /** By the relation's OID. */
  readonly exposures: ReadonlyMap<number, readonly Exposure[]>;
  readonly foreignKeys: readonly ForeignKeyRow[];
  /** Whether the columns are a primary or unique key of the table. */
  readonly isUnique: (table: number, columns: readonly string[]) => boolean;
  readonly computed: readonly ComputedRelationshipRow[];
}

type ForeignKeyRelationship = Extract<Relationship, { kind: "foreignKey" }>;

export class RelationshipIndex {
  readonly #sources: RelationshipSources;
  readonly #byOid: ReadonlyMap<number, Relation>;
  readonly #exposersOf = new Map<number, { readonly relation: Relation; readonly exposure: Exposure }[]>();
  readonly #keysFrom = new Map<number, ForeignKeyRow[]>();
  readonly #keysTo = new Map<number, ForeignKeyRow[]>();
  readonly #direct = new Map<number, readonly ForeignKeyRelationship[]>();
  readonly #complete = new Map<string, readonly Relationship[]>();

  constructor(sources: RelationshipSources) {
    this.#sources = sources;
    this.#byOid = new Map(sources.relations.map((relation) => [relation.oid, relation]));
    for (const relation of sources.relations) {
      for (const exposure of sources.exposures.get(relation.oid) ?? []) {
        append(this.#exposersOf, exposure.table, { relation, exposure });
      }
    }
    for (const key of sources.foreignKeys) {
      append(this.#keysFrom, key.relation, key);
      append(this.#keysTo, key.target, key);
    }
  }

  /** All relationships of `source` with relations of `schema`. */
  of(source: Relation, schema: string): readonly Relationship[] {
    const cacheKey = `${source.oid}/${schema}`;
    const known = this.#complete.get(cacheKey);
    if (known) return known;
    const found = [...this.#foreignKeysOf(source), ...this.#junctionsOf(source), ...this.#computedOf(source)]
      .filter((relationship) => relationship.target.schema === schema)
      .sort(compareRelationships);
    this.#complete.set(cacheKey, found);
    return found;
  }

  isRelated(relation: Relation): boolean {
    const exposures = this.#sources.exposures.get(relation.oid) ?? [];
    return (
      exposures.some(({ table }) => this.#keysFrom.has(table) || this.#keysTo.has(table)) ||
      this.#sources.computed.some((row) => row.source === relation.oid)
    );
  }

  #foreignKeysOf(source: Relation): readonly ForeignKeyRelationship[] {
    const known = this.#direct.get(source.oid);
    if (known) return known;
    const found = this.#findForeignKeys(source);
    this.#direct.set(source.oid, found);
    return found;
  }

  #findForeignKeys(source: Relation): readonly ForeignKeyRelationship[] {
    const found: ForeignKeyRelationship[] = [];
    for (const exposure of this.#sources.exposures.get(source.oid) ?? []) {
      for (const key of this.#keysFrom.get(exposure.table) ?? []) {
        const unique = this.#sources.isUnique(key.relation, key.columns);
        for (const pairs of this.#pairsBetween(source, exposure, key.columns, key.target, key.target_columns)) {
          found.push({
            kind: "foreignKey",
            cardinality: unique ? "one-to-one" : "many-to-one",
            constraint: key.name,
            refers: true,
            ...pairs,
          });
          if (found.length === MAX_DIRECT) return found;
        }
      }
      for (const key of this.#keysTo.get(exposure.table) ?? []) {
        const unique = this.#sources.isUnique(key.relation, key.columns);
        for (const pairs of this.#pairsBetween(source, exposure, key.target_columns, key.relation, key.columns)) {
          found.push({
            kind: "foreignKey",
            cardinality: unique ? "one-to-one" : "one-to-many",
            constraint: key.name,
            refers: false,
            ...pairs,
          });
          if (found.length === MAX_DIRECT) return found;
        }
      }
    }
    return found;
  }

  /** Every way in which the source's columns and those of some relation over `targetTable` pair up. */
  *#pairsBetween(
    source: Relation,
    exposure: Exposure,
    columns: readonly string[],
    targetTable: number,
    targetColumns: readonly string[],
  ): Generator<{ source: Relation; target: Relation; columns: readonly ColumnPair[] }> {
    const own = combinations(exposure, columns);
    if (own.length === 0) return;
    for (const { relation: target, exposure: targetExposure } of this.#exposersOf.get(targetTable) ?? []) {
      for (const targetNames of combinations(targetExposure, targetColumns)) {
        for (const names of own) {
          yield { source, target, columns: names.map((name, index) => [name, targetNames[index] ?? ""] as const) };
        }
      }
    }
  }

  *#junctionsOf(source: Relation): Generator<Relationship> {
    let left = MAX_COMBINATIONS * 16;
    for (const first of this.#foreignKeysOf(source)) {
      if (first.refers) continue;
      const junction = first.target;
      const toSource = sideOf(first.constraint, first.columns.map(swap));
      for (const second of this.#foreignKeysOf(junction)) {
        if (!second.refers || second.target.oid === source.oid) continue;
        if (second.constraint === first.constraint) continue;
        const toTarget = sideOf(second.constraint, second.columns);
        if (!keyContains(junction.primaryKey, toSource, toTarget)) continue;
        yield {
          kind: "junction",
          cardinality: "many-to-many",
          junction,
          toSource,
          toTarget,
          source,
          target: second.target,
        };
        left -= 1;
        if (left === 0) return;
      }
    }
  }

  *#computedOf(source: Relation): Generator<Relationship> {
    for (const row of this.#sources.computed) {
      const target = this.#byOid.get(row.target);
      if (row.source !== source.oid || !target) continue;
      yield {
        kind: "computed",
        cardinality: row.to_one ? "computed-to-one" : "computed-to-many",
        function: { schema: row.schema, name: row.name },
        source,
        target,
      };
    }
  }
}

function append<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

/** The relation's names for the table's columns, in every combination; none when one of them is not shown. */
function combinations(exposure: Exposure, columns: readonly string[]): readonly (readonly string[])[] {
  let found: (readonly string[])[] = [[]];
  for (const column of columns) {
    const names = exposure.columns.get(column) ?? [];
    found = found.flatMap((before) => names.map((name) => [...before, name])).slice(0, MAX_COMBINATIONS);
  }
  return found;
}

function swap([from, to]: ColumnPair): ColumnPair {
  return [to, from];
}

function sideOf(constraint: string, columns: readonly ColumnPair[]): JunctionSide {
  return { constraint, columns };
}

/** A table joins two others when its primary key tells the pairs apart; what else the key holds does not matter. */
function keyContains(primaryKey: readonly string[], ...sides: readonly JunctionSide[]): boolean {
  return sides.every((side) => side.columns.every(([column]) => primaryKey.includes(column)));
}

const CARDINALITY_ORDER = [
  "one-to-many",
  "many-to-one",
  "one-to-one",
  "many-to-many",
  "computed-to-one",
  "computed-to-many",
];

function compareRelationships(left: Relationship, right: Relationship): number {
  return (
    compareTexts(left.target.name, right.target.name) ||
    CARDINALITY_ORDER.indexOf(left.cardinality) - CARDINALITY_ORDER.indexOf(right.cardinality) ||
    compareTexts(sortName(left), sortName(right))
  );
}

function sortName(relationship: Relationship): string {
  switch (relationship.kind) {
    case "foreignKey":
      return `${relationship.constraint}\0${relationship.columns.join()}`;
    case "junction":
      return `${relationship.junction.name}\0${relationship.toSource.constraint}\0${relationship.toTarget.constraint}`;
    case "computed":
      return relationship.function.name;
  }
}

function compareTexts(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
