/** Fields, filters and order terms as SQL. Values are parameters; only names and constants of the grammar are text. */

import type { PlannedField, PlannedOrder } from "../plan/read-plan.ts";
import {
  IS_VALUES,
  type JsonOperation,
  type Operation,
  SIMPLE_OPERATORS,
  TEXT_SEARCH_FUNCTIONS,
  type ValueSource,
} from "../request/query-types.ts";
import { quoteIdentifier, quoteLiteral, quoteQualified, type SqlWriter } from "./sql.ts";

/** @param column The column's reference, quoted. */
export function fieldExpression(column: string, field: PlannedField): string {
  if (field.jsonPath.length === 0) return column;
  const start = field.pathNeedsJsonb ? `to_jsonb(${column})` : column;
  return `(${start}${field.jsonPath.map(arrow).join("")})`;
}

/** Keys are constants, not parameters, so that an index on the same expression is found. */
function arrow(step: JsonOperation): string {
  const operand = step.kind === "index" ? String(step.index) : quoteLiteral(step.key);
  return `${step.asText ? "->>" : "->"}${step.kind === "index" && step.index < 0 ? ` ${operand}` : operand}`;
}

export function columnReference(alias: string, name: string): string {
  return name === "*" ? `${alias}.*` : `${alias}.${quoteIdentifier(name)}`;
}

/** Comparisons of the domain with itself; a pattern is no value of the domain. */
const TAKES_DOMAIN_VALUE: ReadonlySet<string> = new Set(["eq", "neq", "gt", "gte", "lt", "lte"]);

export function filterCondition(
  writer: SqlWriter,
  column: string,
  field: PlannedField,
  negated: boolean,
  operation: Operation,
): string {
  const condition = operationCondition(writer, fieldExpression(column, field), field, operation);
  return negated ? `NOT ${condition}` : condition;
}

function operationCondition(writer: SqlWriter, left: string, field: PlannedField, operation: Operation): string {
  const fromText = field.jsonPath.length === 0 ? (field.representation?.fromText ?? null) : null;
  const domainValue = (source: ValueSource) => {
    const value = writer.value(source);
    return fromText === null ? value : `${quoteQualified(fromText)}(${value}::text)`;
  };
  switch (operation.kind) {
    case "simple": {
      const { operator, value } = operation;
      const isPattern = operator === "like" || operator === "ilike";
      const right = TAKES_DOMAIN_VALUE.has(operator)
        ? domainValue(value)
        : writer.value(value, isPattern ? "pattern" : "text");
      return `${left} ${SIMPLE_OPERATORS[operator]} ${right}`;
    }
    case "quantified": {
      const { operator, quantifier, value } = operation;
      const isPattern = operator === "like" || operator === "ilike";
      const right = writer.value(value, isPattern ? "pattern" : "text");
      return `${left} ${SIMPLE_OPERATORS[operator]} ${quantifier.toUpperCase()} (${right})`;
    }
    case "textSearch": {
      const language = operation.language === null ? "" : `${quoteLiteral(operation.language)}, `;
      const vector = field.isTextVector === false ? `to_tsvector(${language}${left})` : left;
      const query = `${TEXT_SEARCH_FUNCTIONS[operation.operator]}(${language}${writer.value(operation.value)})`;
      return `${vector} @@ ${query}`;
    }
    case "in": {
      const list = writer.value(operation.value, "list");
      if (fromText === null) return `${left} = ANY (${list})`;
      return `${left} = ANY (ARRAY(SELECT ${quoteQualified(fromText)}("element") FROM unnest(${list}::text[]) "element"))`;
    }
    case "is":
      return `${left} IS ${IS_VALUES[operation.value]}`;
    case "isDistinct":
      return `${left} IS DISTINCT FROM ${domainValue(operation.value)}`;
  }
}

export function orderExpression(column: string, term: PlannedOrder): string {
  const direction = term.direction === null ? "" : ` ${term.direction.toUpperCase()}`;
  const nulls = term.nulls === null ? "" : ` NULLS ${term.nulls.toUpperCase()}`;
  return `${fieldExpression(column, term.field)}${direction}${nulls}`;
}
