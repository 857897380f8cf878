/** Makes a schema cache out of catalogue rows. Pure but for `load`, which reads them. */
import type { ProjectDatabase } from "../../database/database.ts";
import { Slices } from "../../work/slices.ts";
import {
  type BaseColumnRow,
  type CatalogueRows,
  type ColumnRow,
  type IntrospectionScope,
  type RoutineRow,
  readBaseColumns,
  readCatalogue,
  readSize,
  type SchemaSize,
} from "./introspection.ts";
import { type Exposure, RelationshipIndex } from "./relationships.ts";
import type {
  Column,
  Isolation,
  MediaDomain,
  MediaHandler,
  Parameter,
  QualifiedName,
  Relation,
  Relationship,
  Representation,
  ReturnShape,
  RoleSettings,
  Routine,
  SchemaCache,
} from "./types.ts";
import { type ViewColumn, viewColumnsOf } from "./view-columns.ts";

/** A configured schema is not there; PostgREST refuses to start then. */
export class MissingSchemas extends Error {
  constructor(schemas: readonly string[]) {
    super(`schemas that are to be exposed do not exist: ${schemas.join(", ")}`);
  }
}

/** A project has more in its exposed schemas than this installation serves. */
export class SchemaTooLarge extends Error {}

/**
 * Reads the catalogue in one transaction, and works on it in slices.
 * @throws {MissingSchemas} @throws {SchemaTooLarge} @throws {DatabaseError} @throws {ConnectionLost}
 */
export async function loadSchemaCache(
  database: ProjectDatabase,
  scope: IntrospectionScope & { readonly maxSchema: SchemaSize },
): Promise<SchemaCache> {
  const slices = new Slices(database.projectRef);
  const settings = { search_path: "", default_transaction_read_only: "on", statement_timeout: "30s" };
  return database.withTransaction(async (transaction) => {
    checkSize(await readSize(transaction, scope.schemas), scope.maxSchema);
    const rows = await readCatalogue(transaction, scope);
    if (rows.missingSchemas.length > 0) throw new MissingSchemas(rows.missingSchemas);
    const views = new Map(
      await slices.map(rows.views, ({ relation, tree }) => [relation, viewColumnsOf(tree)] as const),
    );
    const origins = new Set([...views.values()].flat().map((column) => column.originRelation));
    const baseColumns = await readBaseColumns(transaction, [...new Set([...origins, ...views.keys()])]);
    return buildSchemaCache(rows, views, baseColumns, slices);
  }, settings);
}

function checkSize(size: SchemaSize, most: SchemaSize): void {
  const tooMany = (["relations", "columns", "routines"] as const).filter((kind) => size[kind] > most[kind]);
  if (tooMany.length === 0) return;
  const names = { relations: "tables and views", columns: "columns", routines: "functions" };
  const parts = tooMany.map((kind) => `${size[kind]} ${names[kind]}, where at most ${most[kind]} are served`);
  throw new SchemaTooLarge(`The exposed schemas have ${parts.join(", and ")}`);
}

