/**
 * A {@link ReadNode} as one SELECT. Each embed is a lateral subselect: of a to-one its row, of a to-many its rows as
 * one JSON array, of a spread its columns one by one, which then stand among the parent's own.
 */
import type {
  FieldItem,
  PlannedCondition,
  PlannedEmbed,
  PlannedField,
  PlannedItem,
  ReadNode,
} from "../plan/read-plan.ts";
import type { AggregateFunction } from "../request/query-types.ts";
import { columnReference, fieldExpression, filterCondition, orderExpression } from "./condition-sql.ts";
import { castType, quoteIdentifier, quoteQualified, type SqlWriter } from "./sql.ts";

/** Where the rows of a node come from. */
export interface RowSource {
  /** For FROM, alias included. */
  readonly from: string;
  /** Quoted; qualifies columns. */
  readonly alias: string;
  /** The row as a value of the relation's row type, for computed relationships. */
  readonly row: string;
  /** Conditions that tie the rows to those of the parent. */
  readonly joins: readonly string[];
}

export interface ReadSqlOptions {
  /** Nested values as jsonb: slower, but comparable (GROUP BY) and what handlers of any row were made for. */
  readonly nestedAsJsonb: boolean;
  /** Name every column, as the source has more than those of its relation. */
  readonly expandStars: boolean;
  /** LIMIT at the top; null for none. */
  readonly limit: number | null;
  /** OFFSET at the top, from the request's page. */
  readonly hasOffset: boolean;
}

/** One output of a node. What a to-one spread aggregates is left to the ancestor that shows it. */
interface Output {
  readonly key: string;
  readonly expression: string;
  /** The column it shows unchanged; null when it is anything else. */
  readonly column: string | null;
  /** Already aggregated here, so not to be grouped by. */
  readonly aggregated: boolean;
  readonly hoisted: Aggregation | null;
}

interface Aggregation {
  readonly function: AggregateFunction;
  readonly cast: string | null;
  /** Of rows, not of a value. */
  readonly ofRows: boolean;
}

/** An embed joined to its parent. */
interface JoinedEmbed {
  readonly join: string;
  /** Null when it shows nothing. */
  readonly value: string | null;
  readonly spread: readonly Output[];
  /** True where there is a row. */
  readonly found: string;
  /** References to what the parent is ordered by. */
  readonly orderColumns: ReadonlyMap<PlannedField, string>;
}

export class ReadSql {
  readonly #writer: SqlWriter;
  readonly #options: ReadSqlOptions;

  constructor(writer: SqlWriter, options: ReadSqlOptions) {
    this.#writer = writer;
    this.#options = options;
  }

