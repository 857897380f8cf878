/** The catalogue queries a schema cache is built from. All names they return are as `search_path = ''` prints them. */
import type { Transaction } from "../../database/database.ts";

export interface RelationRow {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly is_view: boolean;
  readonly comment: string | null;
  /** Bits of pg_relation_is_updatable. */
  readonly events: number;
}

export interface ColumnRow {
  readonly relation: number;
  readonly number: number;
  readonly name: string;
  readonly type: string;
  readonly base_type: string;
  readonly max_length: number | null;
  readonly nullable: boolean;
  readonly default_expression: string | null;
  readonly domain_default: string | null;
  readonly enum_labels: readonly string[] | null;
  readonly comment: string | null;
  readonly domain: string | null;
}

export interface KeyRow {
  readonly relation: number;
  readonly kind: "p" | "u";
  readonly columns: readonly string[];
}

export interface ForeignKeyRow {
  readonly name: string;
  readonly relation: number;
  readonly target: number;
  readonly columns: readonly string[];
  readonly target_columns: readonly string[];
}

export interface ViewRow {
  readonly relation: number;
  readonly tree: string;
}

export interface RoutineRow {
  readonly schema: string;
  readonly name: string;
  readonly comment: string | null;
  readonly argument_names: readonly string[] | null;
  readonly argument_types: readonly string[];
  readonly argument_modes: readonly string[] | null;
  readonly default_count: number;
  readonly returns_set: boolean;
  readonly return_kind: string;
  readonly return_type: string;
  readonly return_relation_schema: string | null;
  readonly return_relation: string | null;
  readonly return_domain: string | null;
  readonly return_base: string;
  readonly volatility: string;
  readonly settings: readonly string[] | null;
}

export interface ComputedRelationshipRow {
  readonly schema: string;
  readonly name: string;
  readonly source: number;
  readonly target: number;
  readonly to_one: boolean;
}

export interface HandlerRow {
  readonly schema: string;
  readonly name: string;
  readonly media_type: string;
  readonly binary: boolean;
  readonly relation_schema: string | null;
  readonly relation: string | null;
}

export interface RepresentationRow {
  readonly domain: string;
  readonly direction: "toJson" | "fromJson" | "fromText";
  readonly schema: string;
  readonly name: string;
}

export interface RoleSettingsRow {
  readonly role: string;
  readonly settings: readonly string[];
}

export interface CatalogueRows {
  readonly serverVersion: number;
  readonly missingSchemas: readonly string[];
  readonly schemaComments: readonly { readonly schema: string; readonly comment: string }[];
  readonly relations: readonly RelationRow[];
  readonly columns: readonly ColumnRow[];
  readonly keys: readonly KeyRow[];
  readonly foreignKeys: readonly ForeignKeyRow[];
  readonly views: readonly ViewRow[];
  readonly routines: readonly RoutineRow[];
  readonly computedRelationships: readonly ComputedRelationshipRow[];
  readonly handlers: readonly HandlerRow[];
  readonly representations: readonly RepresentationRow[];
  readonly roleSettings: readonly RoleSettingsRow[];
  /** Schema of PostGIS's `st_asgeojson(record)`; null where PostGIS is not installed. */
  readonly geoJsonSchema: string | null;
}

/** What a schema cache is made of. */
export interface SchemaSize {
  readonly relations: number;
  readonly columns: number;
  readonly routines: number;
}

const SIZE = `/* introspectSize */
  with relations as materialized (
    select relation.oid from pg_catalog.pg_class relation
    join pg_catalog.pg_namespace schema on schema.oid = relation.relnamespace
    where relation.relkind in ('r', 'v', 'm', 'f', 'p') and not relation.relispartition and schema.nspname = any($1)
  )
  select (select count(*) from relations)::int4 as relations,
    (select count(*) from pg_catalog.pg_attribute attribute join relations on relations.oid = attribute.attrelid
      where attribute.attnum > 0 and not attribute.attisdropped)::int4 as columns,
    (select count(*) from pg_catalog.pg_proc routine
      join pg_catalog.pg_namespace schema on schema.oid = routine.pronamespace
      where routine.prokind = 'f' and schema.nspname = any($1))::int4 as routines`;

/** Asked before anything else is read: counting costs a fraction. */
export async function readSize(transaction: Transaction, schemas: readonly string[]): Promise<SchemaSize> {
  const [size] = await transaction.query<{ -readonly [kind in keyof SchemaSize]: number }>(SIZE, [schemas]);
  return size ?? { relations: 0, columns: 0, routines: 0 };
}

