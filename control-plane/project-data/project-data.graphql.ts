/** Catalog and rows of a project's database, typed: what the dashboard's table pages and its SQL editor ask. */
import { recordAudit } from "../audit/record-audit.ts";
import { builder } from "../builder.ts";
import { InvalidInput } from "../errors.ts";
import { requireProject } from "../permissions.ts";
import { ProjectType } from "../projects/project.graphql.ts";
import { ActAsInput, OWNER, resolveIdentity } from "./act-as.ts";
import {
  type Definition,
  type ForeignKey,
  findRelation,
  listRelations,
  listSchemas,
  type Policy,
  type Relation,
  type RelationColumn,
  type RelationName,
  readCompletion,
} from "./catalog.ts";
import { applyChanges, CHANGE_LIMITS, type ChangeCounts, type Values } from "./change-rows.ts";
import { withDataSession } from "./data-session.ts";
import { FILTER_OPERATORS, type FilterOperator, quoteName } from "./row-sql.ts";
import { countRows, ROW_LIMITS, type RowsPage, readCell, readRows } from "./table-rows.ts";

/** A session in the project's database each. */
const COMPLEXITY = 200;
const CATALOG = { identity: OWNER, isReadOnly: true, searchPath: "pg_catalog" } as const;
const ROWS = { isReadOnly: true, searchPath: "public, extensions" } as const;
const COUNT_TIMEOUT_MS = 5_000;

const RelationNameType = builder.objectRef<RelationName>("RelationName").implement({
  fields: (t) => ({
    schema: t.exposeString("schema"),
    name: t.exposeString("name"),
    kind: t.exposeString("kind", {
      description: "`table`, `partitioned table`, `view`, `materialized view`, `foreign table`.",
    }),
    estimatedRows: t.exposeFloat("estimatedRows", {
      nullable: true,
      description: "The planner's; null before it looked.",
    }),
    rls: t.exposeBoolean("rls", { description: "Row-level security is on." }),
    policies: t.exposeInt("policies"),
  }),
});

const ColumnType = builder.objectRef<RelationColumn>("RelationColumn").implement({
  fields: (t) => ({
    name: t.exposeString("name"),
    type: t.exposeString("type"),
    notNull: t.exposeBoolean("notNull"),
    defaultSql: t.exposeString("defaultSql", { nullable: true }),
    isGenerated: t.exposeBoolean("isGenerated", { description: "Computed by the server: cannot be written." }),
    isIdentity: t.exposeBoolean("isIdentity"),
    enumValues: t.exposeStringList("enumValues", { nullable: true, description: "The first 200." }),
    comment: t.exposeString("comment", { nullable: true }),
  }),
});

const ForeignKeyType = builder.objectRef<ForeignKey>("RelationForeignKey").implement({
  fields: (t) => ({
    name: t.exposeString("name"),
    columns: t.exposeStringList("columns"),
    schema: t.exposeString("schema"),
    relation: t.exposeString("relation"),
    referencedColumns: t.exposeStringList("referencedColumns"),
  }),
});

const PartType = builder.objectRef<Definition>("RelationPart").implement({
  description: "A constraint, an index or a trigger.",
  fields: (t) => ({ name: t.exposeString("name"), definition: t.exposeString("definition") }),
});

const PolicyType = builder.objectRef<Policy>("RelationPolicy").implement({
  fields: (t) => ({
    name: t.exposeString("name"),
    command: t.exposeString("command", { description: "`ALL`, `SELECT`, `INSERT`, `UPDATE`, `DELETE`." }),
    roles: t.exposeStringList("roles"),
    isPermissive: t.exposeBoolean("isPermissive"),
    using: t.exposeString("using", { nullable: true }),
    check: t.exposeString("check", { nullable: true }),
  }),
});

const RelationType = builder.objectRef<Relation>("Relation").implement({
  description: "A table or view with its parts; of each list the first 200.",
  fields: (t) => ({
    schema: t.exposeString("schema"),
    name: t.exposeString("name"),
    kind: t.exposeString("kind"),
    comment: t.exposeString("comment", { nullable: true }),
    estimatedRows: t.exposeFloat("estimatedRows", { nullable: true }),
    rls: t.exposeBoolean("rls"),
    rowKey: t.exposeStringList("rowKey", {
      description: "Columns of the primary key, else of a unique index without nulls; empty: rows cannot be edited.",
    }),
    columns: t.field({ type: [ColumnType], resolve: ({ columns }) => [...columns] }),
    foreignKeys: t.field({ type: [ForeignKeyType], resolve: ({ foreignKeys }) => [...foreignKeys] }),
    constraints: t.field({ type: [PartType], resolve: ({ constraints }) => [...constraints] }),
    indexes: t.field({ type: [PartType], resolve: ({ indexes }) => [...indexes] }),
    triggers: t.field({ type: [PartType], resolve: ({ triggers }) => [...triggers] }),
    policies: t.field({ type: [PolicyType], resolve: ({ policyList }) => [...policyList] }),
  }),
});

