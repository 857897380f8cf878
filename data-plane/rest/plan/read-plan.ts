/** What a reading request wants, with every name resolved against the schema cache. */
import type { AggregateFunction, JsonOperation, Operation, OrderTerm, PageParameters } from "../request/query-types.ts";
import type { QualifiedName, Relation, Relationship, Representation } from "../schema-cache/types.ts";

/** A column, a computed field, or what the server will say does not exist. */
export interface PlannedField {
  readonly name: string;
  readonly jsonPath: readonly JsonOperation[];
  /** The type is another than json or jsonb, or not known (a function's result): a path into it begins with to_jsonb. */
  readonly pathNeedsJsonb: boolean;
  /** Whether a text search takes the field as it is; null when nothing is known of it. */
  readonly isTextVector: boolean | null;
  readonly representation: Representation | null;
}

export interface FieldItem {
  readonly kind: "field";
  readonly field: PlannedField;
  readonly key: string;
  readonly cast: string | null;
  /** Function that makes JSON of the column's domain; null: as it is. */
  readonly format: QualifiedName | null;
}

export type PlannedItem =
  | FieldItem
  /** All columns; `asRow` when they may be written as `t.*`, as none of them is formatted. */
  | { readonly kind: "star"; readonly columns: readonly FieldItem[]; readonly asRow: boolean }
  | {
      readonly kind: "aggregate";
      /** Null: count(*). */
      readonly field: PlannedField | null;
      readonly fieldCast: string | null;
      readonly function: AggregateFunction;
      readonly cast: string | null;
      readonly key: string;
    }
  | { readonly kind: "embed"; readonly embed: PlannedEmbed; readonly key: string }
  | { readonly kind: "spread"; readonly embed: PlannedEmbed };

export type PlannedCondition =
  | { readonly kind: "filter"; readonly field: PlannedField; readonly negated: boolean; readonly operation: Operation }
  /** True where the embed has no row (`negated`: where it has one). */
  | { readonly kind: "embedNull"; readonly embed: PlannedEmbed; readonly negated: boolean }
  | {
      readonly kind: "group";
      readonly negated: boolean;
      readonly operator: "and" | "or";
      readonly members: readonly PlannedCondition[];
    };

export type PlannedOrder = Pick<OrderTerm, "direction" | "nulls"> &
  (
    | { readonly embed: null; readonly field: PlannedField }
    | { readonly embed: PlannedEmbed; readonly field: PlannedField }
  );

export interface ReadNode {
  /** Null when rows come from a function whose result is no known relation. */
  readonly relation: Relation | null;
  readonly items: readonly PlannedItem[];
  readonly embeds: readonly PlannedEmbed[];
  /** All must hold. */
  readonly conditions: readonly PlannedCondition[];
  readonly order: readonly PlannedOrder[];
  readonly page: PageParameters;
  /** Most rows a level may have; null: no limit. */
  readonly maxRows: number | null;
  /** Aggregates of this node or hoisted to it: all else it selects is grouped by. */
  readonly grouped: boolean;
}

export interface PlannedEmbed {
  /** Alias or target: how the request addresses it. */
  readonly name: string;
  readonly relationship: Relationship;
  readonly toOne: boolean;
  readonly inner: boolean;
  readonly spread: boolean;
  readonly node: ReadNode;
}

export function isToOne(relationship: Relationship): boolean {
  const { cardinality } = relationship;
  return cardinality === "many-to-one" || cardinality === "one-to-one" || cardinality === "computed-to-one";
}
