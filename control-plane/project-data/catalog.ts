/** What a project's database has: names first, a relation's parts on demand, nothing without a bound. */
import { NotFound } from "../errors.ts";
import type { DataSession } from "./data-session.ts";

const MAX_LISTED = 200;
const MAX_SCHEMAS = 500;
/** Of texts such as defaults and definitions, in characters. */
const MAX_TEXT = 4_000;
const COMPLETION = { relations: 2_000, columnsOfOne: 200, functions: 1_000 };

export interface RelationName {
  readonly schema: string;
  readonly name: string;
  /** `table`, `partitioned table`, `view`, `materialized view`, `foreign table`. */
  readonly kind: string;
  /** Of the planner; null when it has never looked. */
  readonly estimatedRows: number | null;
  readonly rls: boolean;
  readonly policies: number;
}

export interface RelationColumn {
  readonly name: string;
  readonly type: string;
  readonly notNull: boolean;
  readonly defaultSql: string | null;
  /** Made by the server: cannot be written. */
  readonly isGenerated: boolean;
  readonly isIdentity: boolean;
  readonly enumValues: readonly string[] | null;
  readonly comment: string | null;
}

export interface ForeignKey {
  readonly name: string;
  readonly columns: readonly string[];
  readonly schema: string;
  readonly relation: string;
  readonly referencedColumns: readonly string[];
}

export interface Definition {
  readonly name: string;
  readonly definition: string;
}

export interface Policy {
  readonly name: string;
  readonly command: string;
  readonly roles: readonly string[];
  readonly isPermissive: boolean;
  readonly using: string | null;
  readonly check: string | null;
}

export interface Relation extends RelationName {
  readonly comment: string | null;
  /** Columns that name one row: of the primary key, else of a unique index without nulls; empty when there is none. */
  readonly rowKey: readonly string[];
  readonly columns: readonly RelationColumn[];
  readonly foreignKeys: readonly ForeignKey[];
  readonly constraints: readonly Definition[];
  readonly indexes: readonly Definition[];
  readonly triggers: readonly Definition[];
  readonly policyList: readonly Policy[];
}

const KINDS = `case c.relkind when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view'
  when 'm' then 'materialized view' else 'foreign table' end`;

const NAME_COLUMNS = `n.nspname, c.relname, ${KINDS}, case when c.reltuples >= 0 then c.reltuples::float8::text end,
  c.relrowsecurity, (select count(*) from pg_policy p where p.polrelid = c.oid)`;

export async function listSchemas(session: DataSession): Promise<string[]> {
  const rows = await session.rows(
    `/* listSchemas */ select nspname from pg_namespace
     where left(nspname::text, 3) <> 'pg_' and nspname <> 'information_schema' and has_schema_privilege(oid, 'usage')
     order by nspname <> 'public', nspname limit ${MAX_SCHEMAS}`,
  );
  return rows.map(([name]) => name ?? "");
}

export async function listRelations(
  session: DataSession,
  { schema, search, after }: { schema: string; search: string; after: string | null },
): Promise<RelationName[]> {
  const rows = await session.rows(
    `/* listRelations */ select ${NAME_COLUMNS}
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = $1 and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
       and ($2::text = '' or position(lower($2::text) in lower(c.relname::text)) > 0)
       and ($3::text is null or c.relname > $3::name)
     order by c.relname limit ${MAX_LISTED}`,
    [schema, search, after],
  );
  return rows.map(toRelationName);
}

function toRelationName([schema, name, kind, estimate, rls, policies]: (string | null)[]): RelationName {
  return {
    schema: schema ?? "",
    name: name ?? "",
    kind: kind ?? "",
    estimatedRows: estimate == null ? null : Number(estimate),
    rls: rls === "t",
    policies: Number(policies),
  };
}

