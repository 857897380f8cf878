/**
 * Nothing of a request becomes SQL: with hostile names a statement has the very tokens it has with harmless ones, the
 * names within quotes, and no value is in it at all.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { projectSnapshot } from "../../auth/testing/snapshot.ts";
import { Slices } from "../../work/slices.ts";
import { compileRequest } from "../compile.ts";
import type { CompiledRequest } from "../compiled-request.ts";
import { configOfProject, type RestConfig } from "../config.ts";
import { readApiRequest } from "../request/api-request.ts";
import { buildSchemaCache } from "../schema-cache/build.ts";
import type { ColumnRow, RoutineRow } from "../schema-cache/introspection.ts";
import type { SchemaCache } from "../schema-cache/types.ts";
import { toServiceRequest } from "../testing/request.ts";

/** All the names and values of a request that its sender may choose. */
interface Words {
  readonly schema: string;
  readonly parent: string;
  readonly child: string;
  readonly key: string;
  readonly column: string;
  readonly reference: string;
  readonly constraint: string;
  readonly routine: string;
  readonly argument: string;
  readonly alias: string;
  readonly jsonKey: string;
  readonly value: string;
}

interface Sample {
  readonly method: string;
  readonly path: string;
  readonly query?: readonly (readonly [name: string, value: string])[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

const quoted = (name: string) => `"${name.replace(/["\\]/g, "\\$&")}"`;

/** Requests that together use every place of the grammar where a name or a value can stand. */
const SAMPLES: Readonly<Record<string, (words: Words) => Sample>> = {
  "fields, filters, logic and order": (w) => ({
    method: "GET",
    path: `/${encodeURIComponent(w.child)}`,
    query: [
      ["select", `${quoted(w.alias)}:${quoted(w.column)},${quoted(w.column)}->${w.jsonKey}->>${w.jsonKey}::text`],
      [quoted(w.column), `not.eq.${w.value}`],
      [`${quoted(w.column)}->>${w.jsonKey}`, `like(any).${w.value}`],
      [quoted(w.key), `in.(${quoted(w.value)},${quoted(w.value)})`],
      [quoted(w.column), `fts.${w.value}`],
      [quoted(w.column), `isdistinct.${w.value}`],
      ["or", `(${quoted(w.column)}.eq.${quoted(w.value)},not.and(${quoted(w.key)}.in.(${quoted(w.value)})))`],
      ["order", `${quoted(w.column)}.desc.nullslast,${quoted(w.column)}->${w.jsonKey}`],
      ["offset", w.value],
    ],
  }),
  "embeds by name, alias and hint": (w) => ({
    method: "GET",
    path: `/${encodeURIComponent(w.child)}`,
    query: [
      ["select", `*,${quoted(w.alias)}:${quoted(w.parent)}!${quoted(w.constraint)}!inner(${quoted(w.column)})`],
      [`${quoted(w.alias)}.${quoted(w.column)}`, `ilike.${w.value}`],
      [`${quoted(w.alias)}.or`, `(${quoted(w.column)}.gt.${quoted(w.value)})`],
      [`${quoted(w.alias)}.offset`, w.value],
      ["order", `${quoted(w.alias)}(${quoted(w.column)}).asc`],
    ],
    headers: { prefer: "count=exact" },
  }),
  "spreads and aggregates": (w) => ({
    method: "GET",
    path: `/${encodeURIComponent(w.parent)}`,
    query: [
      ["select", `${quoted(w.alias)}:${quoted(w.key)}.max(),...${quoted(w.child)}(${quoted(w.column)})`],
      [`${quoted(w.child)}.order`, quoted(w.column)],
      [quoted(w.child), "not.is.null"],
    ],
    headers: { accept: "text/csv", prefer: "count=exact" },
  }),
  "an upsert": (w) => ({
    method: "POST",
    path: `/${encodeURIComponent(w.child)}`,
    query: [
      ["select", `${quoted(w.alias)}:${quoted(w.column)},${quoted(w.parent)}(*)`],
      ["on_conflict", quoted(w.key)],
    ],
    headers: { prefer: "return=representation,resolution=merge-duplicates,missing=default" },
    body: JSON.stringify([{ [w.key]: w.value, [w.column]: w.value }]),
  }),
  "an insert with columns": (w) => ({
    method: "POST",
    path: `/${encodeURIComponent(w.child)}`,
    query: [["columns", `${quoted(w.key)},${quoted(w.column)}`]],
    headers: { prefer: "return=headers-only" },
    body: JSON.stringify({ [w.value]: w.value }),
  }),
  "an update": (w) => ({
    method: "PATCH",
    path: `/${encodeURIComponent(w.child)}`,
    query: [
      [quoted(w.key), `eq.${w.value}`],
      ["and", `(${quoted(w.column)}.match.${quoted(w.value)})`],
    ],
    body: JSON.stringify({ [w.column]: w.value }),
  }),
  "a replacement": (w) => ({
    method: "PUT",
    path: `/${encodeURIComponent(w.child)}`,
    query: [[quoted(w.key), `eq.${w.value}`]],
    body: JSON.stringify({ [w.key]: w.value, [w.column]: w.value }),
  }),
  "a deletion": (w) => ({
    method: "DELETE",
    path: `/${encodeURIComponent(w.child)}`,
    query: [[`${quoted(w.column)}->${w.jsonKey}`, `cs.${w.value}`]],
    headers: { prefer: "return=representation" },
  }),
  "a call by GET": (w) => ({
    method: "GET",
    path: `/rpc/${encodeURIComponent(w.routine)}`,
    query: [[w.argument, w.value]],
  }),
  "a call with JSON": (w) => ({
    method: "POST",
    path: `/rpc/${encodeURIComponent(w.routine)}`,
    body: JSON.stringify({ [w.argument]: w.value }),
  }),
  "a call with a form": (w) => ({
    method: "POST",
    path: `/rpc/${encodeURIComponent(w.routine)}`,
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: `${encodeURIComponent(w.argument)}=${encodeURIComponent(w.value)}`,
  }),
};

const HARMLESS: Words = {
  schema: "the schema",
  parent: "the parent",
  child: "the child",
  key: "the key",
  column: "the column",
  reference: "the reference",
  constraint: "the constraint",
  routine: "the routine",
  argument: "the argument",
  alias: "the alias",
  jsonKey: "the json key",
  value: "the value",
};

/** Each begins with a word of its own, so that they differ from each other and from all that the grammar knows. */
const hostileText = (word: string) =>
  fc
    .array(
      fc.constantFrom(..."\" ' \\ ; -- /* */ $1 $$ ( ) , . : -> * E' U&\" \n \t é 😀 a select or".split(" "), " "),
      { maxLength: 6 },
    )
    .map((parts) => `${word} ${parts.join("")}.`);
const hostileWords: fc.Arbitrary<Words> = fc.record({
  schema: hostileText("schema"),
  parent: hostileText("parent"),
  child: hostileText("child"),
  key: hostileText("key"),
  column: hostileText("column"),
  reference: hostileText("reference"),
  constraint: hostileText("constraint"),
  routine: hostileText("routine"),
  argument: hostileText("argument"),
  alias: hostileText("alias"),
  jsonKey: hostileText("json").map((text) => text.replace(/[-(:.,>)]/g, "")), // reserved there
  value: hostileText("value"),
});

test.each(Object.entries(SAMPLES))(
  "with hostile names %s is the same statement but for what is quoted",
  async (_, sample) => {
    const expected = skeletonOf((await compile(HARMLESS, sample)).query.text);
    await fc.assert(
      fc.asyncProperty(hostileWords, async (words) => {
        const { query, estimate } = await compile(words, sample);
        expect(skeletonOf(query.text)).toBe(expected);
        expect(estimate).toBe(null);
        expect(new Set(query.text.match(/\$\d+/g) ?? []).size).toBeGreaterThanOrEqual(query.bindings.length);
      }),
    );
  },
);

test.each(Object.entries(SAMPLES))("the values of %s are nowhere in the statement", async (_, sample) => {
  const expected = (await compile(HARMLESS, sample)).query.text;
  await fc.assert(
    fc.asyncProperty(hostileText("value"), async (value) => {
      expect((await compile({ ...HARMLESS, value }, sample)).query.text).toBe(expected);
    }),
  );
});

const TOKEN = /"((?:[^"]|"")*)"|E'(?:[^'\\]|''|\\.)*'|'(?:[^'\\]|'')*'/gs;

