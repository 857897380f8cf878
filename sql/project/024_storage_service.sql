-- What the storage service keeps beside the tables of schema storage: versions whose bytes are on disk while no row names
-- them, resumable uploads, buckets being emptied, and a running total. Reached as service_role.

create table if not exists supalove.storage_versions (
  version text not null,
  bucket_id text not null,
  name text not null,
  state text not null,
  expires_at timestamptz not null,
  constraint storage_versions_pkey primary key (version),
  constraint storage_versions_state_check check (state in ('pending', 'trash', 'removing'))
);
create index if not exists storage_versions_expires_at on supalove.storage_versions (expires_at);
comment on table supalove.storage_versions is 'Versions of objects that no row names: bytes being written (pending, a lease that the writer renews), replaced or deleted (trash), being removed.';

create table if not exists supalove.storage_uploads (
  version text not null,
  bucket_id text not null,
  name text not null,
  owner_id text,
  upload_length bigint,
  upload_offset bigint not null default 0,
  upload_metadata text not null default '',
  content_type text,
  cache_control text not null default 'no-cache',
  user_metadata jsonb,
  digest text not null default '',
  part_count integer not null default 0,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  locked_by text,
  locked_until timestamptz,
  wanted_by text,
  finished_at timestamptz,
  constraint storage_uploads_pkey primary key (version)
);
create index if not exists storage_uploads_expires_at on supalove.storage_uploads (expires_at);
comment on table supalove.storage_uploads is 'Resumable uploads (TUS) under way. Who writes holds a lease (locked_by, locked_until); wanted_by asks the holder to let go. A finished one is remembered for a while.';
comment on column supalove.storage_uploads.digest is 'MD5 over the one before and the MD5 of the next piece, in hex: by and by the entity tag.';

create table if not exists supalove.storage_emptying (
  bucket_id text not null,
  created_before timestamptz not null,
  constraint storage_emptying_pkey primary key (bucket_id)
);
comment on table supalove.storage_emptying is 'Buckets whose objects of before that moment are to be deleted.';

create table if not exists supalove.storage_usage (
  slot smallint not null,
  bytes bigint not null default 0,
  objects bigint not null default 0,
  constraint storage_usage_pkey primary key (slot)
);
comment on table supalove.storage_usage is 'Running total of storage.objects: the sum over all slots. Several slots, so that uploads do not wait for each other.';
insert into supalove.storage_usage (slot) select generate_series(0, 7) on conflict do nothing;

grant select, insert, update, delete on supalove.storage_versions, supalove.storage_uploads, supalove.storage_emptying,
  supalove.storage_usage to service_role;
grant select on supalove.storage_usage to public;

create or replace function supalove.storage_object_bytes(metadata jsonb) returns bigint
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case when jsonb_typeof(metadata -> 'size') = 'number' and (metadata ->> 'size') ~ '^\d{1,15}$'
    then (metadata ->> 'size')::bigint else 0 end
$$;
comment on function supalove.storage_object_bytes(jsonb) is 'Size of an object by its metadata; 0 where there is none that can be read.';

create or replace function supalove.track_storage_objects() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  more_bytes bigint := 0;
  more_objects bigint := 0;
  given bigint;
  counted bigint;
  -- The service tells how long the project keeps deleted versions.
  kept constant text := current_setting('supalove.storage_trash_seconds', true);
begin
  if tg_op <> 'DELETE' then
    select coalesce(sum(supalove.storage_object_bytes(n.metadata)), 0), count(*) into given, counted from new_rows n;
    more_bytes := given;
    more_objects := counted;
  end if;
  if tg_op <> 'INSERT' then
    select coalesce(sum(supalove.storage_object_bytes(o.metadata)), 0), count(*) into given, counted from old_rows o;
    more_bytes := more_bytes - given;
    more_objects := more_objects - counted;
  end if;
  if more_bytes <> 0 or more_objects <> 0 then
    update supalove.storage_usage set bytes = bytes + more_bytes, objects = objects + more_objects
    where slot = mod(pg_backend_pid(), 8);
  end if;
  if tg_op = 'DELETE' then
    insert into supalove.storage_versions (version, bucket_id, name, state, expires_at)
    select o.version, o.bucket_id, o.name, 'trash',
      now() + make_interval(secs => case when kept ~ '^\d{1,8}$' then kept::integer else 3600 end)
    from old_rows o
    where o.version is not null and o.bucket_id is not null and o.name is not null
    on conflict (version) do nothing;
  elsif tg_op = 'UPDATE' then
    insert into supalove.storage_versions (version, bucket_id, name, state, expires_at)
    select o.version, o.bucket_id, o.name, 'trash',
      now() + make_interval(secs => case when kept ~ '^\d{1,8}$' then kept::integer else 3600 end)
    from old_rows o join new_rows n using (id)
    where o.version is distinct from n.version
      and o.version is not null and o.bucket_id is not null and o.name is not null
    on conflict (version) do nothing;
  end if;
  return null;
