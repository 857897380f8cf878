/** What one document may ask for, decided before any of it runs. */
import { complexityFromQuery } from "@pothos/plugin-complexity";
import { type DocumentNode, GraphQLError, type GraphQLSchema, getOperationAST, Kind } from "graphql";
import { QUERY_LIMITS } from "./builder.ts";

/** Parsing stops here, so that a megabyte of braces costs nothing. */
export const MAX_TOKENS = 5_000;
export const MAX_BODY_BYTES = 1024 * 1024;

export interface Operation {
  readonly document: DocumentNode;
  readonly operationName?: string | null | undefined;
  readonly variableValues?: Readonly<Record<string, unknown>> | null | undefined;
}

/**
 * Null when the operation may run. Aliases count as often as they are used, lists by their page size. Pure but for the
 * complexity functions of fields, which look at arguments only.
 */
export function exceededLimit(schema: GraphQLSchema, operation: Operation): GraphQLError | null {
  const selected = getOperationAST(operation.document, operation.operationName);
  if (!selected) return null; // execution answers that itself
  const fragments = operation.document.definitions.filter(({ kind }) => kind === Kind.FRAGMENT_DEFINITION);
  const cost = complexityFromQuery(
    { kind: Kind.DOCUMENT, definitions: [selected, ...fragments] },
    { schema, variables: { ...operation.variableValues } },
  );
  for (const limit of ["depth", "breadth", "complexity"] as const) {
    if (cost[limit] > QUERY_LIMITS[limit]) {
      return new GraphQLError(`the document's ${limit} is ${cost[limit]}, at most ${QUERY_LIMITS[limit]} is allowed`, {
        extensions: { code: "QUERY_TOO_LARGE", [limit]: cost[limit], limit: QUERY_LIMITS[limit] },
      });
    }
  }
  return null;
}

/** Names of the operation's root fields, fragments aside: for logs and metrics. */
export function rootFields(operation: Operation): { type: string; fields: readonly string[] } {
  const selected = getOperationAST(operation.document, operation.operationName);
  const fields = selected?.selectionSet.selections.flatMap((node) =>
    node.kind === Kind.FIELD ? [node.name.value] : [],
  );
  return { type: selected?.operation ?? "unknown", fields: fields ?? [] };
}
