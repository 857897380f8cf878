/** What the service knows of a database between reloads. All of it is immutable; a reload replaces it whole. */

export interface QualifiedName {
  readonly schema: string;
  readonly name: string;
}

export interface Column {
  readonly name: string;
  /** As a column definition has it, schema-qualified and with its length: `character varying(5)`. */
  readonly type: string;
  /** `type` without its domains, without a length. */
  readonly baseType: string;
  readonly maxLength: number | null;
  readonly nullable: boolean;
  /** SQL expression; null when there is none, or when the column is computed by the table. */
  readonly defaultExpression: string | null;
  readonly enumLabels: readonly string[];
  readonly comment: string | null;
  /** Name of the domain the column has, for its representations. */
  readonly domain: string | null;
}

export interface Relation extends QualifiedName {
  readonly oid: number;
  readonly isView: boolean;
  readonly columns: ReadonlyMap<string, Column>;
  /** Empty when there is none; of a view, the keys of its tables that it shows whole. */
  readonly primaryKey: readonly string[];
  readonly insertable: boolean;
  readonly updatable: boolean;
  readonly deletable: boolean;
  readonly comment: string | null;
}

export type ColumnPair = readonly [from: string, to: string];

/** One way from a relation to another. Pairs are (column of the source, column of the target). */
export type Relationship =
  | {
      readonly kind: "foreignKey";
      readonly cardinality: "one-to-many" | "many-to-one" | "one-to-one";
      readonly constraint: string;
      readonly columns: readonly ColumnPair[];
      /** Of a one-to-one: true on the side that refers to the other. */
      readonly refers: boolean;
      readonly source: Relation;
      readonly target: Relation;
    }
  | {
      readonly kind: "junction";
      readonly cardinality: "many-to-many";
      readonly junction: Relation;
      /** (column of the junction, column of the source) and (column of the junction, column of the target). */
      readonly toSource: JunctionSide;
      readonly toTarget: JunctionSide;
      readonly source: Relation;
      readonly target: Relation;
    }
  | {
      readonly kind: "computed";
      readonly cardinality: "computed-to-one" | "computed-to-many";
      readonly function: QualifiedName;
      readonly source: Relation;
      readonly target: Relation;
    };

export interface JunctionSide {
  readonly constraint: string;
  readonly columns: readonly ColumnPair[];
}

export interface Parameter {
  readonly name: string;
  /** As declared. */
  readonly declaredType: string;
  /** Type to cast a value to: one that has no length of its own. */
  readonly type: string;
  readonly required: boolean;
  readonly variadic: boolean;
}

export type ReturnShape =
  | { readonly kind: "void" }
  /** Also records without a definition, which cannot stand in FROM. `mediaType` when its type is a domain named like one. */
  | { readonly kind: "scalar"; readonly set: boolean; readonly mediaType: MediaDomain | null }
  /** `relation` when the type is that of a table or view. */
  | { readonly kind: "composite"; readonly set: boolean; readonly relation: QualifiedName | null };

export interface MediaDomain {
  /** Lower-case `type/subtype`, or the domain that stands for all: any type. */
  readonly name: string;
  readonly binary: boolean;
}

export interface Routine extends QualifiedName {
  readonly parameters: readonly Parameter[];
  readonly returns: ReturnShape;
  readonly volatility: "volatile" | "stable" | "immutable";
  /** Settings of the function in its own order, `name` and `value`. */
  readonly settings: readonly (readonly [name: string, value: string])[];
  readonly comment: string | null;
}

/** An aggregate that makes the body of a media type. */
export interface MediaHandler {
  readonly aggregate: QualifiedName;
  readonly mediaType: MediaDomain;
  /** Row type it takes; null takes any. */
  readonly relation: QualifiedName | null;
}

/** Functions of a domain's casts; null where there is no such cast. */
export interface Representation {
  readonly toJson: QualifiedName | null;
  readonly fromJson: QualifiedName | null;
  readonly fromText: QualifiedName | null;
}

/** What a role's own settings do to a request that runs as it. */
export interface RoleSettings {
  readonly isolation: Isolation | null;
  readonly settings: readonly (readonly [name: string, value: string])[];
}

export type Isolation = "read committed" | "repeatable read" | "serializable";

export interface SchemaCache {
  findRelation(schema: string, name: string): Relation | null;
  relationsOf(schema: string): readonly Relation[];
  findRoutines(schema: string, name: string): readonly Routine[];
  routineNamesOf(schema: string): readonly string[];
  /** Every relationship from this relation into its schema, in a settled order. */
  relationshipsOf(relation: Relation, schema: string): readonly Relationship[];
  /** Whether it has any relationship at all, be it with what is not exposed. */
  isRelated(relation: Relation): boolean;
  readonly handlers: readonly MediaHandler[];
  /** PostGIS's function that makes a GeoJSON feature of a row; null where PostGIS is not installed. */
  readonly geoJsonFunction: QualifiedName | null;
  findRepresentation(domain: string): Representation | null;
  findRoleSettings(role: string): RoleSettings | null;
  /** Comment of an exposed schema. */
  schemaComment(schema: string): string | null;
  readonly serverVersion: number;
  /** Names of all there is, by schema. */
  outline(): Readonly<Record<string, { readonly relations: readonly string[]; readonly routines: readonly string[] }>>;
  /** Roughly what it takes of the process's memory. */
  readonly approximateBytes: number;
}
