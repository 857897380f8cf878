/**
 * What is often wrong in a project's database, found in its catalogs alone. Names are those that Supabase's advisors use;
 * the statements are ours. Nothing of the tenant's is run: catalogs are named in full, and what a policy says is read as
 * text.
 */
import type { DataSession } from "../project-data/data-session.ts";

export type Level = "error" | "warn" | "info";
export type Category = "security" | "performance";

export interface Advisory {
  /** Name and object: the same as long as the finding is. */
  readonly key: string;
  readonly name: string;
  readonly level: Level;
  readonly category: Category;
  readonly title: string;
  readonly why: string;
  /** `public.todos`, with the policy, function or index where there is one. */
  readonly object: string;
  /** SQL that mends it, or a beginning of it; null where it takes a decision. */
  readonly fix: string | null;
}

interface Lint {
  readonly name: string;
  readonly level: Level;
  readonly category: Category;
  readonly title: string;
  readonly why: string;
  /** Answers `object` and `fix`; $1 holds the schemas that REST exposes. */
  readonly text: string;
}

/** Of each kind: the first ones tell enough. */
const MAX_OF_ONE = 100;
const MAX_KEY_LENGTH = 600;

/** Schemas of the services and of PostgreSQL: not the tenant's to mend. */
const OURS = `('auth', 'storage', 'realtime', 'supalove', 'extensions', 'graphql', 'graphql_public', 'supabase_functions',
  'vault', 'cron', 'net', 'pgmq', 'information_schema')`;

const own = (schema: string) => `${schema} not in ${OURS} and ${schema} !~ '^pg_'`;
const notOfExtension = (catalog: string, oid: string) =>
  `not exists (select from pg_catalog.pg_depend e where e.classid = 'pg_catalog.${catalog}'::pg_catalog.regclass and e.objid = ${oid} and e.deptype = 'e')`;
const relations = (kinds: string) =>
  `pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace and c.relkind in (${kinds})`;
const readableByApi = `(pg_catalog.has_table_privilege('anon', c.oid, 'select, insert, update, delete')
  or pg_catalog.has_table_privilege('authenticated', c.oid, 'select, insert, update, delete'))`;
const NAME = "pg_catalog.format('%I.%I', n.nspname, c.relname)";
const POLICY = "pg_catalog.format('%I.%I: %s', p.schemaname, p.tablename, p.policyname)";
const POLICY_TEXT = "pg_catalog.concat_ws(' ', p.qual, p.with_check)";