const CatalogType = builder.objectRef<{ readonly ref: string }>("Catalog").implement({
  fields: (t) => ({
    schemas: t.stringList({
      complexity: COMPLEXITY,
      resolve: ({ ref }, _args, context) => withDataSession(context, ref, CATALOG, listSchemas),
    }),
    relations: t.field({
      type: [RelationNameType],
      description: "By name, 200 a page: `after` is the last name of the page before.",
      complexity: COMPLEXITY,
      args: {
        schema: t.arg.string(),
        search: t.arg.string({ required: false, description: "Part of the name." }),
        after: t.arg.string({ required: false }),
      },
      resolve: ({ ref }, { schema, search, after }, context) =>
        withDataSession(context, ref, CATALOG, (session) =>
          listRelations(session, { schema, search: search ?? "", after: after ?? null }),
        ),
    }),
    relation: t.field({
      type: RelationType,
      complexity: COMPLEXITY,
      args: { schema: t.arg.string(), name: t.arg.string() },
      resolve: ({ ref }, { schema, name }, context) =>
        withDataSession(context, ref, CATALOG, (session) => findRelation(session, schema, name)),
    }),
    completion: t.field({
      type: "JSON",
      description: "Names for an editor: {relations: {schema: {relation: [column]}}, functions: [name]}.",
      complexity: COMPLEXITY,
      resolve: ({ ref }, _args, context) => withDataSession(context, ref, CATALOG, readCompletion),
    }),
  }),
});

const FilterOperatorEnum = builder.enumType("RowFilterOperator", {
  values: Object.keys(FILTER_OPERATORS) as FilterOperator[],
});

const RowFilterInput = builder.inputType("RowFilter", {
  fields: (t) => ({
    column: t.string(),
    operator: t.field({ type: FilterOperatorEnum }),
    value: t.string({ required: false, description: "As PostgreSQL reads it for this column." }),
  }),
});

const RowSortInput = builder.inputType("RowSort", {
  fields: (t) => ({ column: t.string(), descending: t.boolean({ defaultValue: false }) }),
});

const TableRowsInput = builder.inputType("TableRowsInput", {
  fields: (t) => ({
    schema: t.string(),
    relation: t.string(),
    filters: t.field({ type: [RowFilterInput], required: false, description: `At most ${ROW_LIMITS.filters}.` }),
    sort: t.field({ type: [RowSortInput], required: false, description: `At most ${ROW_LIMITS.sorts}.` }),
    after: t.string({ required: false }),
    before: t.string({ required: false }),
    limit: t.int({ defaultValue: ROW_LIMITS.fallback, description: `At most ${ROW_LIMITS.most}.` }),
    actAs: t.field({ type: ActAsInput, required: false }),
  }),
});

interface HiddenRows {
  readonly visibleToOwner: number;
  readonly rls: boolean;
  readonly policies: readonly Policy[];
}

const HiddenRowsType = builder.objectRef<HiddenRows>("HiddenRows").implement({
  description: "Why an identity sees nothing.",
  fields: (t) => ({
    visibleToOwner: t.exposeInt("visibleToOwner", { description: "Counted up to 1,000." }),
    rls: t.exposeBoolean("rls"),
    policies: t.field({
      type: [PolicyType],
      description: "Those for SELECT.",
      resolve: ({ policies }) => [...policies],
    }),
  }),
});