  /** The rows asked for. */
  select(root: ReadNode, source: RowSource): string {
    const page =
      limitClause(this.#options.limit) +
      (this.#options.hasOffset ? ` OFFSET ${this.#writer.parameter({ kind: "pageOffset" })}` : "");
    const { list, rest } = this.#clauses(root, source);
    return `SELECT ${list.map(namedOutput).join(", ") || "1"} ${rest}${page}`;
  }

  /** As many rows as there are without a page: for counting. */
  selectForCount(root: ReadNode, source: RowSource): string {
    if (root.grouped) {
      const { list, rest } = this.#clauses({ ...root, order: [] }, source);
      return `SELECT ${list.map(namedOutput).join(", ")} ${rest}`;
    }
    return `SELECT 1 FROM ${source.from}${this.#where(root, source, this.#existence(root, source))}`;
  }

  /** Whether some row of each embed that must have one (or must not) is there. */
  #existence(node: ReadNode, source: RowSource): ReadonlyMap<PlannedEmbed, JoinedEmbed> {
    const conditions = new Map<PlannedEmbed, JoinedEmbed>();
    for (const embed of node.embeds) {
      if (!embed.inner && !isTested(node.conditions, embed)) continue;
      const child = this.#embedSource(embed, source);
      const nested = this.#existence(embed.node, child);
      const where = this.#where(embed.node, child, nested);
      const found = `EXISTS (SELECT 1 FROM ${child.from}${where}${this.#embedPage(embed)})`;
      conditions.set(embed, { join: "", value: null, spread: [], found, orderColumns: new Map() });
    }
    return conditions;
  }

  #where(node: ReadNode, source: RowSource, embeds: ReadonlyMap<PlannedEmbed, JoinedEmbed>): string {
    const inner = node.embeds.filter((embed) => embed.inner).map((embed) => embeds.get(embed)?.found ?? "TRUE");
    const conditions = [...source.joins, ...this.#conditions(node, source, embeds), ...inner];
    return conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`;
  }

  #conditions(node: ReadNode, source: RowSource, embeds: ReadonlyMap<PlannedEmbed, JoinedEmbed>): readonly string[] {
    return node.conditions.map((condition) => this.#condition(condition, source, embeds));
  }

  #condition(condition: PlannedCondition, source: RowSource, embeds: ReadonlyMap<PlannedEmbed, JoinedEmbed>): string {
    switch (condition.kind) {
      case "filter": {
        const { field, negated, operation } = condition;
        return filterCondition(this.#writer, columnReference(source.alias, field.name), field, negated, operation);
      }
      case "embedNull": {
        const found = embeds.get(condition.embed)?.found ?? "FALSE";
        return condition.negated ? found : `NOT (${found})`;
      }
      case "group": {
        const members = condition.members.map((member) => this.#condition(member, source, embeds));
        const text = `(${members.join(condition.operator === "and" ? " AND " : " OR ")})`;
        return condition.negated ? `NOT ${text}` : text;
      }
    }
  }

  /** The select list, and everything from FROM on but the page. */
  #clauses(
    node: ReadNode,
    source: RowSource,
    asJsonb = this.#options.nestedAsJsonb,
  ): { readonly list: readonly Output[]; readonly rest: string } {
    const joined = new Map<PlannedEmbed, JoinedEmbed>();
    for (const embed of node.embeds) {
      if (!matters(node, embed)) continue; // before its SQL is made, which would take parameters
      const orderFields = node.order.filter((term) => term.embed === embed).map((term) => term.field);
      joined.set(embed, this.#embed(embed, source, orderFields, asJsonb || node.grouped));
    }
    const list = this.#outputs(node, source, joined);
    const joins = [...joined.values()].map(({ join }) => ` ${join}`).join("");
    const conditions = [...source.joins, ...this.#conditions(node, source, joined)];
    const where = conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`;
    const groupBy = node.grouped ? groupByClause(list) : "";
    const order = node.order.map((term) => {
      const related = term.embed === null ? undefined : joined.get(term.embed)?.orderColumns.get(term.field);
      return orderExpression(related ?? columnReference(source.alias, term.field.name), term);
    });
    const orderBy = order.length === 0 ? "" : ` ORDER BY ${order.join(", ")}`;
    return { list, rest: `FROM ${source.from}${joins}${where}${groupBy}${orderBy}` };
  }

  #outputs(node: ReadNode, source: RowSource, joined: ReadonlyMap<PlannedEmbed, JoinedEmbed>): readonly Output[] {
    return node.items.flatMap((item) => this.#outputsOf(item, node, source, joined));
  }

  #outputsOf(
    item: PlannedItem,
    node: ReadNode,
    source: RowSource,
    joined: ReadonlyMap<PlannedEmbed, JoinedEmbed>,
  ): readonly Output[] {
    switch (item.kind) {
      case "star":
        return item.asRow && !node.grouped && !this.#options.expandStars
          ? [plainOutput("*", `${source.alias}.*`)]
          : item.columns.map((column) => fieldOutput(source, column));
      case "field":
        return [fieldOutput(source, item)];
      case "aggregate":
        return [aggregateOutput(node, source, item)];
      case "embed": {
        const value = joined.get(item.embed)?.value ?? null;
        return value === null ? [] : [plainOutput(item.key, value)];
      }
      case "spread":
        return (joined.get(item.embed)?.spread ?? []).map((output) =>
          node.grouped && output.hoisted ? aggregateOf(output, output.hoisted) : output,
        );
    }
  }

  #embed(embed: PlannedEmbed, parent: RowSource, orderFields: readonly PlannedField[], asJsonb: boolean): JoinedEmbed {
    const child = this.#embedSource(embed, parent);
    const node = embed.spread || orderFields.length > 0 ? withoutStar(embed.node) : embed.node;
    // What a spread nests becomes the parent's own, and so part of what the parent may be grouped by.
    const { list, rest } = this.#clauses(node, child, embed.spread ? asJsonb : this.#options.nestedAsJsonb);
    const body = `${rest}${this.#embedPage(embed)}`;
    const alias = quoteIdentifier(this.#writer.freshAlias(`${bareName(parent)}_${embed.name}`));
    const parts = { embed, child, list, body, alias, asJsonb };
    if (embed.spread) return embed.toOne ? spreadOne(parts, orderFields) : spreadMany(parts);
    return embed.toOne ? embedOne(parts, orderFields) : embedMany(parts);
  }

  #embedPage(embed: PlannedEmbed): string {
    const { page, maxRows } = embed.node;
    const limit = limitClause(smallerLimit(page.limit, maxRows));
    const { offset } = page;
    return `${limit}${offset === null ? "" : ` OFFSET ${this.#writer.parameter({ kind: "offset", source: offset })}`}`;
  }

