-- The roles every project of a cluster shares by name. Run by bootstrapCluster as superuser, under an advisory lock.
-- Every tenant can become any of them inside his own database (SET ROLE), so none may have power outside a database:
-- no login, no attribute that reaches across databases, no predefined role, nothing owned or granted cluster-wide.
-- Re-runnable; writes only what differs, because pg_authid is shared by all who work on the cluster.

do $roles$
declare
  shared record;
begin
  for shared in
    select * from (values
      ('anon', false),
      ('authenticated', false),
      -- Not walls between tenants: row-level security is about users of one project, CONNECT is about projects.
      ('service_role', true),
      (:'postgres_group', true),
      ('supabase_auth_admin', false),
      ('supabase_storage_admin', false),
      ('supabase_realtime_admin', false)
    ) as list (name, bypass_rls)
  loop
    if not exists (select from pg_roles where rolname = shared.name) then
      execute format('create role %I nologin', shared.name);
    end if;
    if exists (
      select from pg_roles
      where rolname = shared.name
        and (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolcanlogin
          or not rolinherit or rolbypassrls <> shared.bypass_rls)
    ) then
      execute format(
        'alter role %I nosuperuser nocreaterole nocreatedb noreplication nologin inherit %s',
        shared.name,
        case when shared.bypass_rls then 'bypassrls' else 'nobypassrls' end
      );
    end if;
  end loop;
end
$roles$;

-- Names that dumps and migrations of Supabase projects mention. An existing role is left as it is: nobody of ours is a
-- member of one.
do $names$
declare
  name text;
begin
  foreach name in array array[
    'supabase_admin', 'authenticator', 'dashboard_user', 'pgbouncer', 'supabase_read_only_user',
    'supabase_functions_admin', 'supabase_etl_admin', 'supabase_privileged_role',
    'pgsodium_keyholder', 'pgsodium_keyiduser', 'pgsodium_keymaker', 'pgtle_admin'
  ]
  loop
    if not exists (select from pg_roles where rolname = name) then
      execute format('create role %I nologin', name);
    end if;
  end loop;
  -- Reads logical replication for the realtime service: the one login besides a project's own that may connect to it.
  if not exists (select from pg_roles where rolname = 'supabase_replication_admin') then
    create role supabase_replication_admin login replication noinherit;
  end if;
  if exists (
    select from pg_roles
    where rolname = 'supabase_replication_admin'
      and (rolsuper or rolcreaterole or rolcreatedb or rolbypassrls or not rolcanlogin or not rolreplication)
  ) then
    alter role supabase_replication_admin
      nosuperuser nocreaterole nocreatedb nobypassrls login replication noinherit;
  end if;
end
$names$;

-- Memberships: what the group may become, and nothing else (a Supabase cluster has more, up to roles that can log in).
do $memberships$
declare
  allowed constant text[] := array[
    'anon', 'authenticated', 'service_role',
    'supabase_auth_admin', 'supabase_storage_admin', 'supabase_realtime_admin'
  ];
  target text;
  surplus record;
begin
  for surplus in
    select m.roleid::regrole as role, m.member::regrole as member, m.grantor::regrole as grantor
    from pg_auth_members m
    join pg_roles r on r.oid = m.roleid
    join pg_roles g on g.oid = m.member
    where g.rolname = any (allowed || array[:'postgres_group', 'supabase_replication_admin'])
      and not (g.rolname = :'postgres_group' and r.rolname = any (allowed) and not m.admin_option)
  loop
    if current_setting('server_version_num')::int >= 160000 then
      execute format('revoke %s from %s granted by %s cascade', surplus.role, surplus.member, surplus.grantor);
    else
      execute format('revoke %s from %s cascade', surplus.role, surplus.member);
    end if;
  end loop;

  foreach target in array allowed
  loop
    if not exists (
      select from pg_auth_members
      where roleid = target::regrole and member = quote_ident(:'postgres_group')::regrole
    ) then
      execute format('grant %I to %I', target, :'postgres_group');
    end if;
  end loop;
end
$memberships$;