const TableRowsType = builder.objectRef<RowsPage & { readonly hidden: HiddenRows | null }>("TableRows").implement({
  fields: (t) => ({
    columns: t.exposeStringList("columns"),
    rows: t.field({
      type: ["JSON"],
      description: "Arrays in the order of the columns, of text as PostgreSQL writes it, or null.",
      resolve: ({ rows }) => [...rows],
    }),
    keys: t.field({
      type: ["JSON"],
      description: "By row, {column: text}: names it for changes. Empty objects when the table has no key.",
      resolve: ({ keys }) => [...keys],
    }),
    cut: t.field({
      type: ["JSON"],
      description:
        "[row, column, bytes] of each cell that is not here whole: its first 2,048 characters (bytes 0), or nothing of it (its stored bytes).",
      resolve: ({ cut }) => [...cut],
    }),
    startCursor: t.exposeString("startCursor", {
      nullable: true,
      description: "For `before`; null on the first page.",
    }),
    endCursor: t.exposeString("endCursor", { nullable: true, description: "For `after`; null on the last page." }),
    hidden: t.field({ type: HiddenRowsType, nullable: true, resolve: ({ hidden }) => hidden }),
  }),
});

const CellInput = builder.inputType("CellInput", {
  fields: (t) => ({
    schema: t.string(),
    relation: t.string(),
    column: t.string(),
    key: t.field({ type: "JSON" }),
    actAs: t.field({ type: ActAsInput, required: false }),
  }),
});

builder.objectFields(ProjectType, (t) => ({
  catalog: t.field({
    type: CatalogType,
    description: "What the project's database has. Role DEVELOPER.",
    resolve: async ({ ref }, _args, context) => {
      await requireProject(context, ref, "sql.run");
      return { ref };
    },
  }),
  tableRows: t.field({
    type: TableRowsType,
    description: "A page of rows, by key. Role DEVELOPER.",
    complexity: COMPLEXITY,
    args: { input: t.arg({ type: TableRowsInput }) },
    resolve: async ({ ref }, { input }, context) => {
      await requireProject(context, ref, "sql.run");
      const query = parseRowsQuery(input);
      const identity = await resolveIdentity(context, ref, input.actAs);
      const relation = await withDataSession(context, ref, CATALOG, (session) =>
        findRelation(session, input.schema, input.relation),
      );
      const page = await withDataSession(context, ref, { ...ROWS, identity }, (session) =>
        readRows(session, relation, query),
      );
      const isUnexplained = page.rows.length === 0 && identity.role !== "user" && !query.after && !query.before;
      if (!isUnexplained) return { ...page, hidden: null };
      const visibleToOwner = await withDataSession(
        context,
        ref,
        { ...ROWS, identity: OWNER, timeoutMs: 1_000 },
        async (session) => {
          const [row] = await session.rows(
            `/* hiddenRows */ select count(*) from
               (select from ${quoteName(relation.schema)}.${quoteName(relation.name)} limit 1000) t`,
          );
          return Number(row?.[0] ?? 0);
        },
      ).catch(() => 0);
      const policies = relation.policyList.filter(({ command }) => command === "ALL" || command === "SELECT");
      return { ...page, hidden: visibleToOwner > 0 ? { visibleToOwner, rls: relation.rls, policies } : null };
    },
  }),
  countRows: t.float({
    description: `Counts exactly, for at most ${COUNT_TIMEOUT_MS / 1_000} seconds. Role DEVELOPER.`,
    complexity: COMPLEXITY,
    args: { input: t.arg({ type: TableRowsInput }) },
    resolve: async ({ ref }, { input }, context) => {
      await requireProject(context, ref, "sql.run");
      const { filters } = parseRowsQuery(input);
      const identity = await resolveIdentity(context, ref, input.actAs);
      const relation = await withDataSession(context, ref, CATALOG, (session) =>
        findRelation(session, input.schema, input.relation),
      );
      return withDataSession(context, ref, { ...ROWS, identity, timeoutMs: COUNT_TIMEOUT_MS }, (session) =>
        countRows(session, relation, filters),
      );
    },
  }),
  cell: t.string({
    nullable: true,
    description: `A whole value, up to ${ROW_LIMITS.cellBytes} bytes. Role DEVELOPER.`,
    complexity: COMPLEXITY * 10,
    args: { input: t.arg({ type: CellInput }) },
    resolve: async ({ ref }, { input }, context) => {
      await requireProject(context, ref, "sql.run");
      const key = parseValues("key", input.key);
      const identity = await resolveIdentity(context, ref, input.actAs);
      const relation = await withDataSession(context, ref, CATALOG, (session) =>
        findRelation(session, input.schema, input.relation),
      );
      const maxReceivedBytes = ROW_LIMITS.cellBytes + 1_000_000;
      return withDataSession(context, ref, { ...ROWS, identity, maxReceivedBytes }, (session) =>
        readCell(session, relation, input.column, key),
      );
    },
  }),
}));