/** A domain's innermost type. `oid` is any domain's. */
const BASE_TYPES = `
  with recursive chain(oid, base, type_modifier) as (
    select oid, typbasetype, typtypmod from pg_catalog.pg_type where typtype = 'd'
    union all
    select chain.oid, type.typbasetype, type.typtypmod
    from chain join pg_catalog.pg_type type on type.oid = chain.base and type.typtype = 'd'
  ), base_types as materialized (
    select chain.oid, chain.base, chain.type_modifier
    from chain join pg_catalog.pg_type type on type.oid = chain.base
    where type.typtype <> 'd'
  )`;

const RELATIONS = `/* introspectRelations */
  select relation.oid as oid, schema.nspname::text as schema, relation.relname::text as name,
    relation.relkind in ('v', 'm') as is_view,
    pg_catalog.obj_description(relation.oid, 'pg_class') as comment,
    pg_catalog.pg_relation_is_updatable(relation.oid, true) as events
  from pg_catalog.pg_class relation
  join pg_catalog.pg_namespace schema on schema.oid = relation.relnamespace
  where relation.relkind in ('r', 'v', 'm', 'f', 'p') and not relation.relispartition and schema.nspname = any($1)
  order by schema.nspname, relation.relname`;

/** Joins `identity.sequence` of an identity column; `attribute` is its row. */
const IDENTITY_SEQUENCE = `left join lateral (
    select dependency.objid as sequence from pg_catalog.pg_depend dependency
    where attribute.attidentity <> '' and dependency.refclassid = 'pg_catalog.pg_class'::regclass
      and dependency.refobjid = attribute.attrelid and dependency.refobjsubid = attribute.attnum
      and dependency.classid = 'pg_catalog.pg_class'::regclass and dependency.deptype = 'i'
    limit 1
  ) identity on true`;
const NEXT_OF_IDENTITY = `'nextval(' || pg_catalog.quote_literal(identity.sequence::regclass) || '::regclass)'`;

/**
 * Columns of the exposed relations. A column's default comes before its domain's; identity columns take the next value
 * of their sequence; what a generated column computes is no default.
 */
const COLUMNS = `/* introspectColumns */ ${BASE_TYPES}
  select attribute.attrelid as relation, attribute.attnum::int4 as number, attribute.attname::text as name,
    pg_catalog.format_type(attribute.atttypid, attribute.atttypmod) as type,
    pg_catalog.format_type(coalesce(base.base, attribute.atttypid), null) as base_type,
    case when coalesce(base.base, attribute.atttypid) in (1042, 1043)
      then nullif(coalesce(nullif(attribute.atttypmod, -1), base.type_modifier, -1), -1) - 4 end as max_length,
    not (attribute.attnotnull or (type.typtype = 'd' and type.typnotnull)) as nullable,
    case
      when attribute.attidentity <> '' then ${NEXT_OF_IDENTITY}
      when attribute.attgenerated = '' then pg_catalog.pg_get_expr(expression.adbin, expression.adrelid)
    end as default_expression,
    type.typdefault as domain_default,
    labels.labels as enum_labels,
    pg_catalog.col_description(attribute.attrelid, attribute.attnum) as comment,
    case when type.typtype = 'd' then pg_catalog.format_type(type.oid, null) end as domain
  from pg_catalog.pg_attribute attribute
  join pg_catalog.pg_class relation on relation.oid = attribute.attrelid
  join pg_catalog.pg_namespace schema on schema.oid = relation.relnamespace
  join pg_catalog.pg_type type on type.oid = attribute.atttypid
  left join base_types base on base.oid = attribute.atttypid
  left join pg_catalog.pg_attrdef expression on expression.adrelid = attribute.attrelid and expression.adnum = attribute.attnum
  ${IDENTITY_SEQUENCE}
  left join (
    select enumtypid, array_agg(enumlabel::text order by enumsortorder) as labels from pg_catalog.pg_enum group by enumtypid
  ) labels on labels.enumtypid = coalesce(base.base, attribute.atttypid)
  where attribute.attnum > 0 and not attribute.attisdropped and relation.relkind in ('r', 'v', 'm', 'f', 'p')
    and not relation.relispartition and schema.nspname = any($1)
  order by attribute.attrelid, attribute.attnum`;

