/** Which of the functions of a name a call means, and where its arguments come from. */
import type { CallArguments } from "../query/call-sql.ts";
import type { ApiRequest } from "../request/api-request.ts";
import type { QueryParameters } from "../request/query-types.ts";
import type { Routine, SchemaCache } from "../schema-cache/types.ts";
import { findRoutine } from "./find-routine.ts";

/** @throws {RestError} PGRST202, PGRST203 */
export function chooseRoutine(
  request: ApiRequest,
  query: QueryParameters,
  cache: SchemaCache,
  name: string,
): { readonly routine: Routine; readonly args: CallArguments } {
  const { payload, schema } = request;
  const choose = (names: readonly string[], kind: "named" | "json") =>
    findRoutine(cache, schema, name, names, { kind });
  if (request.method !== "POST") {
    const { routine } = choose(
      query.routineArguments.map((argument) => argument.name),
      "named",
    );
    return { routine, args: { kind: "values", values: query.routineArguments } };
  }
  switch (payload.kind) {
    case "form": {
      const { routine } = choose(
        payload.fields.map(([field]) => field),
        "named",
      );
      const first = request.shape.slots.length;
      const values = payload.fields.map(([field], index) => ({
        name: field,
        value: { kind: "slot" as const, index: first + index },
      }));
      return { routine, args: { kind: "values", values } };
    }
    case "json": {
      const names = query.columns ?? payload.keys ?? [];
      const { routine, takesBody } = choose(names, payload.fromCsv ? "named" : "json");
      return { routine, args: takesBody ? { kind: "body" } : { kind: "json", shape: payload.shape, names } };
    }
    case "raw": {
      const { routine } = findRoutine(cache, schema, name, [], { kind: "raw", type: payload.type });
      return { routine, args: { kind: "body" } };
    }
    case "unsupported":
    case "none":
      return { routine: choose([], "named").routine, args: { kind: "values", values: [] } };
  }
}