export async function buildSchemaCache(
  rows: CatalogueRows,
  views: ReadonlyMap<number, readonly ViewColumn[]>,
  baseColumns: readonly BaseColumnRow[],
  slices: Slices,
): Promise<SchemaCache> {
  const tracer = new ViewTracer(views, baseColumns);
  const columnRows = Map.groupBy(rows.columns, (row) => row.relation);
  const keyRows = Map.groupBy(rows.keys, (row) => row.relation);
  const primaryKeyOf = (table: number) => keyRows.get(table)?.find((key) => key.kind === "p")?.columns ?? [];

  const exposures = new Map<number, readonly Exposure[]>();
  const relations: Relation[] = await slices.map(rows.relations, (row) => {
    const ownColumns = columnRows.get(row.oid) ?? [];
    const ownExposures = row.is_view ? tracer.exposuresOf(row.oid) : [identityExposure(row.oid, ownColumns)];
    exposures.set(row.oid, ownExposures);
    return {
      oid: row.oid,
      schema: row.schema,
      name: row.name,
      isView: row.is_view,
      columns: new Map(
        ownColumns.map((column) => [
          column.name,
          columnOf(column, row.is_view ? tracer.defaultOf(row.oid, column.number) : null),
        ]),
      ),
      primaryKey: ownExposures.flatMap((exposure) => shownKey(exposure, primaryKeyOf(exposure.table))),
      insertable: (row.events & 8) !== 0,
      updatable: (row.events & 4) !== 0,
      deletable: (row.events & 16) !== 0,
      comment: row.comment,
    };
  });

  const isUnique = (table: number, columns: readonly string[]) =>
    keyRows.get(table)?.some((key) => sameSet(key.columns, columns)) ?? false;
  const index = new RelationshipIndex({
    relations,
    exposures,
    foreignKeys: rows.foreignKeys,
    isUnique,
    computed: rows.computedRelationships,
  });
  if (slices.isDue) await slices.pause();
  const routines = (await slices.map(rows.routines, routineOf)).filter(isCallable);
  return new BuiltSchemaCache(rows, relations, routines, index);
}

class BuiltSchemaCache implements SchemaCache {
  readonly handlers: readonly MediaHandler[];
  readonly geoJsonFunction: QualifiedName | null;
  readonly serverVersion: number;
  readonly approximateBytes: number;
  readonly #index: RelationshipIndex;
  readonly #relations = new Map<string, Map<string, Relation>>();
  readonly #routines = new Map<string, Map<string, Routine[]>>();
  readonly #representations = new Map<string, Representation>();
  readonly #roleSettings: ReadonlyMap<string, RoleSettings>;
  readonly #schemaComments: ReadonlyMap<string, string>;