/** Names of the columns of base tables that views of the exposed schemas may show: by relation and number. */
const BASE_COLUMNS = `/* introspectBaseColumns */
  select attribute.attrelid as relation, attribute.attnum::int4 as number, attribute.attname::text as name,
    case
      when attribute.attidentity <> '' then ${NEXT_OF_IDENTITY}
      when attribute.attgenerated = '' then pg_catalog.pg_get_expr(expression.adbin, expression.adrelid)
    end as default_expression
  from pg_catalog.pg_attribute attribute
  left join pg_catalog.pg_attrdef expression on expression.adrelid = attribute.attrelid and expression.adnum = attribute.attnum
  ${IDENTITY_SEQUENCE}
  where attribute.attnum > 0 and not attribute.attisdropped and attribute.attrelid = any($1::oid[])`;

const KEYS = `/* introspectKeys */
  select key.conrelid as relation, key.contype::text as kind, (
    select array_agg(attribute.attname::text order by position.ordinality)
    from unnest(key.conkey) with ordinality as position(number, ordinality)
    join pg_catalog.pg_attribute attribute on attribute.attrelid = key.conrelid and attribute.attnum = position.number
  ) as columns
  from pg_catalog.pg_constraint key
  join pg_catalog.pg_namespace schema on schema.oid = key.connamespace
  where key.contype in ('p', 'u') and schema.nspname not in ('pg_catalog', 'information_schema')
  order by key.conrelid, key.contype, key.conname`;

const FOREIGN_KEYS = `/* introspectForeignKeys */
  select key.conname::text as name, key.conrelid as relation, key.confrelid as target,
    pairs.columns, pairs.target_columns
  from pg_catalog.pg_constraint key, lateral (
    select array_agg(own.attname::text order by position.ordinality) as columns,
      array_agg(other.attname::text order by position.ordinality) as target_columns
    from unnest(key.conkey, key.confkey) with ordinality as position(number, target_number, ordinality)
    join pg_catalog.pg_attribute own on own.attrelid = key.conrelid and own.attnum = position.number
    join pg_catalog.pg_attribute other on other.attrelid = key.confrelid and other.attnum = position.target_number
  ) pairs
  where key.contype = 'f' and key.conparentid = 0
  order by key.conname, key.conrelid`;

/** The parse tree of a larger view is not looked into: its columns are then nobody's keys. */
const MAX_VIEW_CHARACTERS = 1_000_000;

const VIEWS = `/* introspectViews */
  select relation.oid as relation, rule.ev_action::text as tree
  from pg_catalog.pg_rewrite rule
  join pg_catalog.pg_class relation on relation.oid = rule.ev_class
  join pg_catalog.pg_namespace schema on schema.oid = relation.relnamespace
  where rule.ev_type = '1' and relation.relkind in ('v', 'm') and schema.nspname = any($1)
    and length(rule.ev_action::text) <= ${MAX_VIEW_CHARACTERS}`;

/** Functions, not procedures, aggregates, window or trigger functions; a type's relation is looked up through its domains. */
const ROUTINES = `/* introspectRoutines */ ${BASE_TYPES}
  select schema.nspname::text as schema, routine.proname::text as name,
    pg_catalog.obj_description(routine.oid, 'pg_proc') as comment,
    routine.proargnames as argument_names,
    (
      select coalesce(array_agg(pg_catalog.format_type(argument.type, null) order by argument.ordinality), '{}')
      from unnest(coalesce(routine.proallargtypes, routine.proargtypes::oid[])) with ordinality as argument(type, ordinality)
    ) as argument_types,
    routine.proargmodes::text[] as argument_modes,
    routine.pronargdefaults::int4 as default_count,
    routine.proretset as returns_set,
    base_type.typtype::text as return_kind,
    base_type.typname::text as return_type,
    relation_schema.nspname::text as return_relation_schema,
    relation.relname::text as return_relation,
    case when type.typtype = 'd' then type.typname::text end as return_domain,
    pg_catalog.format_type(base_type.oid, null) as return_base,
    routine.provolatile::text as volatility,
    routine.proconfig as settings
  from pg_catalog.pg_proc routine
  join pg_catalog.pg_namespace schema on schema.oid = routine.pronamespace
  join pg_catalog.pg_type type on type.oid = routine.prorettype
  left join base_types base on base.oid = type.oid
  join pg_catalog.pg_type base_type on base_type.oid = coalesce(base.base, type.oid)
  left join pg_catalog.pg_class relation on relation.oid = base_type.typrelid and relation.relkind <> 'c'
  left join pg_catalog.pg_namespace relation_schema on relation_schema.oid = relation.relnamespace
  where routine.prokind = 'f' and base_type.typname not in ('trigger', 'event_trigger') and schema.nspname = any($1)
  order by schema.nspname, routine.proname, routine.pronargs, routine.oid`;