  #embedSource(embed: PlannedEmbed, parent: RowSource): RowSource {
    const { relationship } = embed;
    const alias = quoteIdentifier(this.#writer.freshAlias(relationship.target.name));
    const target = `${quoteQualified(relationship.target)} AS ${alias}`;
    const equal = (leftAlias: string, left: string, rightAlias: string, right: string) =>
      `${columnReference(leftAlias, left)} = ${columnReference(rightAlias, right)}`;
    switch (relationship.kind) {
      case "foreignKey": {
        const joins = relationship.columns.map(([own, other]) => equal(alias, other, parent.alias, own));
        return { from: target, alias, row: alias, joins };
      }
      case "junction": {
        const junction = quoteIdentifier(this.#writer.freshAlias(relationship.junction.name));
        const on = relationship.toTarget.columns
          .map(([own, other]) => equal(junction, own, alias, other))
          .join(" AND ");
        const from = `${target} JOIN ${quoteQualified(relationship.junction)} AS ${junction} ON ${on}`;
        const joins = relationship.toSource.columns.map(([own, other]) => equal(junction, own, parent.alias, other));
        return { from, alias, row: alias, joins };
      }
      case "computed": {
        const from = `${quoteQualified(relationship.function)}(${parent.row}) AS ${alias}`;
        return { from, alias, row: alias, joins: [] };
      }
    }
  }
}

interface EmbedParts {
  readonly embed: PlannedEmbed;
  readonly child: RowSource;
  readonly list: readonly Output[];
  /** From FROM on. */
  readonly body: string;
  readonly alias: string;
  readonly asJsonb: boolean;
}

/** Null is no limit. */
export function smallerLimit(left: number | null, right: number | null): number | null {
  if (left === null || right === null) return left ?? right;
  return Math.min(left, right);
}

function limitClause(limit: number | null): string {
  return limit === null ? "" : ` LIMIT ${limit}`;
}

function lateral(embed: PlannedEmbed, query: string, alias: string, innerCondition: string): string {
  return embed.inner
    ? `JOIN LATERAL (${query}) AS ${alias} ON ${innerCondition}`
    : `LEFT JOIN LATERAL (${query}) AS ${alias} ON TRUE`;
}

/** Columns by which the parent is ordered, whether the embed shows them or not; a name that is no column is an alias. */
function orderColumns(
  { embed, child, list, alias }: EmbedParts,
  fields: readonly PlannedField[],
  nameOf: (index: number) => string,
): { readonly hidden: readonly string[]; readonly references: ReadonlyMap<PlannedField, string> } {
  const hidden: string[] = [];
  const references = new Map<PlannedField, string>();
  for (const field of fields) {
    const isColumn = embed.node.relation?.columns.has(field.name) ?? false;
    const shown = list.findIndex((output) =>
      isColumn ? output.column === field.name : output.key === field.name && output.hoisted === null,
    );
    if (shown >= 0) {
      references.set(field, `${alias}.${nameOf(shown)}`);
    } else {
      const name = quoteIdentifier(`order_${hidden.length + 1}`);
      hidden.push(`${columnReference(child.alias, field.name)} AS ${name}`);
      references.set(field, `${alias}.${name}`);
    }
  }
  return { hidden, references };
}

function embedOne(parts: EmbedParts, orderFields: readonly PlannedField[]): JoinedEmbed {
  const { embed, list, body, alias, asJsonb } = parts;
  const order = orderColumns(parts, orderFields, (index) => quoteIdentifier(list[index]?.key ?? ""));
  const columns = [...list.map(namedOutput), ...order.hidden];
  const found = `${alias} IS DISTINCT FROM NULL`;
  let value: string | null = `row_to_json(${alias}.*)`;
  if (order.hidden.length > 0) {
    const shown = list.map(({ key }) => `${alias}.${quoteIdentifier(key)}`).join(", ");
    value = `CASE WHEN ${found} THEN (SELECT row_to_json("shown") FROM (SELECT ${shown}) AS "shown") END`;
  }
  if (list.length === 0) value = null;
  return {
    join: lateral(embed, `SELECT ${columns.join(", ") || "1"} ${body}`, alias, "TRUE"),
    value: value === null || !asJsonb ? value : `${value}::jsonb`,
    spread: [],
    found,
    orderColumns: order.references,
  };
}

function embedMany({ embed, list, body, alias, asJsonb }: EmbedParts): JoinedEmbed {
  const cast = asJsonb ? "::jsonb" : "";
  const rows = `SELECT ${list.map(namedOutput).join(", ") || "1"} ${body}`;
  const found = `${alias}."rows" IS NOT NULL`;
  return {
    join: lateral(embed, `SELECT json_agg("row")${cast} AS "rows" FROM (${rows}) AS "row"`, alias, found),
    value: list.length === 0 ? null : `COALESCE(${alias}."rows", '[]')`,
    spread: [],
    found,
    orderColumns: new Map(),
  };
}

const spreadName = (index: number) => quoteIdentifier(`c${index + 1}`);

/** Under names of their own, as two of the columns may have the same key. */
function spreadColumns(list: readonly Output[]): readonly string[] {
  return list.map((output, index) => `${output.expression} AS ${spreadName(index)}`);
}

function spreadOne(parts: EmbedParts, orderFields: readonly PlannedField[]): JoinedEmbed {
  const { embed, list, body, alias } = parts;
  const order = orderColumns(parts, orderFields, spreadName);
  const columns = [...spreadColumns(list), ...order.hidden];
  return {
    join: lateral(embed, `SELECT ${columns.join(", ") || "1"} ${body}`, alias, "TRUE"),
    value: null,
    spread: list.map((output, index) => ({ ...output, expression: `${alias}.${spreadName(index)}`, column: null })),
    found: `${alias} IS DISTINCT FROM NULL`,
    orderColumns: order.references,
  };
}

function spreadMany({ embed, list, body, alias, asJsonb }: EmbedParts): JoinedEmbed {
  const cast = asJsonb ? "::jsonb" : "";
  const arrays = list.map((_, index) => `json_agg("row".${spreadName(index)})${cast} AS ${spreadName(index)}`);
  const rows = `SELECT ${spreadColumns(list).join(", ") || "1"} ${body}`;
  const found = `${alias}."found"`;
  const query = `SELECT ${[...arrays, 'count(*) > 0 AS "found"'].join(", ")} FROM (${rows}) AS "row"`;
  return {
    join: lateral(embed, query, alias, found),
    value: null,
    spread: list.map(({ key }, index) => plainOutput(key, `COALESCE(${alias}.${spreadName(index)}, '[]')`)),
    found,
    orderColumns: new Map(),
  };
}

/** A left join without any output changes nothing and is left out. */
function matters(node: ReadNode, embed: PlannedEmbed): boolean {
  return (
    embed.inner ||
    showsAnything(embed.node) ||
    isTested(node.conditions, embed) ||
    node.order.some((term) => term.embed === embed)
  );
}

function showsAnything({ items }: ReadNode): boolean {
  return items.some((item) =>
    item.kind === "embed" || item.kind === "spread" ? showsAnything(item.embed.node) : true,
  );
}

function isTested(conditions: readonly PlannedCondition[], embed: PlannedEmbed): boolean {
  return conditions.some((condition) => {
    if (condition.kind === "group") return isTested(condition.members, embed);
    return condition.kind === "embedNull" && condition.embed === embed;
  });
}

function namedOutput({ key, expression }: Output): string {
  return key === "*" ? expression : `${expression} AS ${quoteIdentifier(key)}`;
}

function fieldOutput(source: RowSource, { key, field, format, cast }: FieldItem): Output {
  const column = columnReference(source.alias, field.name);
  const value = format ? `${quoteQualified(format)}(${column})` : fieldExpression(column, field);
  const expression = cast === null ? value : `CAST(${value} AS ${castType(cast)})`;
  return plainOutput(key, expression, expression === column ? field.name : null);
}

function plainOutput(key: string, expression: string, column: string | null = null): Output {
  return { key, expression, column, aggregated: false, hoisted: null };
}

/** Of a grouped node the aggregate; of a spread only what is to be aggregated further up. */
function aggregateOutput(node: ReadNode, source: RowSource, item: Extract<PlannedItem, { kind: "aggregate" }>): Output {
  const aggregation = { function: item.function, cast: item.cast, ofRows: item.field === null };
  let expression = "1";
  if (item.field) {
    const value = fieldExpression(columnReference(source.alias, item.field.name), item.field);
    expression = item.fieldCast === null ? value : `CAST(${value} AS ${castType(item.fieldCast)})`;
  }
  const output = { key: item.key, expression, column: null, aggregated: false, hoisted: aggregation };
  return node.grouped ? aggregateOf(output, aggregation) : output;
}

function aggregateOf({ key, expression }: Output, aggregation: Aggregation): Output {
  const call = `${aggregation.function}(${aggregation.ofRows ? "*" : expression})`;
  const value = aggregation.cast === null ? call : `CAST(${call} AS ${castType(aggregation.cast)})`;
  return { key, expression: value, column: null, aggregated: true, hoisted: null };
}

/** By the positions of all that is not aggregated. */
function groupByClause(list: readonly Output[]): string {
  const positions = list.flatMap((output, index) => (output.aggregated ? [] : [index + 1]));
  return positions.length === 0 ? "" : ` GROUP BY ${positions.join(", ")}`;
}

function withoutStar(node: ReadNode): ReadNode {
  const items = node.items.flatMap((item): readonly PlannedItem[] => (item.kind === "star" ? item.columns : [item]));
  return { ...node, items };
}

function bareName(source: RowSource): string {
  return source.alias.slice(1, -1).replaceAll('""', '"');
}
