-- What policies call, who owns and reads what in schema auth, and which GoTrue migrations the tables stand for.

create or replace function auth.uid() returns uuid language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.sub', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
  )::uuid
$$;
comment on function auth.uid() is 'Id of the user the request is made by; null for anonymous requests.';

create or replace function auth.role() returns text language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.role', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role'
  )
$$;
comment on function auth.role() is 'Role the request''s token names; prefer the TO clause of a policy.';

create or replace function auth.email() returns text language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.email', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email'
  )
$$;
comment on function auth.email() is 'E-mail address in the request''s token; prefer auth.jwt() ->> ''email''.';

create or replace function auth.jwt() returns jsonb language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')
  )::jsonb
$$;
comment on function auth.jwt() is 'All claims of the request''s token.';

create table if not exists auth.schema_migrations (
  version varchar(255) not null,
  constraint schema_migrations_pkey primary key (version)
);
comment on table auth.schema_migrations is 'Migrations of GoTrue that these tables stand for, so that a real one can take over. Owned by the superuser: our own migrations write to it, and a table whose owner is not trusted can run his code in any session that does.';
insert into auth.schema_migrations (version)
select unnest(array[
  '00', '20210710035447', '20210722035447', '20210730183235', '20210909172000', '20210927181326',
  '20211122151130', '20211124214934', '20211202183645', '20220114185221', '20220114185340', '20220224000811',
  '20220323170000', '20220429102000', '20220531120530', '20220614074223', '20220811173540', '20221003041349',
  '20221003041400', '20221011041400', '20221020193600', '20221021073300', '20221021082433', '20221027105023',
  '20221114143122', '20221114143410', '20221125140132', '20221208132122', '20221215195500', '20221215195800',
  '20221215195900', '20230116124310', '20230116124412', '20230131181311', '20230322519590', '20230402418590',
  '20230411005111', '20230508135423', '20230523124323', '20230818113222', '20230914180801', '20231027141322',
  '20231114161723', '20231117164230', '20240115144230', '20240214120130', '20240306115329', '20240314092811',
  '20240427152123', '20240612123726', '20240729123726', '20240802193726', '20240806073726', '20241009103726',
  '20250717082212', '20250731150234', '20250804100000', '20250901200500', '20250903112500', '20250904133000',
  '20250925093508', '20251007112900', '20251104100000', '20251111201300', '20251201000000', '20260115000000',
  '20260121000000', '20260219120000', '20260302000000', '20260625000000'
])
on conflict do nothing;

do $owners$
declare
  relation regclass;
begin
  for relation in
    select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'auth' and c.relkind = 'r' and c.relname <> 'schema_migrations'
      and c.relowner <> 'supabase_auth_admin'::regrole
      -- Only what a file of ours has just made; never take over what somebody else put here.
      and c.relowner = current_user::regrole
  loop
    execute format('alter table %s owner to supabase_auth_admin', relation);
  end loop;
end
$owners$;
alter function auth.uid() owner to supabase_auth_admin;
alter function auth.role() owner to supabase_auth_admin;
alter function auth.email() owner to supabase_auth_admin;
alter function auth.jwt() owner to supabase_auth_admin;

-- Enabled without policies: the owner is not subject to them, and nobody else but a BYPASSRLS role sees a row.
do $rls$
declare
  name text;
begin
  foreach name in array array[
    'schema_migrations', 'instances', 'users', 'audit_log_entries', 'saml_relay_states', 'refresh_tokens', 'mfa_factors',
    'sessions', 'sso_providers', 'sso_domains', 'mfa_challenges', 'mfa_amr_claims', 'saml_providers', 'flow_state',
    'identities', 'one_time_tokens'
  ]
  loop
    execute format('alter table auth.%I enable row level security', name);
    execute format('grant select on auth.%I to %I with grant option', name, :'postgres_group');
  end loop;
end
$rls$;

-- The service creates nothing here; without CREATE nobody who can become its role can shadow a name either.
revoke create on schema auth from supabase_auth_admin;
grant usage on schema auth to supabase_auth_admin, dashboard_user;
grant all on all tables in schema auth to :"postgres_group", dashboard_user;
grant all on all sequences in schema auth to :"postgres_group", dashboard_user;
grant all on all routines in schema auth to :"postgres_group", dashboard_user;
revoke insert, update, delete, truncate, references, trigger on auth.schema_migrations from :"postgres_group", dashboard_user;
grant select, insert, update, delete on auth.schema_migrations to supabase_auth_admin;
alter default privileges for role supabase_auth_admin in schema auth grant all on tables to :"postgres_group", dashboard_user;
alter default privileges for role supabase_auth_admin in schema auth grant all on sequences to :"postgres_group", dashboard_user;
alter default privileges for role supabase_auth_admin in schema auth grant all on routines to :"postgres_group", dashboard_user;
