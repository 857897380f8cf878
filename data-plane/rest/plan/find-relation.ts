/** The table or view that a request names, or a hint at one with a similar name. */
import { restError } from "../error.ts";
import type { Relation, SchemaCache } from "../schema-cache/types.ts";
import { fuzzyMatches } from "./fuzzy.ts";

const MIN_TABLE_SCORE = 0.75;
/** Looking for similar names takes time with their number, and a typing error is the caller's to find. */
const MAX_HINTED_RELATIONS = 500;

/** @throws {RestError} PGRST205 */
export function findRelation(cache: SchemaCache, schema: string, name: string): Relation {
  const relation = cache.findRelation(schema, name);
  if (relation) return relation;
  const names = cache.relationsOf(schema).map((candidate) => candidate.name);
  const [similar] = names.length > MAX_HINTED_RELATIONS ? [] : fuzzyMatches(names, name);
  throw restError("PGRST205", {
    message: `Could not find the table '${schema}.${name}' in the schema cache`,
    hint:
      similar && similar.score >= MIN_TABLE_SCORE ? `Perhaps you meant the table '${schema}.${similar.text}'` : null,
  });
}
