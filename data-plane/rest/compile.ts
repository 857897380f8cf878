/**
 * From a request and the schema cache to the statement that serves it: plan, then SQL. What comes out holds no value of
 * the request, so it serves every later request of the same shape.
 */
import type { CompiledRequest, CountMode, Query } from "./compiled-request.ts";
import type { RestConfig } from "./config.ts";
import { restError } from "./error.ts";
import { chooseRoutine } from "./plan/choose-routine.ts";
import { countModeOf } from "./plan/count-mode.ts";
import { findRelation } from "./plan/find-relation.ts";
import { chooseRepresentation, type Representation } from "./plan/media.ts";
import { planRead, planWriteConditions, type ReadPlan, type ReadPlanOptions } from "./plan/plan-read.ts";
import type { FieldItem, PlannedItem, ReadNode } from "./plan/read-plan.ts";
import { checkConditions, checkReplace, payloadRows, upsertOf } from "./plan/write-input.ts";
import { answerSelect, bodyExpression, readsRowsTwice } from "./query/body-sql.ts";
import { type CallArguments, callSql } from "./query/call-sql.ts";
import { ReadSql, type RowSource, smallerLimit } from "./query/read-sql.ts";
import { searchPath } from "./query/settings-sql.ts";
import { quoteIdentifier, quoteQualified, SqlWriter } from "./query/sql.ts";
import { deleteSql, insertSql, type Returning, UPDATED_COUNT, type Upsert, updateSql } from "./query/write-sql.ts";
import type { ApiRequest } from "./request/api-request.ts";
import { parseQueryParameters } from "./request/query-parameters.ts";
import type { QueryParameters } from "./request/query-types.ts";
import { parseIsolation } from "./schema-cache/build.ts";
import type { Relation, Routine, SchemaCache } from "./schema-cache/types.ts";

/** @throws {RestError} of planning: PGRST100 and on. */
export function compileRequest(request: ApiRequest, cache: SchemaCache, config: RestConfig): CompiledRequest {
  const query = parseQueryParameters(request.shape.pairs);
  const compiler = new Compiler(request, query, cache, config);
  if (request.target.kind === "routine") return compiler.call(request.target.name);
  if (request.target.kind === "root") throw restError("PGRST125");
  return compiler.relation(findRelation(cache, request.schema, request.target.name));
}

const SOURCE = '"pgrst_source"';
const CALL = '"pgrst_call"';

/** Where a SELECT's rows come from. */
interface ReadSource {
  /** Takes the parameters of the source, if it has any, from the writer of the statement it is for. */
  readonly rows: (writer: SqlWriter) => RowSource;
  /** CTEs that the source stands on; empty for none. */
  readonly prefix: string;
}

function calledRows(from: string): RowSource {
  return { from, alias: CALL, row: CALL, joins: [] };
}

class Compiler {
  readonly #request: ApiRequest;
  readonly #query: QueryParameters;
  readonly #cache: SchemaCache;
  readonly #config: RestConfig;
  readonly #planOptions: ReadPlanOptions;