const COMPUTED_RELATIONSHIPS = `/* introspectComputedRelationships */
  select schema.nspname::text as schema, routine.proname::text as name,
    argument.typrelid as source, result.typrelid as target,
    not routine.proretset or routine.prorows = 1 as to_one
  from pg_catalog.pg_proc routine
  join pg_catalog.pg_namespace schema on schema.oid = routine.pronamespace
  join pg_catalog.pg_type argument on argument.oid = routine.proargtypes[0] and argument.typtype = 'c'
  join pg_catalog.pg_type result on result.oid = routine.prorettype and result.typtype = 'c'
  where routine.prokind = 'f' and routine.pronargs = 1 and schema.nspname = any($1)
  order by schema.nspname, routine.proname`;

/** A domain is a media type by its name; an aggregate serves it when its transition or final function returns it. */
const HANDLERS = `/* introspectHandlers */
  select schema.nspname::text as schema, routine.proname::text as name, media_type.typname::text as media_type,
    media_type.typbasetype = 'pg_catalog.bytea'::regtype as binary,
    relation_schema.nspname::text as relation_schema, relation.relname::text as relation
  from pg_catalog.pg_aggregate aggregate
  join pg_catalog.pg_proc routine on routine.oid = aggregate.aggfnoid
  join pg_catalog.pg_namespace schema on schema.oid = routine.pronamespace
  join pg_catalog.pg_proc transition on transition.oid = aggregate.aggtransfn
  left join pg_catalog.pg_proc final on final.oid = aggregate.aggfinalfn
  join pg_catalog.pg_type media_type on media_type.oid = coalesce(final.prorettype, transition.prorettype)
  join pg_catalog.pg_type argument on argument.oid = routine.proargtypes[0]
  left join pg_catalog.pg_class relation on relation.oid = argument.typrelid
  left join pg_catalog.pg_namespace relation_schema on relation_schema.oid = relation.relnamespace
  where routine.pronargs = 1 and schema.nspname = any($1) and media_type.typtype = 'd' and media_type.typname ~ '^[^/]+/[^/]+$'
    and (relation.oid is not null or argument.oid = 'pg_catalog.anyelement'::regtype)
  order by schema.nspname, routine.proname`;

const REPRESENTATIONS = `/* introspectRepresentations */
  select pg_catalog.format_type(domain.oid, null) as domain,
    case
      when domain.oid = conversion.castsource then 'toJson'
      when conversion.castsource = 'pg_catalog.json'::regtype then 'fromJson'
      else 'fromText'
    end as direction,
    schema.nspname::text as schema, routine.proname::text as name
  from pg_catalog.pg_cast conversion
  join pg_catalog.pg_proc routine on routine.oid = conversion.castfunc
  join pg_catalog.pg_namespace schema on schema.oid = routine.pronamespace
  join pg_catalog.pg_type domain on domain.typtype = 'd' and (
    (domain.oid = conversion.castsource and conversion.casttarget = 'pg_catalog.json'::regtype)
    or (domain.oid = conversion.casttarget
      and conversion.castsource in ('pg_catalog.json'::regtype, 'pg_catalog.text'::regtype))
  )`;

/**
 * Settings that hold for a role's requests. Only those the login may set; a superuser's can be granted from PostgreSQL
 * 15 on. Settings of one database come after those of all, so that they win.
 */
function roleSettingsQuery(serverVersion: number): string {
  const granted =
    serverVersion >= 150000
      ? "or (known.context = 'superuser' and pg_catalog.has_parameter_privilege(known.name, 'set'))"
      : "";
  return `/* introspectRoleSettings */
    select role.rolname::text as role, (
      select coalesce(array_agg(item order by ordinality), '{}')
      from unnest(setting.setconfig) with ordinality as items(item, ordinality)
      join pg_catalog.pg_settings known on lower(known.name) = lower(split_part(item, '=', 1))
      where known.context = 'user' ${granted}
    ) as settings
    from pg_catalog.pg_db_role_setting setting
    join pg_catalog.pg_roles role on role.oid = setting.setrole
    where setting.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = current_database()))
    order by role.rolname, setting.setdatabase`;
}

