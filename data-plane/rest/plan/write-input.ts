/** What a write takes from its request, and what it must not do. */
import { RestError, restError } from "../error.ts";
import type { PayloadColumn, PayloadRows } from "../query/payload-sql.ts";
import type { Upsert } from "../query/write-sql.ts";
import type { ApiRequest } from "../request/api-request.ts";
import type { QueryParameters } from "../request/query-types.ts";
import type { Relation, SchemaCache } from "../schema-cache/types.ts";

/** Refuses, in the words of the safeupdate library, what would change every row. */
export function checkConditions(
  safeUpdate: boolean,
  conditions: readonly unknown[],
  command: "UPDATE" | "DELETE",
): void {
  if (!safeUpdate || conditions.length > 0) return;
  throw new RestError({ status: 400, code: "21000", message: `${command} requires a WHERE clause` });
}

/** Null: a conflict is an error. */
export function upsertOf(request: ApiRequest, query: QueryParameters, relation: Relation): Upsert | null {
  const { resolution } = request.preferences;
  const conflictColumns = query.onConflict ?? relation.primaryKey;
  if (resolution === null || conflictColumns.length === 0) return null;
  return { resolution: resolution === "merge-duplicates" ? "merge" : "ignore", conflictColumns };
}

/** A PUT is of the one row its URL names. @throws {RestError} PGRST105, PGRST114, PGRST115 */
export function checkReplace(query: QueryParameters, relation: Relation, rows: PayloadRows): void {
  if (query.pages.some(({ path }) => path.length === 0)) throw restError("PGRST114");
  const filters = query.filters.filter(({ path }) => path.length === 0).map(({ value }) => value);
  const names = new Set(filters.map(({ field }) => field.name));
  const onlyEquals = filters.every(
    ({ field, operation, negated }) =>
      !negated && field.jsonPath.length === 0 && operation.kind === "simple" && operation.operator === "eq",
  );
  const isKey =
    relation.primaryKey.length > 0 &&
    filters.length === relation.primaryKey.length &&
    relation.primaryKey.every((column) => names.has(column)) &&
    !query.logic.some(({ path }) => path.length === 0);
  if (!onlyEquals || !isKey) throw restError("PGRST105");
  const given = new Set(rows.columns.map(({ name }) => name));
  if (!relation.primaryKey.every((column) => given.has(column))) throw restError("PGRST115");
}

/** What the body brings for which columns. @throws {RestError} PGRST102, PGRST204 */
export function payloadRows(
  request: ApiRequest,
  query: QueryParameters,
  cache: SchemaCache,
  relation: Relation,
): PayloadRows {
  const { payload, preferences, action } = request;
  if (payload.kind !== "json") {
    const mediaType = "mediaType" in payload ? payload.mediaType : "application/x-www-form-urlencoded";
    throw restError("PGRST102", { message: `Content-Type not acceptable: ${mediaType}` });
  }
  const names = query.columns ?? payload.keys ?? [];
  const columns = [...new Set(names)].map((name): PayloadColumn => {
    const column = relation.columns.get(name);
    if (!column) {
      throw restError("PGRST204", {
        message: `Could not find the '${name}' column of '${relation.name}' in the schema cache`,
      });
    }
    const representation = column.domain === null ? null : cache.findRepresentation(column.domain);
    const { toJson = null, fromJson: parse = null } = representation ?? {};
    return { name, type: column.type, parse, format: toJson, defaultExpression: column.defaultExpression };
  });
  return {
    shape: payload.shape,
    columns: payload.empty && action === "update" ? [] : columns,
    defaults: preferences.missing === "default",
    firstOnly: action !== "insert",
  };
}