/** @throws {NotFound} */
export async function findRelation(session: DataSession, schema: string, name: string): Promise<Relation> {
  const [head] = await session.rows(
    `/* findRelation */ select ${NAME_COLUMNS}, c.oid, left(obj_description(c.oid, 'pg_class'), ${MAX_TEXT})
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p', 'v', 'm', 'f')`,
    [schema, name],
  );
  if (!head) throw new NotFound("table");
  const oid = head[6] ?? "0";
  const definitions = async (sql: string): Promise<Definition[]> =>
    (await session.rows(sql, [oid])).map(([title, definition]) => ({
      name: title ?? "",
      definition: definition ?? "",
    }));
  const columns = await session.rows(
    `/* findRelation: columns */ select a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       left(pg_get_expr(d.adbin, d.adrelid), ${MAX_TEXT}), a.attgenerated <> '', a.attidentity <> '',
       (select json_agg(e.enumlabel) from (select enumlabel from pg_enum where enumtypid = a.atttypid
         order by enumsortorder limit ${MAX_LISTED}) e), left(col_description(a.attrelid, a.attnum), ${MAX_TEXT})
     from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
     where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped order by a.attnum`,
    [oid],
  );
  const keys = await session.rows(
    `/* findRelation: key */ select to_json(array(select a.attname
         from unnest(i.indkey[0:i.indnkeyatts - 1]) with ordinality k(attnum, place)
           join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum order by k.place))
     from pg_index i where i.indrelid = $1::oid and i.indisunique and i.indisvalid and i.indimmediate
       and i.indpred is null and i.indexprs is null
       and not exists (select from pg_attribute a where a.attrelid = i.indrelid
         and a.attnum = any (i.indkey[0:i.indnkeyatts - 1]) and not a.attnotnull)
     order by i.indisprimary desc, i.indnkeyatts, i.indexrelid limit 1`,
    [oid],
  );
  const names = (side: "conkey" | "confkey", of: "conrelid" | "confrelid") =>
    `to_json(array(select a.attname from unnest(f.${side}) with ordinality k(attnum, place)
      join pg_attribute a on a.attrelid = f.${of} and a.attnum = k.attnum order by k.place))`;
  const foreignKeys = await session.rows(
    `/* findRelation: foreign keys */ select f.conname, ${names("conkey", "conrelid")}, n.nspname, c.relname,
       ${names("confkey", "confrelid")}
     from pg_constraint f join pg_class c on c.oid = f.confrelid join pg_namespace n on n.oid = c.relnamespace
     where f.conrelid = $1::oid and f.contype = 'f' order by f.conname limit ${MAX_LISTED}`,
    [oid],
  );
  const policies = await session.rows(
    `/* findRelation: policies */ select p.polname, case p.polcmd when 'r' then 'SELECT' when 'a' then 'INSERT'
         when 'w' then 'UPDATE' when 'd' then 'DELETE' else 'ALL' end,
       to_json(array(select coalesce(r.rolname::text, 'public') from unnest(p.polroles) o(oid)
         left join pg_roles r on r.oid = o.oid)), p.polpermissive,
       left(pg_get_expr(p.polqual, p.polrelid), ${MAX_TEXT}), left(pg_get_expr(p.polwithcheck, p.polrelid), ${MAX_TEXT})
     from pg_policy p where p.polrelid = $1::oid order by p.polname limit ${MAX_LISTED}`,
    [oid],
  );
  return {
    ...toRelationName(head),
    comment: head[7] ?? null,
    rowKey: toList(keys[0]?.[0]),
    columns: columns.map(([title, type, notNull, defaultSql, isGenerated, isIdentity, enumValues, comment]) => ({
      name: title ?? "",
      type: type ?? "",
      notNull: notNull === "t",
      defaultSql: defaultSql ?? null,
      isGenerated: isGenerated === "t",
      isIdentity: isIdentity === "t",
      enumValues: enumValues == null ? null : toList(enumValues),
      comment: comment ?? null,
    })),
    foreignKeys: foreignKeys.map(([title, own, otherSchema, relation, referenced]) => ({
      name: title ?? "",
      columns: toList(own),
      schema: otherSchema ?? "",
      relation: relation ?? "",
      referencedColumns: toList(referenced),
    })),
    constraints: await definitions(
      `/* findRelation: constraints */ select conname, left(pg_get_constraintdef(oid, true), ${MAX_TEXT})
       from pg_constraint where conrelid = $1::oid and contype <> 'n' order by contype, conname limit ${MAX_LISTED}`,
    ),
    indexes: await definitions(
      `/* findRelation: indexes */ select x.relname, left(pg_get_indexdef(x.oid), ${MAX_TEXT})
       from pg_index i join pg_class x on x.oid = i.indexrelid where i.indrelid = $1::oid
       order by x.relname limit ${MAX_LISTED}`,
    ),
    triggers: await definitions(
      `/* findRelation: triggers */ select tgname, left(pg_get_triggerdef(oid), ${MAX_TEXT})
       from pg_trigger where tgrelid = $1::oid and not tgisinternal order by tgname limit ${MAX_LISTED}`,
    ),
    policyList: policies.map(([title, command, roles, isPermissive, using, check]) => ({
      name: title ?? "",
      command: command ?? "",
      roles: toList(roles),
      isPermissive: isPermissive === "t",
      using: using ?? null,
      check: check ?? null,
    })),
  };
}

function toList(json: string | null | undefined): string[] {
  return json ? (JSON.parse(json) as string[]) : [];
}

export interface Completion {
  /** Columns by relation by schema. */
  readonly relations: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
  readonly functions: readonly string[];
}

/** Names for an editor; of a very large database the first of them. */
export async function readCompletion(session: DataSession): Promise<Completion> {
  const rows = await session.rows(
    `/* readCompletion */ select n.nspname, c.relname,
       to_json(array(select a.attname from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
         order by a.attnum limit ${COMPLETION.columnsOfOne}))
     from (select oid, relname, relnamespace from pg_class
       where relkind in ('r', 'p', 'v', 'm', 'f') and not relispartition
         and relnamespace not in (select oid from pg_namespace where left(nspname::text, 3) = 'pg_' or nspname = 'information_schema')
       order by relnamespace <> coalesce(to_regnamespace('public')::oid, 0), relname limit ${COMPLETION.relations}) c
     join pg_namespace n on n.oid = c.relnamespace`,
  );
  const relations: Record<string, Record<string, readonly string[]>> = Object.create(null);
  for (const [schema, name, columns] of rows) {
    if (!schema || !name) continue;
    const known = relations[schema] ?? Object.create(null);
    known[name] = toList(columns);
    relations[schema] = known;
  }
  const functions = await session.rows(
    `/* readCompletion: functions */ select distinct case when n.nspname = 'public' then '' else n.nspname || '.' end || p.proname
     from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where left(n.nspname::text, 3) <> 'pg_' and n.nspname not in ('information_schema', 'extensions') and p.prokind in ('f', 'p')
       and p.prorettype <> 'trigger'::regtype limit ${COMPLETION.functions}`,
  );
  return { relations, functions: functions.map(([name]) => name ?? "") };
}