const RowUpdateInput = builder.inputType("RowUpdate", {
  fields: (t) => ({
    key: t.field({ type: "JSON", description: "{column: text} of the row's key." }),
    old: t.field({ type: "JSON", description: "{column: text or null}: what was shown of the columns that change." }),
    new: t.field({ type: "JSON" }),
  }),
});

const ChangeRowsInput = builder.inputType("ChangeRowsInput", {
  description: `At most ${CHANGE_LIMITS.changes} changes together; values are text as PostgreSQL reads it for the column, or null.`,
  fields: (t) => ({
    ref: t.id(),
    schema: t.string(),
    relation: t.string(),
    inserts: t.field({ type: ["JSON"], required: false, description: "Columns that are left out get their defaults." }),
    updates: t.field({ type: [RowUpdateInput], required: false }),
    deletes: t.field({ type: ["JSON"], required: false, description: "Keys." }),
    actAs: t.field({ type: ActAsInput, required: false }),
  }),
});

const RowChangesType = builder.objectRef<ChangeCounts>("RowChanges").implement({
  fields: (t) => ({
    inserted: t.exposeInt("inserted"),
    updated: t.exposeInt("updated"),
    deleted: t.exposeInt("deleted"),
  }),
});

builder.mutationFields((t) => ({
  changeRows: t.field({
    type: RowChangesType,
    complexity: COMPLEXITY,
    description:
      "Changes rows, all or none. CONFLICT when a row is not what was shown: `present` is what it holds now. Role DEVELOPER.",
    args: { input: t.arg({ type: ChangeRowsInput }) },
    resolve: async (_root, { input }, context) => {
      const { ref, organizationId } = await requireProject(context, input.ref, "sql.run");
      const changes = {
        inserts: (input.inserts ?? []).map((values) => parseValues("inserts", values)),
        updates: (input.updates ?? []).map((update) => ({
          key: parseValues("updates", update.key),
          old: parseValues("updates", update.old),
          new: parseValues("updates", update.new),
        })),
        deletes: (input.deletes ?? []).map((key) => parseValues("deletes", key)),
      };
      const counts = {
        inserts: changes.inserts.length,
        updates: changes.updates.length,
        deletes: changes.deletes.length,
      };
      if (counts.inserts + counts.updates + counts.deletes > CHANGE_LIMITS.changes)
        throw new InvalidInput("input", `at most ${CHANGE_LIMITS.changes} rows are changed together`);
      const identity = await resolveIdentity(context, ref, input.actAs);
      await recordAudit(context.database, context, {
        action: "rows.change",
        organizationId,
        projectRef: ref,
        details: {
          schema: input.schema.slice(0, 63),
          relation: input.relation.slice(0, 63),
          role: identity.role,
          ...(input.actAs?.userId ? { userId: input.actAs.userId } : {}),
          ...counts,
        },
      });
      const relation = await withDataSession(context, ref, CATALOG, (session) =>
        findRelation(session, input.schema, input.relation),
      );
      return withDataSession(
        context,
        ref,
        { identity, isReadOnly: false, searchPath: "public, extensions" },
        (session) => applyChanges(session, relation, changes),
      );
    },
  }),
}));

function parseRowsQuery(input: typeof TableRowsInput.$inferInput) {
  const { filters, sort, limit, after, before } = input;
  if (limit < 1 || limit > ROW_LIMITS.most) throw new InvalidInput("limit", `a page has 1 to ${ROW_LIMITS.most} rows`);
  if ((filters?.length ?? 0) > ROW_LIMITS.filters)
    throw new InvalidInput("filters", `at most ${ROW_LIMITS.filters} filters`);
  if ((sort?.length ?? 0) > ROW_LIMITS.sorts) throw new InvalidInput("sort", `at most ${ROW_LIMITS.sorts} columns`);
  if (after && before) throw new InvalidInput("before", "a page is after or before a place, not both");
  return {
    filters: (filters ?? []).map(({ column, operator, value }) => ({ column, operator, value: value ?? null })),
    sorts: (sort ?? []).map(({ column, descending }) => ({ column, isDescending: descending ?? false })),
    limit,
    after: after ?? null,
    before: before ?? null,
  };
}

function parseValues(field: string, value: unknown): Values {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isObject || !Object.values(value).every((each) => each === null || typeof each === "string"))
    throw new InvalidInput(field, "values are {column: text or null}");
  return value as Values;
}
