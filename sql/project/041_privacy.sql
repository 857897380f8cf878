-- What a session can read of other projects. Shared catalogs have their access rights in each database, so a project's
-- database can keep its people from reading settings that belong to others, secrets among them (`app.settings.…`).
-- Names of databases and roles stay visible, they are no secret: refs are public host names.

-- Settings of API roles. They cannot be kept where Supabase has them (ALTER ROLE anon …, also with IN DATABASE): any
-- tenant can SET ROLE anon in his own database and from there store settings for anon in everybody's.
do $settings$
begin
  if to_regclass('supalove.api_role_settings') is null then
    create table supalove.api_role_settings (
      role_name text not null check (role_name in ('anon', 'authenticated', 'service_role')),
      name text not null check (name ~ '^[a-z_][a-z0-9_.]*$' and name not in ('role', 'session_authorization')),
      value text not null,
      primary key (role_name, name)
    );
    comment on table supalove.api_role_settings is 'Settings the REST service makes for a request of the role, such as statement_timeout.';
    insert into supalove.api_role_settings values
      ('anon', 'statement_timeout', '3s'),
      ('authenticated', 'statement_timeout', '8s');
  end if;
end
$settings$;
grant usage on schema supalove to public;
grant select on supalove.api_role_settings to public;
grant insert, update, delete on supalove.api_role_settings to :"postgres_group";

create or replace view supalove.role_settings as
select r.rolname::text as role_name,
  left(setting, position('=' in setting) - 1) as name,
  substring(setting from position('=' in setting) + 1) as value
from pg_db_role_setting s
join pg_roles r on r.oid = s.setrole
cross join unnest(s.setconfig) as setting
where s.setdatabase = (select oid from pg_database where datname = current_database())
  and r.rolname in (current_database() || '_authenticator', current_database() || '_user')
union all
select role_name, name, value from supalove.api_role_settings;
comment on view supalove.role_settings is 'Settings of the project''s logins in this database (`pgrst.…` of the authenticator) and of its API roles. Nobody outside the project can write what it shows.';
grant select on supalove.role_settings to public;

revoke all on pg_catalog.pg_db_role_setting from public;

-- pg_roles and pg_user also show settings that are stored for a role in all databases. Tools read these views whole, so
-- the column stays and is empty for all roles but the session's own login.
do $views$
declare
  masked record;
  definition text;
begin
  set local allow_system_table_mods = on;
  for masked in
    select * from (values
      ('pg_roles', 's\.setconfig AS rolconfig', 'case when pg_authid.rolname = session_user then s.setconfig end as rolconfig'),
      ('pg_user', '(?<=\s)(pg_shadow\.)?useconfig(?=\s)', 'case when usename = session_user then useconfig end as useconfig')
    ) as list (name, output, replacement)
  loop
    definition := pg_get_viewdef(('pg_catalog.' || masked.name)::regclass);
    continue when definition ~* 'session_user';
    if definition !~ masked.output then
      raise exception 'view % is not as expected: settings of other projects would be visible', masked.name;
    end if;
    execute format('create or replace view pg_catalog.%I as %s', masked.name, regexp_replace(definition, masked.output, masked.replacement));
  end loop;
  reset allow_system_table_mods;
end
$views$;
