-- Stand-ins for what Supabase's image has and stock PostgreSQL has not, and statistics that show one project only.

create or replace function graphql_public.graphql(
  "operationName" text default null, query text default null, variables jsonb default null, extensions jsonb default null
) returns jsonb language sql immutable as $$
  select jsonb_build_object('errors', jsonb_build_array(jsonb_build_object('message', 'pg_graphql extension is not enabled.')))
$$;
grant execute on function graphql_public.graphql(text, text, jsonb, jsonb) to :"postgres_group", anon, authenticated, service_role;

create or replace function supabase_functions.http_request() returns trigger language plpgsql as $$
begin
  raise warning 'database webhooks are not available in a shared project: % on % sent nothing', tg_name, tg_table_name;
  return coalesce(new, old);
end
$$;
comment on function supabase_functions.http_request() is 'Lets dumps with webhook triggers load. A database of a shared cluster has no way to the network.';

-- The extension shows the statements of the whole cluster, with their texts to whoever can become the role that ran
-- them, and every tenant can become anon. So it is kept apart, and what a project sees is cut to its own database.
do $statements$
declare
  object record;
begin
  if exists (select from pg_available_extensions where name = 'pg_stat_statements') then
    create extension if not exists pg_stat_statements schema supalove;
    for object in
      select d.objid, d.classid = 'pg_proc'::regclass as is_routine
      from pg_depend d join pg_extension e on e.oid = d.refobjid
      where e.extname = 'pg_stat_statements' and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
        and (d.classid = 'pg_proc'::regclass
          or d.objid in (select oid from pg_class where relkind = 'v' and d.classid = 'pg_class'::regclass))
    loop
      if object.is_routine then
        execute format('revoke all on routine %s from public', object.objid::regprocedure);
      else
        execute format('revoke all on %s from public', object.objid::regclass);
      end if;
    end loop;
    if to_regprocedure('supalove.own_statements()') is null then
      create function supalove.own_statements() returns setof supalove.pg_stat_statements
      language sql stable security definer set search_path = pg_catalog, pg_temp as $$
        select s.* from supalove.pg_stat_statements s
        where s.dbid = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
      $$;
      create view extensions.pg_stat_statements as select * from supalove.own_statements();
      comment on view extensions.pg_stat_statements is 'Statements of this database only. Needs pg_stat_statements in shared_preload_libraries.';
      grant select on extensions.pg_stat_statements to :"postgres_group";
    end if;
    if to_regprocedure('supalove.own_statements_info()') is null then
      create function supalove.own_statements_info() returns supalove.pg_stat_statements_info
      language sql stable security definer set search_path = pg_catalog, pg_temp as $$
        select i from supalove.pg_stat_statements_info i
      $$;
      create view extensions.pg_stat_statements_info as select * from supalove.own_statements_info();
      comment on view extensions.pg_stat_statements_info is 'Since when statements are counted, in the whole cluster.';
      grant select on extensions.pg_stat_statements_info to :"postgres_group";
    end if;
    revoke all on function supalove.own_statements_info() from public;
    grant execute on function supalove.own_statements_info() to :"postgres_group";
    revoke all on function supalove.own_statements() from public;
    grant execute on function supalove.own_statements() to :"postgres_group";
  end if;
end
$statements$;
