/** Which of the accepted media types is served, and by what. */
import { restError } from "../error.ts";
import { contentTypeOf, essenceOf, JSON_TYPE, type MediaType, type PlanOption } from "../request/media-type.ts";
import type { MediaHandler, QualifiedName, ReturnShape, SchemaCache } from "../schema-cache/types.ts";

/** What makes the body. */
export type BodyForm =
  | { readonly kind: "json"; readonly single: boolean; readonly stripNulls: boolean }
  | { readonly kind: "csv" }
  /** The function is found wherever PostGIS is installed; null leaves it to the search path. */
  | { readonly kind: "geojson"; readonly function: QualifiedName | null }
  | { readonly kind: "aggregate"; readonly handler: MediaHandler }
  /** The function's value as it is. */
  | { readonly kind: "value"; readonly binary: boolean };

export interface Representation {
  readonly form: BodyForm;
  readonly contentType: string;
  /** An EXPLAIN of the statement is the body instead. */
  readonly explain: { readonly format: "text" | "json"; readonly options: readonly PlanOption[] } | null;
}

export interface Representable {
  /** Row type of the result, when it is that of a relation. */
  readonly relation: QualifiedName | null;
  /** `select` leaves the rows as they are. */
  readonly wholeRows: boolean;
  /** The function that stands for the root, which describes the API. */
  readonly isRoot: boolean;
  /** Of a function. */
  readonly returns: ReturnShape | null;
}

const JSON_ARRAY: BodyForm = { kind: "json", single: false, stripNulls: false };

/** @throws {RestError} PGRST107 when none of the types can be served. */
export function chooseRepresentation(
  cache: SchemaCache,
  accepted: readonly MediaType[],
  subject: Representable,
  planEnabled: boolean,
): Representation {
  for (const type of accepted) {
    const found = representationOf(cache, type, subject, planEnabled);
    if (found) return found;
  }
  throw restError("PGRST107", {
    message: `None of these media types are available: ${accepted.map(essenceOf).join(", ")}`,
  });
}

function representationOf(
  cache: SchemaCache,
  type: MediaType,
  subject: Representable,
  planEnabled: boolean,
): Representation | null {
  switch (type.kind) {
    case "object":
    case "array": {
      const form: BodyForm = { kind: "json", single: type.kind === "object", stripNulls: type.stripNulls };
      // Without nulls=stripped an array is what application/json is, and says so.
      const shown = type.kind === "array" && !type.stripNulls ? JSON_TYPE : type;
      return { form, contentType: contentTypeOf(shown), explain: null };
    }
    case "plan": {
      const planned = planEnabled ? representationOf(cache, type.for, subject, false) : null;
      if (planned === null) return null;
      const explain = { format: type.format, options: type.options };
      return { form: planned.form, contentType: contentTypeOf(type), explain };
    }
    case "openapi":
      return subject.isRoot ? builtin(JSON_ARRAY, type) : null;
    case "any":
      return (
        handled(cache, "*/*", "application/octet-stream", subject) ??
        representationOf(cache, JSON_TYPE, subject, planEnabled)
      );
    case "json":
      return handled(cache, essenceOf(type), contentTypeOf(type), subject) ?? builtin(JSON_ARRAY, type);
    case "csv":
      return handled(cache, essenceOf(type), contentTypeOf(type), subject) ?? builtin({ kind: "csv" }, type);
    case "geojson": {
      const form: BodyForm = { kind: "geojson", function: cache.geoJsonFunction };
      return handled(cache, essenceOf(type), contentTypeOf(type), subject) ?? builtin(form, type);
    }
    case "other":
      return (
        handled(cache, type.name, contentTypeOf(type), subject) ??
        handled(cache, "*/*", "application/octet-stream", subject)
      );
  }
}

function builtin(form: BodyForm, type: MediaType): Representation {
  return { form, contentType: contentTypeOf(type), explain: null };
}

/** By a function of that type, an aggregate over the relation's rows, or one over any rows; in this order. */
function handled(cache: SchemaCache, name: string, contentType: string, subject: Representable): Representation | null {
  const { returns, relation, wholeRows } = subject;
  if (returns?.kind === "scalar" && returns.mediaType?.name === name) {
    return { form: { kind: "value", binary: returns.mediaType.binary }, contentType, explain: null };
  }
  if (returns?.kind === "scalar" || returns?.kind === "void") return null;
  const fitting = cache.handlers.filter((handler) => handler.mediaType.name === name);
  const ofRelation = fitting.find((handler) => wholeRows && relation !== null && isSame(handler.relation, relation));
  const handler = ofRelation ?? fitting.find((candidate) => candidate.relation === null);
  return handler ? { form: { kind: "aggregate", handler }, contentType, explain: null } : null;
}

function isSame(left: QualifiedName | null, right: QualifiedName): boolean {
  return left?.schema === right.schema && left.name === right.name;
}
