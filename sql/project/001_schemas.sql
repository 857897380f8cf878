-- What every project database holds. Run by a superuser in a new template, and again in existing projects when a file
-- changed: every statement is re-runnable, and safe in a database whose tenant is hostile (sql/README.md).

create schema if not exists extensions;
create schema if not exists auth;
create schema if not exists storage;
create schema if not exists realtime;
create schema if not exists graphql_public;
create schema if not exists supabase_functions;
-- Ours: what every project needs and Supabase has no place for. Owned by the superuser, nobody else creates in it.
create schema if not exists supalove;

-- A tenant may have dropped it, by `drop owned by postgres` for one; the next migration mends what is ours.
create schema if not exists public;
-- The project's user inherits the group, so both may create in public, drop it and make it anew.
alter schema public owner to :"postgres_group";
revoke create on schema public from public;
grant usage on schema public to public;
grant usage on schema public to anon, authenticated, service_role;
grant usage on schema extensions, auth, storage, realtime, graphql_public, supabase_functions, supalove to :"postgres_group", anon, authenticated, service_role;

alter default privileges for role :"postgres_group" in schema public
  grant all on tables to :"postgres_group", anon, authenticated, service_role;
alter default privileges for role :"postgres_group" in schema public
  grant all on sequences to :"postgres_group", anon, authenticated, service_role;
alter default privileges for role :"postgres_group" in schema public
  grant all on functions to :"postgres_group", anon, authenticated, service_role;

-- As on Supabase: functions of one's own, and extensions that need no superuser.
grant create on schema extensions to :"postgres_group";

-- They belong to the group, so that migrations may comment on them, move and drop them. Only in a new template: what a
-- tenant has dropped stays dropped, and no extension's script is run as superuser where a tenant may have prepared for it.
do $extensions$
declare
  extension text;
begin
  if exists (select from pg_event_trigger where evtname = 'supalove_guard_drops') then
    return;
  end if;
  execute format('grant create on database %I to %I', current_database(), :'postgres_group');
  execute format('set local role %I', :'postgres_group');
  foreach extension in array array['uuid-ossp', 'pgcrypto']
  loop
    execute format('create extension if not exists %I schema extensions', extension);
  end loop;
  set local role none;
  execute format('revoke create on database %I from %I', current_database(), :'postgres_group');
end
$extensions$;

do $publication$
begin
  if not exists (select from pg_publication where pubname = 'supabase_realtime') then
    create publication supabase_realtime;
    alter publication supabase_realtime owner to :"postgres_group";
  end if;
end
$publication$;
