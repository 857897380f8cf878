-- Owner, row-level security and grants of schema storage. Policies are the project's own; it starts with none.

do $owners$
declare
  name text;
  routine regprocedure;
begin
  foreach name in array array[
    'buckets', 'objects', 's3_multipart_uploads', 's3_multipart_uploads_parts', 'buckets_analytics', 'buckets_vectors',
    'vector_indexes', 'migrations'
  ]
  loop
    if name <> 'migrations'
      and (select relowner = current_user::regrole from pg_class where oid = ('storage.' || name)::regclass)
    then
      execute format('alter table storage.%I owner to supabase_storage_admin', name);
    end if;
    execute format('alter table storage.%I enable row level security', name);
  end loop;
  for routine in
    select oid from pg_proc where pronamespace = 'storage'::regnamespace and proowner = current_user::regrole
  loop
    execute format('alter routine %s owner to supabase_storage_admin', routine);
  end loop;
end
$owners$;

revoke create on schema storage from supabase_storage_admin;
grant usage on schema storage to supabase_storage_admin, dashboard_user;
grant usage on schema storage to :"postgres_group" with grant option;
grant all on storage.buckets, storage.objects, storage.buckets_analytics, storage.buckets_vectors, storage.vector_indexes
  to anon, authenticated, service_role;
grant all on storage.buckets, storage.objects to :"postgres_group" with grant option;
grant all on storage.s3_multipart_uploads, storage.s3_multipart_uploads_parts, storage.buckets_analytics,
  storage.buckets_vectors, storage.vector_indexes to :"postgres_group";
grant all on storage.s3_multipart_uploads, storage.s3_multipart_uploads_parts to service_role;
grant select on storage.s3_multipart_uploads, storage.s3_multipart_uploads_parts to anon, authenticated;
grant select on storage.migrations to :"postgres_group";
grant select, insert, update, delete on storage.migrations to supabase_storage_admin;
alter default privileges for role supabase_storage_admin in schema storage
  grant all on tables to :"postgres_group", anon, authenticated, service_role;
alter default privileges for role supabase_storage_admin in schema storage
  grant all on sequences to :"postgres_group", anon, authenticated, service_role;
alter default privileges for role supabase_storage_admin in schema storage
  grant all on functions to :"postgres_group", anon, authenticated, service_role;
