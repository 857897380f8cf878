/** A request as a statement that can serve every later request of the same shape. */
import type { Representation } from "./plan/media.ts";
import type { ReadPlan } from "./plan/plan-read.ts";
import type { Binding } from "./query/sql.ts";
import type { Isolation } from "./schema-cache/types.ts";

export interface Query {
  readonly text: string;
  readonly bindings: readonly Binding[];
}

/** How the total of a Content-Range comes about. */
export type CountMode =
  | "none"
  /** There is no page: as many rows as were answered. */
  | "page"
  /** Counted by the statement. */
  | "exact"
  /** The server's estimate, from a second statement. */
  | "planned"
  /** Counted up to the limit of rows, if there is one; beyond it the estimate, if that is more. */
  | "estimated";

export interface CompiledRequest {
  readonly action: "read" | "insert" | "update" | "replace" | "delete" | "call";
  readonly query: Query;
  /** EXPLAIN of the rows to be counted. */
  readonly estimate: Query | null;
  readonly count: CountMode;
  readonly representation: Representation;
  /** Whether the body is sent: no HEAD, no `return=minimal`, no function without a result. */
  readonly hasBody: boolean;
  readonly readOnly: boolean;
  readonly searchPath: string;
  readonly isolation: Isolation | null;
  /** Settings of the function that hold for the whole transaction. */
  readonly settings: readonly (readonly [name: string, value: string])[];
  /** The result must be exactly one row. */
  readonly singular: boolean;
  readonly maxAffected: number | null;
  /** Name of the relation and its key, when a Location is to be told. */
  readonly location: { readonly relation: string; readonly primaryKey: readonly string[] } | null;
  /** Of an insert: conflicts are merged, so that the status tells whether anything was inserted. */
  readonly merges: boolean;
  readonly hasResolution: boolean;
  readonly legacyNames: ReadPlan["legacyNames"];
}
