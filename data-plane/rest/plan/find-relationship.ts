/** Which relationship an embed means, or why there is no telling. */
import { type Json, restError } from "../error.ts";
import type { SelectedEmbed } from "../request/query-types.ts";
import type { ColumnPair, Relation, Relationship, SchemaCache } from "../schema-cache/types.ts";
import { fuzzyMatches } from "./fuzzy.ts";

/**
 * @param source Null for rows that are of no known relation; `sourceName` is what messages call it.
 * @throws {RestError} PGRST200 when there is none, PGRST201 when there are several.
 */
export function findRelationship(
  cache: SchemaCache,
  schema: string,
  source: Relation | null,
  sourceName: string,
  embed: Pick<SelectedEmbed, "target" | "hint">,
): Relationship {
  const all = source === null ? [] : cache.relationshipsOf(source, schema);
  const computed = all.find((candidate) => candidate.kind === "computed" && candidate.function.name === embed.target);
  if (computed) return computed;
  const found = all.filter((candidate) => matches(candidate, embed.target, embed.hint));
  const [only] = found;
  if (only === undefined) throw noRelationship(cache, schema, source, sourceName, embed, all);
  if (found.length > 1) throw ambiguous(sourceName, embed.target, found);
  return only;
}

function matches(relationship: Relationship, target: string, hint: string | null): boolean {
  if (relationship.kind === "computed") return false;
  const isSelf = relationship.source.oid === relationship.target.oid;
  if (isSelf) return matchesSelf(relationship, target, hint);
  // A constraint or column can stand in for the target's name, but only of a table: its views all share them.
  const byTarget =
    target === relationship.target.name ||
    (isConstraint(relationship, target) && !relationship.target.isView) ||
    (isOwnColumn(relationship, target) && !relationship.target.isView);
  if (!byTarget) return false;
  if (hint === null) return true;
  return (
    isConstraint(relationship, hint) ||
    isOwnColumn(relationship, hint) ||
    isTargetColumn(relationship, hint) ||
    (relationship.kind === "junction" && relationship.junction.name === hint)
  );
}

/**
 * Both directions of a self-reference lead to the same relation: its name means the many, the column the one.
 * The constraint names both, so it chooses neither.
 */
function matchesSelf(relationship: Relationship, target: string, hint: string | null): boolean {
  if (relationship.kind !== "foreignKey") return false;
  const toMany = !relationship.refers;
  if (hint === null) {
    return toMany ? target === relationship.target.name : isOwnColumn(relationship, target);
  }
  return toMany && target === relationship.target.name && isTargetColumn(relationship, hint);
}

function isConstraint(relationship: Relationship, name: string): boolean {
  return relationship.kind === "foreignKey" && relationship.constraint === name;
}

function singlePair(relationship: Relationship): ColumnPair | null {
  return relationship.kind === "foreignKey" && relationship.columns.length === 1
    ? (relationship.columns[0] ?? null)
    : null;
}

function isOwnColumn(relationship: Relationship, name: string): boolean {
  return singlePair(relationship)?.[0] === name;
}

function isTargetColumn(relationship: Relationship, name: string): boolean {
  return singlePair(relationship)?.[1] === name;
}

function noRelationship(
  cache: SchemaCache,
  schema: string,
  source: Relation | null,
  sourceName: string,
  { target, hint }: Pick<SelectedEmbed, "target" | "hint">,
  all: readonly Relationship[],
): Error {
  const usingHint = hint === null ? "" : ` using the hint '${hint}'`;
  return restError("PGRST200", {
    message: `Could not find a relationship between '${sourceName}' and '${target}' in the schema cache`,
    details: `Searched for a foreign key relationship between '${sourceName}' and '${target}'${usingHint} in the schema '${schema}', but no matches were found.`,
    hint: suggestion(cache, schema, source, sourceName, target, all),
  });
}

const MAX_HINTED_RELATIONS = 500;

/** Another child when the parent is right, another parent otherwise. */
function suggestion(
  cache: SchemaCache,
  schema: string,
  source: Relation | null,
  sourceName: string,
  target: string,
  all: readonly Relationship[],
): string | null {
  if (source !== null && cache.isRelated(source)) {
    const children = [...new Set(all.map((relationship) => relationship.target.name))];
    const child = fuzzyMatches(children, target).find((match) => match.score < 1);
    return child ? `Perhaps you meant '${child.text}' instead of '${target}'.` : null;
  }
  const relations = cache.relationsOf(schema);
  if (relations.length > MAX_HINTED_RELATIONS) return null; // each one's relationships would be worked out
  const parents = relations.filter((relation) => cache.relationshipsOf(relation, schema).length > 0);
  const [parent] = fuzzyMatches(
    parents.map((relation) => relation.name),
    sourceName,
  );
  return parent && parent.score < 1 ? `Perhaps you meant '${parent.text}' instead of '${sourceName}'.` : null;
}

function ambiguous(sourceName: string, target: string, found: readonly Relationship[]): Error {
  const choices = found.map((relationship) => `'${target}!${nameOf(relationship)}'`).join(", ");
  return restError("PGRST201", {
    message: `Could not embed because more than one relationship was found for '${sourceName}' and '${target}'`,
    details: found.map(describe),
    hint: `Try changing '${target}' to one of the following: ${choices}. Find the desired relationship in the 'details' key.`,
  });
}

function nameOf(relationship: Relationship): string {
  switch (relationship.kind) {
    case "foreignKey":
      return relationship.constraint;
    case "junction":
      return relationship.junction.name;
    case "computed":
      return relationship.function.name;
  }
}

function describe(relationship: Relationship): Json {
  const { source, target } = relationship;
  const embedding = `${source.name} with ${target.name}`;
  switch (relationship.kind) {
    case "foreignKey": {
      const own = relationship.columns.map(([from]) => from).join(", ");
      const others = relationship.columns.map(([, to]) => to).join(", ");
      return {
        cardinality: relationship.cardinality,
        embedding,
        relationship: `${relationship.constraint} using ${source.name}(${own}) and ${target.name}(${others})`,
      };
    }
    case "junction": {
      const side = ({ constraint, columns }: { constraint: string; columns: readonly ColumnPair[] }) =>
        `${constraint}(${columns.map(([column]) => column).join(", ")})`;
      return {
        cardinality: relationship.cardinality,
        embedding,
        relationship: `${relationship.junction.name} using ${side(relationship.toSource)} and ${side(relationship.toTarget)}`,
      };
    }
    case "computed":
      return { cardinality: relationship.cardinality, embedding, relationship: relationship.function.name };
  }
}
