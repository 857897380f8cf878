-- Who may enter a database, and which settings a tenant may keep for himself. Re-runnable.

-- PUBLIC may connect to every database by default. Only the maintenance databases are closed here: others on somebody's
-- own cluster belong to him, bootstrapCluster names those that are open. Projects are closed when they are made.
do $walls$
declare
  database record;
begin
  for database in
    select datname from pg_database
    where datname in ('postgres', 'template1') and has_database_privilege('public', oid, 'connect')
  loop
    execute format('revoke all on database %I from public', database.datname);
  end loop;
end
$walls$;

-- PostgREST's in-database configuration (`alter role … in database … set pgrst.db_schemas = …`). Stock PostgreSQL lets
-- only a superuser store settings of an unknown prefix. Granted to PUBLIC and not to a shared role, so that no tenant's
-- DROP OWNED BY can touch the grant; a setting can still be stored only by the role or the database's owner it is for.
do $parameters$
declare
  name text;
begin
  foreach name in array array[
    'db_aggregates_enabled', 'db_anon_role', 'db_extra_search_path', 'db_hoisted_tx_settings', 'db_max_rows',
    'db_plan_enabled', 'db_pre_request', 'db_root_spec', 'db_schemas', 'db_tx_end', 'jwt_aud', 'jwt_role_claim_key',
    'openapi_mode', 'openapi_security_active', 'server_timing_enabled', 'server_cors_allowed_origins',
    'url_use_legacy_target_names', 'client_error_verbosity'
  ]
  loop
    if not exists (
      select from pg_parameter_acl p, aclexplode(p.paracl) a
      where p.parname = 'pgrst.' || name and a.grantee = 0 and a.privilege_type = 'SET'
    ) then
      execute format('grant set on parameter %I.%I to public', 'pgrst', name);
    end if;
  end loop;
end
$parameters$;

-- Migrations of hosted projects take from their roles what these never had here: `revoke all on database postgres from
-- anon` is an error for whoever has no right at all on the database, and a warning for whoever has one. Without CONNECT
-- this one is worth nothing. To PUBLIC, so that no tenant's DROP OWNED BY takes it away.
do $worthless$
begin
  if not has_database_privilege('public', 'postgres', 'temporary') then
    grant temporary on database postgres to public;
  end if;
end
$worthless$;

-- The first line of every data dump is `set session_replication_role = replica`. It silences triggers and foreign keys of
-- one's own database for one's own session; the guards of project databases fire all the same (ENABLE ALWAYS).
do $replication_role$
begin
  if not exists (
    select from pg_parameter_acl p, aclexplode(p.paracl) a
    where p.parname = 'session_replication_role' and a.grantee = 0 and a.privilege_type = 'SET'
  ) then
    grant set on parameter session_replication_role to public;
  end if;
end
$replication_role$;