/** The statement without what its names and constants hold, read as PostgreSQL's lexer does. */
function skeletonOf(sql: string): string {
  const skeleton = sql.replace(TOKEN, (token) => (token.startsWith('"') ? '""' : "''"));
  expect(skeleton.replaceAll('""', "").replaceAll("''", "")).not.toMatch(/["'\\;]|--/);
  return skeleton.replace(/ *''/g, "''"); // a constant with escapes has a blank before it
}

async function compile(words: Words, make: (words: Words) => Sample): Promise<CompiledRequest> {
  const sample = make(words);
  const config: RestConfig = {
    ...configOfProject(projectSnapshot()),
    schemas: [words.schema],
    aggregatesEnabled: true,
    maxRows: null,
  };
  const query = (sample.query ?? []).map((pair) => pair.map(encodeURIComponent).join("=")).join("&");
  const request = toServiceRequest(sample.method, `${sample.path}?${query}`, sample.headers ?? {}, sample.body);
  return compileRequest(await readApiRequest(request, config, neverScanned), await schemaOf(words), config);
}

const neverScanned = () => Promise.reject(new Error("the bodies here are small"));

/** A child that refers to a parent, and a function. */
function schemaOf(words: Words): Promise<SchemaCache> {
  const { schema } = words;
  const relation = (oid: number, name: string) => ({ oid, schema, name, is_view: false, comment: null, events: 28 });
  const column = (owner: number, number: number, name: string): ColumnRow => ({
    relation: owner,
    number,
    name,
    type: "jsonb",
    base_type: "jsonb",
    max_length: null,
    nullable: true,
    default_expression: "now()",
    domain_default: null,
    enum_labels: null,
    comment: null,
    domain: null,
  });
  const routine: RoutineRow = {
    schema,
    name: words.routine,
    comment: null,
    argument_names: [words.argument],
    argument_types: ["text"],
    argument_modes: null,
    default_count: 0,
    returns_set: false,
    return_kind: "b",
    return_type: "integer",
    return_relation_schema: null,
    return_relation: null,
    return_domain: null,
    return_base: "integer",
    volatility: "v",
    settings: null,
  };
  return buildSchemaCache(
    {
      serverVersion: 180000,
      missingSchemas: [],
      schemaComments: [],
      relations: [relation(1, words.parent), relation(2, words.child)],
      columns: [
        column(1, 1, words.key),
        column(1, 2, words.column),
        column(2, 1, words.key),
        column(2, 2, words.column),
        column(2, 3, words.reference),
      ],
      keys: [
        { relation: 1, kind: "p", columns: [words.key] },
        { relation: 2, kind: "p", columns: [words.key] },
      ],
      foreignKeys: [
        { name: words.constraint, relation: 2, target: 1, columns: [words.reference], target_columns: [words.key] },
      ],
      views: [],
      routines: [routine],
      computedRelationships: [],
      handlers: [],
      representations: [],
      roleSettings: [],
      geoJsonSchema: null,
    },
    new Map(),
    [],
    new Slices("project"),
  );
}