const LINTS: readonly Lint[] = [
  {
    name: "rls_disabled_in_public",
    level: "error",
    category: "security",
    title: "Row-level security is off in an exposed schema",
    why: "Whoever has the public key reads and writes every row that the roles anon or authenticated may.",
    text: `select ${NAME} as object, pg_catalog.format('alter table %I.%I enable row level security;', n.nspname, c.relname) as fix
      from ${relations("'r', 'p'")}
      where n.nspname = any($1) and not c.relrowsecurity and not c.relispartition and ${readableByApi}
        and ${notOfExtension("pg_class", "c.oid")}`,
  },
  {
    name: "policy_exists_rls_disabled",
    level: "error",
    category: "security",
    title: "A table has policies, but row-level security is off",
    why: "Its policies are not applied to anybody.",
    text: `select ${NAME} as object, pg_catalog.format('alter table %I.%I enable row level security;', n.nspname, c.relname) as fix
      from ${relations("'r', 'p'")}
      where ${own("n.nspname")} and not c.relrowsecurity
        and exists (select from pg_catalog.pg_policy p where p.polrelid = c.oid)`,
  },
  {
    name: "rls_enabled_no_policy",
    level: "info",
    category: "security",
    title: "Row-level security is on, but there is no policy",
    why: "Nobody but the owner and service_role sees a row. That may be meant.",
    text: `select ${NAME} as object, null as fix from ${relations("'r', 'p'")}
      where n.nspname = any($1) and c.relrowsecurity
        and not exists (select from pg_catalog.pg_policy p where p.polrelid = c.oid)`,
  },
  {
    name: "rls_policy_always_true",
    level: "warn",
    category: "security",
    title: "A policy lets everybody write",
    why: "Its condition is true for every row, so it protects nothing from the roles that it names.",
    text: `select ${POLICY} as object, null as fix from pg_catalog.pg_policies p
      where ${own("p.schemaname")} and p.permissive = 'PERMISSIVE' and p.cmd <> 'SELECT'
        and p.roles && array['public', 'anon', 'authenticated']::pg_catalog.name[]
        and coalesce(p.with_check, p.qual) in ('true', '(true)')`,
  },
  {
    name: "rls_references_user_metadata",
    level: "error",
    category: "security",
    title: "A policy trusts what users write about themselves",
    why: "user_metadata can be changed by its user: with supabase.auth.updateUser he becomes whatever the policy asks for. Use app_metadata.",
    text: `select ${POLICY} as object, null as fix from pg_catalog.pg_policies p
      where ${own("p.schemaname")} and ${POLICY_TEXT} like '%user\\_metadata%'`,
  },
  {
    name: "auth_users_exposed",
    level: "error",
    category: "security",
    title: "A view shows auth.users",
    why: "E-mail addresses and metadata of all users can be read by the API through it.",
    text: `select distinct ${NAME} as object,
        pg_catalog.format('revoke all on %I.%I from anon, authenticated;', n.nspname, c.relname) as fix
      from ${relations("'v', 'm'")}
        join pg_catalog.pg_rewrite w on w.ev_class = c.oid
        join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = w.oid
      where n.nspname = any($1) and d.refobjid = pg_catalog.to_regclass('auth.users') and ${readableByApi}`,
  },
  {
    name: "security_definer_view",
    level: "error",
    category: "security",
    title: "A view in an exposed schema goes past row-level security",
    why: "It reads with the rights of its owner, not of the user who asks.",
    text: `select ${NAME} as object,
        pg_catalog.format('alter view %I.%I set (security_invoker = true);', n.nspname, c.relname) as fix
      from ${relations("'v'")}
      where n.nspname = any($1) and ${readableByApi} and ${notOfExtension("pg_class", "c.oid")}
        and not coalesce(c.reloptions && array['security_invoker=true', 'security_invoker=on', 'security_invoker=1', 'security_invoker=yes'], false)`,
  },
  {
    name: "materialized_view_in_api",
    level: "warn",
    category: "security",
    title: "A materialized view is exposed",
    why: "Row-level security does not apply to it.",
    text: `select ${NAME} as object, pg_catalog.format('revoke all on %I.%I from anon, authenticated;', n.nspname, c.relname) as fix
      from ${relations("'m'")} where n.nspname = any($1) and ${readableByApi}`,
  },
  {
    name: "function_search_path_mutable",
    level: "warn",
    category: "security",
    title: "A function depends on the caller's search path",
    why: "A caller can have it find other tables and functions than were meant.",
    text: `select f.oid::pg_catalog.regprocedure::pg_catalog.text as object,
        pg_catalog.format('alter function %s set search_path = '''';', f.oid::pg_catalog.regprocedure) as fix
      from pg_catalog.pg_proc f join pg_catalog.pg_namespace n on n.oid = f.pronamespace
      where ${own("n.nspname")} and f.prokind in ('f', 'p') and ${notOfExtension("pg_proc", "f.oid")}
        and not exists (select from pg_catalog.unnest(f.proconfig) setting where setting like 'search\\_path=%')`,
  },
  {
    name: "anon_security_definer_function_executable",
    level: "warn",
    category: "security",
    title: "Anybody may call a function that runs as its owner",
    why: "It goes past row-level security for callers with the public key alone.",
    text: `select f.oid::pg_catalog.regprocedure::pg_catalog.text as object,
        pg_catalog.format('revoke execute on function %s from public, anon;', f.oid::pg_catalog.regprocedure) as fix
      from pg_catalog.pg_proc f join pg_catalog.pg_namespace n on n.oid = f.pronamespace
      where n.nspname = any($1) and f.prosecdef and ${notOfExtension("pg_proc", "f.oid")}
        and f.prorettype <> 'pg_catalog.trigger'::pg_catalog.regtype
        and pg_catalog.has_function_privilege('anon', f.oid, 'execute')`,
  },
  {
    name: "public_bucket_allows_listing",
    level: "warn",
    category: "security",
    title: "The files of a public bucket can be listed",
    why: "Files of a public bucket need no policy to be read by their address; a policy lets others find out which there are.",
    text: `select pg_catalog.format('%s: %s', b.name, p.policyname) as object,
        pg_catalog.format('drop policy %I on storage.objects;', p.policyname) as fix
      from storage.buckets b join pg_catalog.pg_policies p on p.schemaname = 'storage' and p.tablename = 'objects'
      where b.public and p.permissive = 'PERMISSIVE' and p.cmd in ('SELECT', 'ALL')
        and p.roles && array['public', 'anon', 'authenticated']::pg_catalog.name[]
        and (p.qual in ('true', '(true)') or p.qual ~ ('^\\(+bucket_id = ' || pg_catalog.quote_literal(b.id) || '::text\\)+$'))`,
  },
  {
    name: "extension_in_public",
    level: "warn",
    category: "security",
    title: "An extension lives in the schema public",
    why: "Its functions are exposed by REST, and stand where the project's own names are.",
    text: `select e.extname::pg_catalog.text as object, pg_catalog.format('alter extension %I set schema extensions;', e.extname) as fix
      from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace where n.nspname = 'public'`,
  },
  {
    name: "auth_rls_initplan",
    level: "warn",
    category: "performance",
    title: "A policy calls an auth function for every row",
    why: "Written as (select auth.uid()) it is called once for the statement.",
    text: `select ${POLICY} as object, null as fix from pg_catalog.pg_policies p
      where ${own("p.schemaname")}
        and pg_catalog.regexp_replace(${POLICY_TEXT}, '\\( SELECT auth\\.(uid|jwt|role|email)\\(\\)', '', 'g') ~ 'auth\\.(uid|jwt|role|email)\\(\\)'`,
  },
  {
    name: "multiple_permissive_policies",
    level: "warn",
    category: "performance",
    title: "Several policies are looked at for one command",
    why: "Each is evaluated for every row; one with OR says the same.",
    text: `select pg_catalog.format('%I.%I: %s for %s', schemaname, tablename, cmd, role) as object, null as fix
      from pg_catalog.pg_policies, pg_catalog.unnest(roles) as role
      where ${own("schemaname")} and permissive = 'PERMISSIVE'
      group by schemaname, tablename, cmd, role having pg_catalog.count(*) > 1`,
  },
  {
    name: "unindexed_foreign_keys",
    level: "info",
    category: "performance",
    title: "A foreign key has no index",
    why: "Deleting or changing a row of the other table reads this one whole.",
    text: `select pg_catalog.format('%I.%I: %s', n.nspname, c.relname, k.conname) as object,
        pg_catalog.format('create index on %I.%I (%s);', n.nspname, c.relname, (
          select pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' order by key.place)
          from pg_catalog.unnest(k.conkey) with ordinality key (number, place)
            join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = key.number)) as fix
      from ${relations("'r', 'p'")} join pg_catalog.pg_constraint k on k.conrelid = c.oid and k.contype = 'f'
      where ${own("n.nspname")} and not c.relispartition and not exists (
        select from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisvalid and i.indpred is null
          and (i.indkey::pg_catalog.int2[])[0:pg_catalog.cardinality(k.conkey) - 1] @> k.conkey)`,
  },
  {
    name: "no_primary_key",
    level: "info",
    category: "performance",
    title: "A table has no primary key",
    why: "Its rows cannot be named: no realtime changes, no edit of one row, slow replication.",
    text: `select ${NAME} as object, null as fix from ${relations("'r', 'p'")}
      where ${own("n.nspname")} and not c.relispartition and ${notOfExtension("pg_class", "c.oid")}
        and not exists (select from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisprimary)`,
  },
  {
    name: "duplicate_index",
    level: "warn",
    category: "performance",
    title: "Two indexes are the same",
    why: "Each write keeps both.",
    text: `select pg_catalog.format('%s and %s', a.indexrelid::pg_catalog.regclass, b.indexrelid::pg_catalog.regclass) as object,
        pg_catalog.format('drop index %s;', b.indexrelid::pg_catalog.regclass) as fix
      from pg_catalog.pg_index a join pg_catalog.pg_index b on b.indrelid = a.indrelid and b.indexrelid > a.indexrelid
        join pg_catalog.pg_class c on c.oid = a.indrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where ${own("n.nspname")} and a.indkey = b.indkey and a.indclass = b.indclass and a.indoption = b.indoption
        and a.indisunique = b.indisunique and not b.indisprimary
        and pg_catalog.pg_get_expr(a.indpred, a.indrelid) is not distinct from pg_catalog.pg_get_expr(b.indpred, b.indrelid)
        and pg_catalog.pg_get_expr(a.indexprs, a.indrelid) is not distinct from pg_catalog.pg_get_expr(b.indexprs, b.indrelid)
        and not exists (select from pg_catalog.pg_constraint k where k.conindid = b.indexrelid)`,
  },
  {
    name: "invalid_index",
    level: "warn",
    category: "performance",
    title: "An index is not valid",
    why: "It was not finished, by a failed create index concurrently: it is kept with each write and never used.",
    text: `select i.indexrelid::pg_catalog.regclass::pg_catalog.text as object,
        pg_catalog.format('reindex index %s;', i.indexrelid::pg_catalog.regclass) as fix
      from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indrelid
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where ${own("n.nspname")} and not i.indisvalid`,
  },
  {
    name: "unused_index",
    level: "info",
    category: "performance",
    title: "An index was never used",
    why: "Since the statistics were begun no query has read it, and each write keeps it.",
    text: `select s.indexrelid::pg_catalog.regclass::pg_catalog.text as object,
        pg_catalog.format('drop index %s;', s.indexrelid::pg_catalog.regclass) as fix
      from pg_catalog.pg_stat_all_indexes s join pg_catalog.pg_index i on i.indexrelid = s.indexrelid
      where ${own("s.schemaname")} and s.idx_scan = 0 and not i.indisunique and i.indisvalid
        and pg_catalog.pg_relation_size(s.indexrelid) > 1024 * 1024`,
  },
];

/** All findings, security first. @param exposed Schemas that REST exposes. */
export async function findAdvisories(session: DataSession, exposed: readonly string[]): Promise<Advisory[]> {
  const schemas = `{${exposed.map((name) => `"${name.replace(/[\\"]/g, "\\$&")}"`).join(",")}}`;
  const found: Advisory[] = [];
  for (const { text, ...lint } of LINTS) {
    const rows = await session.rows(
      `/* lint: ${lint.name} */ select pg_catalog.left(found.object, 500) as object, pg_catalog.left(found.fix, 2000) as fix
       from (${text}) found order by 1 limit ${MAX_OF_ONE}`,
      text.includes("$1") ? [schemas] : [],
    );
    for (const [object = "", fix = null] of rows as [string, string | null][])
      found.push({ ...lint, object, fix, key: `${lint.name}: ${object}`.slice(0, MAX_KEY_LENGTH) });
  }
  return found;
}