  constructor(
    rows: CatalogueRows,
    relations: readonly Relation[],
    routines: readonly Routine[],
    index: RelationshipIndex,
  ) {
    this.#index = index;
    this.serverVersion = rows.serverVersion;
    for (const relation of relations) innerMap(this.#relations, relation.schema).set(relation.name, relation);
    for (const routine of routines) {
      const named = innerMap(this.#routines, routine.schema);
      const overloads = named.get(routine.name);
      if (overloads) overloads.push(routine);
      else named.set(routine.name, [routine]);
    }
    this.geoJsonFunction = rows.geoJsonSchema === null ? null : { schema: rows.geoJsonSchema, name: "st_asgeojson" };
    this.handlers = rows.handlers.map((row) => ({
      aggregate: { schema: row.schema, name: row.name },
      mediaType: { name: row.media_type.toLowerCase(), binary: row.binary },
      relation:
        row.relation_schema === null || row.relation === null
          ? null
          : { schema: row.relation_schema, name: row.relation },
    }));
    for (const row of rows.representations) {
      const before = this.#representations.get(row.domain) ?? { toJson: null, fromJson: null, fromText: null };
      this.#representations.set(row.domain, { ...before, [row.direction]: { schema: row.schema, name: row.name } });
    }
    this.#roleSettings = roleSettingsOf(rows);
    this.#schemaComments = new Map(rows.schemaComments.map(({ schema, comment }) => [schema, comment]));
    // Measured with heap snapshots of caches of 50 to 2,000 relations; what relationships add on use is not much.
    this.approximateBytes =
      50_000 +
      relations.length * 900 +
      rows.columns.length * 450 +
      rows.routines.length * 900 +
      rows.foreignKeys.length * 500;
  }

  findRelation(schema: string, name: string): Relation | null {
    return this.#relations.get(schema)?.get(name) ?? null;
  }

  relationsOf(schema: string): readonly Relation[] {
    return [...(this.#relations.get(schema)?.values() ?? [])];
  }

  findRoutines(schema: string, name: string): readonly Routine[] {
    return this.#routines.get(schema)?.get(name) ?? [];
  }

  routineNamesOf(schema: string): readonly string[] {
    return [...(this.#routines.get(schema)?.keys() ?? [])];
  }

  relationshipsOf(relation: Relation, schema: string): readonly Relationship[] {
    return this.#index.of(relation, schema);
  }

  isRelated(relation: Relation): boolean {
    return this.#index.isRelated(relation);
  }

  findRepresentation(domain: string): Representation | null {
    return this.#representations.get(domain) ?? null;
  }

  findRoleSettings(role: string): RoleSettings | null {
    return this.#roleSettings.get(role) ?? null;
  }

  outline() {
    const schemas = new Set([...this.#relations.keys(), ...this.#routines.keys()]);
    return Object.fromEntries(
      [...schemas].map((schema) => [
        schema,
        {
          relations: [...(this.#relations.get(schema)?.keys() ?? [])],
          routines: [...(this.#routines.get(schema)?.keys() ?? [])],
        },
      ]),
    );
  }

  schemaComment(schema: string): string | null {
    return this.#schemaComments.get(schema) ?? null;
  }
}

const MAX_VIEW_DEPTH = 64;

/** Follows the columns of views down to tables, through as many views as there are in between. */
class ViewTracer {
  readonly #views: ReadonlyMap<number, ReadonlyMap<number, ViewColumn>>;
  readonly #baseColumns: ReadonlyMap<number, ReadonlyMap<number, BaseColumnRow>>;

  constructor(views: ReadonlyMap<number, readonly ViewColumn[]>, baseColumns: readonly BaseColumnRow[]) {
    this.#views = new Map([...views].map(([view, columns]) => [view, new Map(columns.map((c) => [c.number, c]))]));
    this.#baseColumns = new Map(
      [...Map.groupBy(baseColumns, (row) => row.relation)].map(([relation, columns]) => [
        relation,
        new Map(columns.map((column) => [column.number, column])),
      ]),
    );
  }

  exposuresOf(view: number): readonly Exposure[] {
    const byTable = new Map<number, Map<string, string[]>>();
    for (const number of this.#views.get(view)?.keys() ?? []) {
      const origin = this.#originOf(view, number);
      const ownName = this.#baseColumns.get(view)?.get(number)?.name;
      if (!origin || ownName === undefined) continue;
      const columns = byTable.get(origin.relation) ?? new Map<string, string[]>();
      byTable.set(origin.relation, columns);
      columns.set(origin.name, [...(columns.get(origin.name) ?? []), ownName]);
    }
    return [...byTable].map(([table, columns]) => ({ table, columns }));
  }

  /** The default a view's column has of its own, or that of the nearest column behind it. */
  defaultOf(view: number, number: number): string | null {
    for (const [relation, column] of this.#stepsFrom(view, number)) {
      const found = this.#baseColumns.get(relation)?.get(column)?.default_expression;
      if (found) return found;
    }
    return null;
  }

  /** The table column at the end; null when the view computes the column. */
  #originOf(view: number, number: number): BaseColumnRow | null {
    let end: BaseColumnRow | null = null;
    for (const [relation, column] of this.#stepsFrom(view, number)) {
      end = this.#views.has(relation) ? null : (this.#baseColumns.get(relation)?.get(column) ?? null);
    }
    return end;
  }

  /** The column itself, the one it shows, and so on. `create or replace view` allows circles, so steps are counted. */
  *#stepsFrom(view: number, number: number): Generator<readonly [relation: number, column: number]> {
    let relation = view;
    let column = number;
    for (let step = 0; step < MAX_VIEW_DEPTH; step += 1) {
      yield [relation, column];
      const next = this.#views.get(relation)?.get(column);
      if (!next) return;
      relation = next.originRelation;
      column = next.originColumn;
    }
  }
}

function innerMap<V>(map: Map<string, Map<string, V>>, key: string): Map<string, V> {
  const inner = map.get(key) ?? new Map<string, V>();
  map.set(key, inner);
  return inner;
}

function identityExposure(table: number, columns: readonly ColumnRow[]): Exposure {
  return { table, columns: new Map(columns.map(({ name }) => [name, [name]])) };
}

/** The relation's names for a table's key, when it shows all of it. */
function shownKey(exposure: Exposure, key: readonly string[]): readonly string[] {
  const names = key.map((column) => exposure.columns.get(column)?.[0]);
  return names.every((name) => name !== undefined) ? names : [];
}

function sameSet(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((item) => right.includes(item));
}

function columnOf(row: ColumnRow, viewDefault: string | null): Column {
  return {
    name: row.name,
    type: row.type,
    baseType: row.base_type,
    maxLength: row.max_length,
    nullable: row.nullable,
    defaultExpression: row.default_expression ?? viewDefault ?? row.domain_default,
    enumLabels: row.enum_labels ?? [],
    comment: row.comment,
    domain: row.domain,
  };
}

const SCALAR_LENGTH = /^(character|bit)(\[\])?$/;

/** `character` and `bit` stand for a length of one, which would cut what is passed. */
function withoutLength(type: string): string {
  return type.replace(SCALAR_LENGTH, "$1 varying$2");
}

function routineOf(row: RoutineRow): Routine {
  const modes = row.argument_modes ?? row.argument_types.map(() => "i");
  const inputs = row.argument_types
    .map((type, index) => ({ type, mode: modes[index] ?? "i", name: row.argument_names?.[index] ?? "" }))
    .filter(({ mode }) => mode === "i" || mode === "b" || mode === "v");
  const parameters: Parameter[] = inputs.map(({ type, mode, name }, index) => ({
    name,
    declaredType: type,
    type: withoutLength(type),
    required: index < inputs.length - row.default_count,
    variadic: mode === "v",
  }));
  return {
    schema: row.schema,
    name: row.name,
    parameters,
    returns: returnShapeOf(row, modes),
    volatility: row.volatility === "v" ? "volatile" : row.volatility === "s" ? "stable" : "immutable",
    settings: (row.settings ?? []).map(splitSetting),
    comment: row.comment,
  };
}

const BODY_TYPES = ["json", "jsonb", "text", "xml", "bytea"];

/** Arguments are passed by name; only one that is the whole body needs none. */
function isCallable({ parameters }: Routine): boolean {
  if (parameters.every((parameter) => parameter.name !== "")) return true;
  return parameters.length === 1 && BODY_TYPES.includes(parameters[0]?.type ?? "");
}

function returnShapeOf(row: RoutineRow, modes: readonly string[]): ReturnShape {
  const hasOutputs = modes.some((mode) => mode === "o" || mode === "b" || mode === "t");
  if (row.return_type === "void" && !hasOutputs) return { kind: "void" };
  const relation: QualifiedName | null =
    row.return_relation === null || row.return_relation_schema === null
      ? null
      : { schema: row.return_relation_schema, name: row.return_relation };
  if (row.return_kind === "c" || hasOutputs) return { kind: "composite", set: row.returns_set, relation };
  const mediaType: MediaDomain | null =
    row.return_domain !== null && /^[^/]+\/[^/]+$/.test(row.return_domain) && !row.returns_set
      ? { name: row.return_domain.toLowerCase(), binary: row.return_base === "bytea" }
      : null;
  return { kind: "scalar", set: row.returns_set, mediaType };
}

function splitSetting(setting: string): readonly [string, string] {
  const equals = setting.indexOf("=");
  return [setting.slice(0, equals), setting.slice(equals + 1)];
}

const ISOLATION_SETTING = "default_transaction_isolation";

function roleSettingsOf(rows: CatalogueRows): ReadonlyMap<string, RoleSettings> {
  const merged = new Map<string, Map<string, string>>();
  for (const row of rows.roleSettings) {
    const settings = innerMap(merged, row.role);
    for (const [name, value] of row.settings.map(splitSetting)) settings.set(name, value);
  }
  return new Map(
    [...merged].map(([role, settings]) => [
      role,
      {
        isolation: parseIsolation(settings.get(ISOLATION_SETTING)),
        settings: [...settings].filter(([name]) => name !== ISOLATION_SETTING),
      },
    ]),
  );
}

/** Null for no setting and for the default. */
export function parseIsolation(value: string | undefined): Isolation | null {
  const isolation = value?.toLowerCase();
  return isolation === "repeatable read" || isolation === "serializable" ? isolation : null;
}