  constructor(request: ApiRequest, query: QueryParameters, cache: SchemaCache, config: RestConfig) {
    this.#request = request;
    this.#query = query;
    this.#cache = cache;
    this.#config = config;
    this.#planOptions = {
      cache,
      schema: request.schema,
      maxRows: config.maxRows,
      aggregatesEnabled: config.aggregatesEnabled,
      urlUseLegacyTargetNames: config.urlUseLegacyTargetNames,
    };
  }

  relation(relation: Relation): CompiledRequest {
    return this.#request.action === "read" ? this.#read(relation) : this.#write(relation);
  }

  #read(relation: Relation): CompiledRequest {
    const plan = planRead(this.#query, { relation, name: relation.name, filters: true }, this.#planOptions);
    const representation = this.#represent({ relation, wholeRows: isWhole(plan.root), isRoot: false, returns: null });
    const alias = quoteIdentifier(relation.name);
    const source: RowSource = { from: quoteQualified(relation), alias, row: alias, joins: [] };
    const subject = { relation, scalar: false, single: false };
    const answer = this.#readAnswer(plan, representation, subject, { rows: () => source, prefix: "" });
    return {
      ...this.#common(representation),
      ...answer,
      action: "read",
      readOnly: true,
      hasBody: this.#request.method !== "HEAD",
      legacyNames: plan.legacyNames,
    };
  }

  /** The SELECT over a relation's or a function's rows. */
  #readAnswer(
    plan: ReadPlan,
    representation: Representation,
    subject: { readonly relation: Relation | null; readonly scalar: boolean; readonly single: boolean },
    { rows: rowsFor, prefix }: ReadSource,
    writer = new SqlWriter(),
  ): Pick<CompiledRequest, "query" | "estimate" | "count"> {
    const { form } = representation;
    const source = rowsFor(writer);
    const sql = new ReadSql(writer, this.#readOptions(representation));
    const count = countModeOf(this.#request, this.#query, this.#config.maxRows);
    const select = sql.select(plan.root, source);
    const hasBody = this.#request.method !== "HEAD";
    const body = hasBody ? bodyExpression(form, { ...subject, rows: '"page"' }) : null;
    const ctes = [prefix];
    if (readsRowsTwice(form)) ctes.push(`"page" AS (${select})`);
    let total: string | null = null;
    if (count === "exact" || count === "estimated") {
      const { maxRows } = this.#config;
      const limit = count === "estimated" && maxRows !== null ? ` LIMIT ${maxRows + 1}` : "";
      total = `(SELECT count(*) FROM (${sql.selectForCount(plan.root, source)}${limit}) AS "counted")`;
    }
    const rows = readsRowsTwice(form) ? '"page" AS "rows"' : `(${select}) AS "rows"`;
    const text = `${withClause(ctes)}${answerSelect({ total, body }, rows)}`;
    return {
      query: this.#finish(text, writer, representation),
      estimate: prefix === "" ? this.#estimate(plan, rowsFor, count) : null,
      count,
    };
  }

  #estimate(plan: ReadPlan, rowsFor: ReadSource["rows"], count: CountMode): Query | null {
    if (count !== "planned" && count !== "estimated") return null;
    const writer = new SqlWriter();
    const sql = new ReadSql(writer, { nestedAsJsonb: false, expandStars: false, limit: null, hasOffset: false });
    const text = `/* restEstimate */ EXPLAIN (FORMAT JSON) ${sql.selectForCount(plan.root, rowsFor(writer))}`;
    return { text, bindings: writer.bindings };
  }

  call(name: string): CompiledRequest {
    const request = this.#request;
    const { routine, args } = chooseRoutine(request, this.#query, this.#cache, name);
    const { returns } = routine;
    this.#checkMaxAffected(routine);
    const relation =
      returns.kind === "composite" && returns.relation
        ? this.#cache.findRelation(returns.relation.schema, returns.relation.name)
        : null;
    const isComposite = returns.kind === "composite";
    const plan = planRead(
      isComposite ? this.#query : { ...this.#query, select: [], filters: [], logic: [], order: [] },
      { relation, name: returns.kind === "composite" ? (returns.relation?.name ?? name) : name, filters: true },
      this.#planOptions,
    );
    const representation = this.#represent({
      relation: returns.kind === "composite" ? returns.relation : null,
      wholeRows: isWhole(plan.root),
      isRoot: request.isRoot,
      returns,
    });
    const writer = new SqlWriter();
    const answer = this.#callAnswer(plan, representation, routine, args, relation, writer);
    const isRead = request.method === "GET" || request.method === "HEAD";
    const hoisted = routine.settings.filter(([setting]) => this.#config.hoistedTxSettings.includes(setting));
    return {
      ...this.#common(representation),
      ...answer,
      action: "call",
      readOnly: isRead || routine.volatility !== "volatile",
      isolation: parseIsolation(hoisted.find(([setting]) => setting === "default_transaction_isolation")?.[1]),
      settings: hoisted.filter(([setting]) => setting !== "default_transaction_isolation"),
      hasBody: request.method !== "HEAD" && returns.kind !== "void",
      maxAffected: this.#strictMaxAffected(),
      legacyNames: plan.legacyNames,
    };
  }

  #callAnswer(
    plan: ReadPlan,
    representation: Representation,
    routine: Routine,
    args: CallArguments,
    relation: Relation | null,
    writer: SqlWriter,
  ): Pick<CompiledRequest, "query" | "estimate" | "count"> {
    const { returns } = routine;
    const count = countModeOf(this.#request, this.#query, this.#config.maxRows);
    // Counted apart from the page, the rows must be had once and kept.
    const keepsRows = count === "exact" || count === "estimated";
    const single = returns.kind === "void" || !returns.set;
    const kept = (row: string): RowSource => ({ from: SOURCE, alias: SOURCE, row, joins: [] });
    if (returns.kind !== "composite") {
      const valuesFor = (ofWriter: SqlWriter) => {
        const call = callSql(ofWriter, routine, args);
        return `SELECT ${call.expression} AS "value"${call.from === null ? "" : ` FROM ${call.from}`}`;
      };
      const source: ReadSource = keepsRows
        ? { rows: () => kept(SOURCE), prefix: `${SOURCE} AS (${valuesFor(writer)})` }
        : { rows: (ofWriter) => calledRows(`(${valuesFor(ofWriter)}) AS ${CALL}`), prefix: "" };
      const valuePlan = { ...plan, root: { ...plan.root, items: [VALUE_ITEM] } };
      return this.#readAnswer(valuePlan, representation, { relation: null, scalar: true, single }, source, writer);
    }
    const rowsFor = (ofWriter: SqlWriter) => {
      const call = callSql(ofWriter, routine, args);
      const item = `${call.expression} AS ${CALL}`;
      return call.from === null ? item : `${call.from}, LATERAL ${item}`;
    };
    const row = relation === null ? SOURCE : `ROW(${SOURCE}.*)::${quoteQualified(relation)}`;
    const source: ReadSource = keepsRows
      ? { rows: () => kept(row), prefix: `${SOURCE} AS (SELECT ${CALL}.* FROM ${rowsFor(writer)})` }
      : { rows: (ofWriter) => calledRows(rowsFor(ofWriter)), prefix: "" };
    return this.#readAnswer(plan, representation, { relation, scalar: false, single }, source, writer);
  }

  #write(relation: Relation): CompiledRequest {
    const request = this.#request;
    const query = this.#query;
    const { preferences, action } = request;
    const wantsRows = preferences.return === "representation";
    const plan = planRead(
      wantsRows ? query : { ...query, select: [], order: [], filters: [], logic: [], pages: [] },
      { relation, name: relation.name, filters: false },
      this.#planOptions,
    );
    const representation = this.#represent({ relation, wholeRows: isWhole(plan.root), isRoot: false, returns: null });
    const writer = new SqlWriter();
    const wantsLocation =
      action === "insert" && preferences.return === "headers-only" && relation.primaryKey.length > 0;
    const returning: Returning = {
      columns: wantsRows ? neededColumns(plan.root, relation) : wantsLocation ? relation.primaryKey : [],
    };
    const change = this.#change(relation, writer, returning);
    const row = `ROW(${SOURCE}.*)::${quoteQualified(relation)}`;
    const source: RowSource = { from: SOURCE, alias: SOURCE, row, joins: [] };
    const sql = new ReadSql(writer, {
      nestedAsJsonb: nestsAsJsonb(representation),
      expandStars: true,
      limit: null,
      hasOffset: false,
    });
    const shaped = wantsRows ? sql.select(plan.root, source) : `SELECT 1 FROM ${SOURCE}`;
    const ctes = [`${SOURCE} AS (${change.text})`];
    if (wantsRows && readsRowsTwice(representation.form)) ctes.push(`"page" AS (${shaped})`);
    const body = wantsRows
      ? bodyExpression(representation.form, { scalar: false, single: false, relation, rows: '"page"' })
      : null;
    const rows = ctes.length > 1 ? '"page" AS "rows"' : `(${shaped}) AS "rows"`;
    const updated = change.upsert?.resolution === "merge" ? UPDATED_COUNT : null;
    const text =
      withClause(ctes) + answerSelect({ total: null, body, updated, location: wantsLocation ? LOCATION : null }, rows);
    return {
      ...this.#common(representation),
      action: action as "insert" | "update" | "replace" | "delete",
      query: this.#finish(text, writer, representation),
      estimate: null,
      count: preferences.count === "exact" || preferences.count === "estimated" ? "page" : "none",
      readOnly: false,
      hasBody: wantsRows,
      maxAffected: action === "update" || action === "delete" ? this.#strictMaxAffected() : null,
      location: wantsLocation ? { relation: relation.name, primaryKey: relation.primaryKey } : null,
      merges: change.upsert?.resolution === "merge",
      hasResolution: action === "insert" && change.upsert !== null,
      legacyNames: plan.legacyNames,
    };
  }

  #change(
    relation: Relation,
    writer: SqlWriter,
    returning: Returning,
  ): { readonly text: string; readonly upsert: Upsert | null } {
    const request = this.#request;
    const query = this.#query;
    if (request.action === "delete") {
      const conditions = planWriteConditions(query, relation, this.#planOptions);
      checkConditions(this.#config.safeUpdate, conditions, "DELETE");
      return { text: deleteSql(writer, relation, conditions, returning), upsert: null };
    }
    const rows = payloadRows(request, query, this.#cache, relation);
    switch (request.action) {
      case "update": {
        const conditions = planWriteConditions(query, relation, this.#planOptions);
        if (rows.columns.length > 0) checkConditions(this.#config.safeUpdate, conditions, "UPDATE");
        return { text: updateSql(writer, relation, rows, conditions, returning), upsert: null };
      }
      case "replace": {
        checkReplace(query, relation, rows);
        const conditions = planWriteConditions(query, relation, this.#planOptions);
        const upsert: Upsert = { resolution: "merge", conflictColumns: relation.primaryKey };
        return { text: insertSql(writer, relation, rows, upsert, conditions, returning), upsert };
      }
      default: {
        const upsert = upsertOf(request, query, relation);
        return { text: insertSql(writer, relation, rows, upsert, [], returning), upsert };
      }
    }
  }

  #represent(subject: Parameters<typeof chooseRepresentation>[2]): Representation {
    return chooseRepresentation(this.#cache, this.#request.accepted, subject, this.#config.planEnabled);
  }

  #readOptions(representation: Representation) {
    const request = this.#request;
    const query = this.#query;
    const config = this.#config;
    const root = query.pages.find(({ path }) => path.length === 0)?.value;
    return {
      nestedAsJsonb: nestsAsJsonb(representation),
      expandStars: false,
      limit: smallerLimit(request.page.limit, config.maxRows),
      hasOffset: root?.offset != null || request.hasRange,
    };
  }

  #common(representation: Representation) {
    const { form } = representation;
    return {
      representation,
      searchPath: searchPath([this.#request.schema, ...this.#config.extraSearchPath]),
      isolation: null,
      settings: [],
      singular: form.kind === "json" && form.single,
      maxAffected: null,
      location: null,
      merges: false,
      hasResolution: false,
    };
  }

  #strictMaxAffected(): number | null {
    const { handling, maxAffected } = this.#request.preferences;
    return handling === "strict" ? maxAffected : null;
  }

  #checkMaxAffected({ returns }: Routine): void {
    if (this.#strictMaxAffected() === null) return;
    if (returns.kind === "void" || !returns.set) throw restError("PGRST128");
  }

  #finish(text: string, writer: SqlWriter, { explain }: Representation): Query {
    const comment = `/* rest ${this.#request.action} */ `;
    if (explain === null) return { text: comment + text, bindings: writer.bindings };
    const options = [...explain.options, `FORMAT ${explain.format}`].map((option) => option.toUpperCase()).join(", ");
    return { text: `${comment}EXPLAIN (${options}) ${text}`, bindings: writer.bindings };
  }
}

const VALUE_ITEM: FieldItem = {
  kind: "field",
  field: { name: "value", jsonPath: [], pathNeedsJsonb: false, isTextVector: null, representation: null },
  key: "value",
  cast: null,
  format: null,
};

/** The first row's key as an object of texts. */
const LOCATION = `(SELECT json_object_agg("pair"."key", "pair"."value") FROM (SELECT * FROM ${SOURCE} LIMIT 1) AS "first", json_each_text(row_to_json("first")) AS "pair")`;

function withClause(ctes: readonly string[]): string {
  const given = ctes.filter((cte) => cte !== "");
  return given.length === 0 ? "" : `WITH ${given.join(", ")} `;
}

/** Handlers of any row were made for jsonb inside it. */
function nestsAsJsonb({ form }: Representation): boolean {
  return form.kind === "aggregate";
}

/** `select` is `*` alone. */
function isWhole(root: ReadNode): boolean {
  return root.items.length === 1 && root.items[0]?.kind === "star";
}

/** What a write must return to be read as asked: the fields themselves and the keys that embeds are joined by. */
function neededColumns(root: ReadNode, relation: Relation): readonly string[] {
  const names = new Set<string>();
  const addItem = (item: PlannedItem) => {
    if (item.kind === "star") names.add("*");
    else if (item.kind === "field") names.add(item.field.name);
    else if (item.kind === "aggregate" && item.field) names.add(item.field.name);
  };
  for (const item of root.items) addItem(item);
  for (const term of root.order) if (term.embed === null) names.add(term.field.name);
  for (const { relationship } of root.embeds) {
    if (relationship.kind === "computed") names.add("*");
    else if (relationship.kind === "foreignKey") for (const [own] of relationship.columns) names.add(own);
    else for (const [, own] of relationship.toSource.columns) names.add(own);
  }
  if (!names.has("*")) return [...names];
  return ["*", ...[...names].filter((name) => name !== "*" && !relation.columns.has(name))];
}
