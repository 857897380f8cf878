/** OPTIONS: which methods there are, by what the relation or function can do rather than by privilege. */

import { restError } from "./error.ts";
import { findRelation } from "./plan/find-relation.ts";
import type { ApiRequest } from "./request/api-request.ts";
import type { Draft } from "./respond.ts";
import type { Relation, SchemaCache } from "./schema-cache/types.ts";

/** @throws {RestError} PGRST202, PGRST205 */
export function describeOptions(cache: SchemaCache, api: ApiRequest): Draft {
  const { target, schema } = api;
  switch (target.kind) {
    case "root":
      return allow("OPTIONS,GET,HEAD");
    case "relation":
      return allow(methodsOf(findRelation(cache, schema, target.name)));
    case "routine": {
      const routines = cache.findRoutines(schema, target.name);
      if (routines.length === 0) {
        throw restError("PGRST202", {
          message: `Could not find the function ${schema}.${target.name} in the schema cache`,
        });
      }
      const anyReads = routines.some((routine) => routine.volatility !== "volatile");
      return allow(anyReads ? "OPTIONS,GET,HEAD,POST" : "OPTIONS,POST");
    }
  }
}

function methodsOf(relation: Relation): string {
  const methods = ["OPTIONS", "GET", "HEAD"];
  if (relation.insertable) methods.push("POST");
  if (relation.insertable && relation.updatable && relation.primaryKey.length > 0) methods.push("PUT");
  if (relation.updatable) methods.push("PATCH");
  if (relation.deletable) methods.push("DELETE");
  return methods.join(",");
}

function allow(methods: string): Draft {
  return { status: 200, headers: [["Allow", methods]], body: "" };
}