end
$$;
revoke all on function supalove.track_storage_objects() from public;

do $triggers$
declare
  -- A write that is only tried changes nothing that is to be counted.
  condition constant text := 'current_setting(''supalove.storage_probe'', true) is distinct from ''on''';
begin
  if not exists (select from pg_trigger where tgrelid = 'storage.objects'::regclass and tgname = 'supalove_track_insert') then
    execute format('create trigger supalove_track_insert after insert on storage.objects referencing new table as new_rows
      for each statement when (%s) execute function supalove.track_storage_objects()', condition);
  end if;
  if not exists (select from pg_trigger where tgrelid = 'storage.objects'::regclass and tgname = 'supalove_track_update') then
    execute format('create trigger supalove_track_update after update on storage.objects referencing old table as old_rows new table as new_rows
      for each statement when (%s) execute function supalove.track_storage_objects()', condition);
  end if;
  if not exists (select from pg_trigger where tgrelid = 'storage.objects'::regclass and tgname = 'supalove_track_delete') then
    execute format('create trigger supalove_track_delete after delete on storage.objects referencing old table as old_rows
      for each statement when (%s) execute function supalove.track_storage_objects()', condition);
  end if;
end
$triggers$;

-- Whether the caller may write, found out by writing and undoing it: the bytes are taken only afterwards, and the row is
-- then written by the service. 00000: he may. Runs as the caller, under his policies and the project's triggers.

create or replace function supalove.storage_probe_upload(
  p_bucket_id text, p_name text, p_owner uuid, p_owner_id text, p_metadata jsonb, p_user_metadata jsonb, p_upsert boolean,
  out code text, out message text, out detail text
)
language plpgsql as $$
declare
  written boolean := false;
  ignored uuid;
begin
  begin
    perform pg_catalog.set_config('supalove.storage_probe', 'on', true);
    if p_upsert then
      insert into storage.objects (bucket_id, name, owner, owner_id, metadata, user_metadata, version)
      values (p_bucket_id, p_name, p_owner, p_owner_id, p_metadata, p_user_metadata, '1')
      on conflict (bucket_id, name) do update
        set owner = excluded.owner, owner_id = excluded.owner_id, metadata = excluded.metadata,
          user_metadata = excluded.user_metadata, version = excluded.version
      returning id into ignored;
    else
      insert into storage.objects (bucket_id, name, owner, owner_id, metadata, user_metadata, version)
      values (p_bucket_id, p_name, p_owner, p_owner_id, p_metadata, p_user_metadata, '1');
    end if;
    written := true;
    raise exception 'undone';
  exception when others then
    get stacked diagnostics code = returned_sqlstate, message = message_text, detail = pg_exception_detail;
  end;
  if written then
    code := '00000';
    message := '';
  end if;
  -- For a statement of the service behind this one: it reserves a version only for who may write.
  perform pg_catalog.set_config('supalove.storage_probe_code', code, true);
end
$$;

create or replace function supalove.storage_probe_move(
  p_bucket_id text, p_name text, p_to_bucket_id text, p_to_name text, p_owner uuid, p_owner_id text,
  out code text, out message text, out detail text
)
language plpgsql as $$
declare
  written boolean := false;
  moved uuid;
begin
  begin
    perform pg_catalog.set_config('supalove.storage_probe', 'on', true);
    update storage.objects
    set bucket_id = p_to_bucket_id, name = p_to_name, version = '1',
      owner = coalesce(p_owner, owner), owner_id = coalesce(p_owner_id, owner_id)
    where bucket_id = p_bucket_id and name = p_name
    returning id into moved;
    written := true;
    raise exception 'undone';
  exception when others then
    get stacked diagnostics code = returned_sqlstate, message = message_text, detail = pg_exception_detail;
  end;
  if written then
    code := case when moved is null then 'hidden' else '00000' end;
    message := '';
  end if;
  -- For a statement of the service behind this one: it reserves a version only for who may write.
  perform pg_catalog.set_config('supalove.storage_probe_code', code, true);
end
$$;

grant execute on function supalove.storage_probe_upload(text, text, uuid, text, jsonb, jsonb, boolean),
  supalove.storage_probe_move(text, text, text, text, uuid, text), supalove.storage_object_bytes(jsonb)
  to anon, authenticated, service_role;