/** The same of a project, by itself: nobody outside it can write what its view shows. */
const PROJECT_ROLE_SETTINGS = `/* introspectProjectRoleSettings */
  select setting.role_name as role, array_agg(setting.name || '=' || setting.value) as settings
  from supalove.role_settings setting
  join pg_catalog.pg_settings known on lower(known.name) = lower(setting.name) and known.context = 'user'
  where setting.role_name in ('anon', 'authenticated', 'service_role')
  group by setting.role_name`;

/** By the extension that it belongs to: a tenant's own function of the name is not meant. */
const GEOJSON = `/* introspectGeoJson */
  select schema.nspname::text as schema
  from pg_catalog.pg_extension extension
  join pg_catalog.pg_namespace schema on schema.oid = extension.extnamespace
  where extension.extname = 'postgis'`;

async function readRoleSettings(
  transaction: Transaction,
  scope: IntrospectionScope,
  serverVersion: number,
): Promise<readonly RoleSettingsRow[]> {
  if (scope.roleSettings === "catalogue") {
    return transaction.query<RoleSettingsRow>(roleSettingsQuery(serverVersion));
  }
  const [view] = await transaction.query<{ exists: boolean }>(
    "/* findRoleSettingsView */ select to_regclass('supalove.role_settings') is not null as exists",
  );
  return view?.exists ? transaction.query<RoleSettingsRow>(PROJECT_ROLE_SETTINGS) : [];
}

export interface IntrospectionScope {
  readonly schemas: readonly string[];
  readonly extraSearchPath: readonly string[];
  readonly roleSettings: "catalogue" | "project";
}

/** Reads everything in the transaction given, which must see names under `search_path = ''`. */
export async function readCatalogue(transaction: Transaction, scope: IntrospectionScope): Promise<CatalogueRows> {
  const exposed = [scope.schemas];
  const [version] = await transaction.query<{ version: number }>(
    "/* introspectVersion */ select current_setting('server_version_num')::int4 as version",
  );
  const serverVersion = version?.version ?? 0;
  const schemas = await transaction.query<{ schema: string; comment: string | null }>(
    `/* introspectSchemas */ select nspname::text as schema, pg_catalog.obj_description(oid, 'pg_namespace') as comment
     from pg_catalog.pg_namespace where nspname = any($1)`,
    exposed,
  );
  const found = new Set(schemas.map((row) => row.schema));
  const [geoJson] = await transaction.query<{ schema: string }>(GEOJSON);
  return {
    serverVersion,
    missingSchemas: scope.schemas.filter((schema) => !found.has(schema)),
    schemaComments: schemas.flatMap(({ schema, comment }) => (comment === null ? [] : [{ schema, comment }])),
    relations: await transaction.query<RelationRow>(RELATIONS, exposed),
    columns: await transaction.query<ColumnRow>(COLUMNS, exposed),
    keys: await transaction.query<KeyRow>(KEYS),
    foreignKeys: await transaction.query<ForeignKeyRow>(FOREIGN_KEYS),
    views: await transaction.query<ViewRow>(VIEWS, [[...scope.schemas, ...scope.extraSearchPath]]),
    routines: await transaction.query<RoutineRow>(ROUTINES, exposed),
    computedRelationships: await transaction.query<ComputedRelationshipRow>(COMPUTED_RELATIONSHIPS, exposed),
    handlers: await transaction.query<HandlerRow>(HANDLERS, exposed),
    representations: await transaction.query<RepresentationRow>(REPRESENTATIONS),
    roleSettings: await readRoleSettings(transaction, scope, serverVersion),
    geoJsonSchema: geoJson?.schema ?? null,
  };
}

export interface BaseColumnRow {
  readonly relation: number;
  readonly number: number;
  readonly name: string;
  readonly default_expression: string | null;
}

/** Columns of tables behind views, whatever schema those are in. */
export async function readBaseColumns(
  transaction: Transaction,
  relations: readonly number[],
): Promise<readonly BaseColumnRow[]> {
  if (relations.length === 0) return [];
  return transaction.query<BaseColumnRow>(BASE_COLUMNS, [relations]);
}
