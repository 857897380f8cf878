-- Functions that policies and triggers of storage use. Names and signatures are public: policies of projects call them.

create or replace function storage.foldername(name text) returns text[] language plpgsql immutable as $$
declare
  segments text[] := string_to_array(name, '/');
begin
  return segments[1 : array_length(segments, 1) - 1];
end
$$;
comment on function storage.foldername(text) is 'All segments of the path but the last.';

create or replace function storage.filename(name text) returns text language plpgsql immutable as $$
declare
  segments text[] := string_to_array(name, '/');
begin
  return segments[array_length(segments, 1)];
end
$$;
comment on function storage.filename(text) is 'The last segment of the path.';

create or replace function storage.extension(name text) returns text language plpgsql immutable as $$
declare
  segments text[] := string_to_array(name, '/');
  pieces text[] := string_to_array(segments[array_length(segments, 1)], '.');
begin
  return pieces[array_length(pieces, 1)];
end
$$;
comment on function storage.extension(text) is 'What follows the last dot of the file name; the whole file name when it has none.';

create or replace function storage.operation() returns text language plpgsql stable as $$
begin
  return current_setting('storage.operation', true);
end
$$;
comment on function storage.operation() is 'What the storage service is doing, such as `storage.object.upload`; for policies.';

create or replace function storage.allow_only_operation(expected_operation text) returns boolean language plpgsql stable as $$
begin
  return storage.allow_any_operation(array[expected_operation]);
end
$$;

create or replace function storage.allow_any_operation(expected_operations text[]) returns boolean language plpgsql stable as $$
declare
  current_operation text := regexp_replace(coalesce(storage.operation(), ''), '^storage\.', '');
begin
  return current_operation <> '' and exists (
    select from unnest(expected_operations) as expected
    where regexp_replace(expected, '^storage\.', '') = current_operation
  );
end
$$;
comment on function storage.allow_any_operation(text[]) is 'True during one of these operations; a leading `storage.` counts on neither side.';

create or replace function storage.get_size_by_bucket() returns table (size bigint, bucket_id text) language plpgsql stable as $$
begin
  return query
    select sum((o.metadata ->> 'size')::bigint)::bigint, o.bucket_id from storage.objects o group by o.bucket_id;
end
$$;

create or replace function storage.can_insert_object(bucketid text, name text, owner uuid, metadata jsonb) returns void
language plpgsql as $$
begin
  insert into storage.objects (bucket_id, name, owner, metadata) values (bucketid, name, owner, metadata);
  -- Allowed, and undone: the caller sees this state instead of a denial.
  raise sqlstate 'PT200' using message = 'ROLLBACK', detail = 'rollback successful insert';
end
$$;

create or replace function storage.update_updated_at_column() returns trigger language plpgsql as $$
begin
  new.updated_at = now();
  return new;
end
$$;

create or replace function storage.enforce_bucket_name_length() returns trigger language plpgsql as $$
begin
  if length(new.name) > 100 then
    raise exception 'bucket name "%" is too long (% characters). Max is 100.', new.name, length(new.name);
  end if;
  return new;
end
$$;

create or replace function storage.protect_delete() returns trigger language plpgsql as $$
begin
  if coalesce(current_setting('storage.allow_delete_query', true), 'false') <> 'true' then
    raise exception 'Direct deletion from storage tables is not allowed. Use the Storage API instead.'
      using errcode = '42501', hint = 'A row deleted in SQL leaves its bytes behind.';
  end if;
  return null;
end
$$;

do $triggers$
begin
  if not exists (select from pg_trigger where tgrelid = 'storage.buckets'::regclass and tgname = 'enforce_bucket_name_length_trigger') then
    create trigger enforce_bucket_name_length_trigger before insert or update of name on storage.buckets
      for each row execute function storage.enforce_bucket_name_length();
  end if;
  if not exists (select from pg_trigger where tgrelid = 'storage.buckets'::regclass and tgname = 'protect_buckets_delete') then
    create trigger protect_buckets_delete before delete on storage.buckets
      for each statement execute function storage.protect_delete();
  end if;
  if not exists (select from pg_trigger where tgrelid = 'storage.objects'::regclass and tgname = 'update_objects_updated_at') then
    create trigger update_objects_updated_at before update on storage.objects
      for each row execute function storage.update_updated_at_column();
  end if;
  if not exists (select from pg_trigger where tgrelid = 'storage.objects'::regclass and tgname = 'protect_objects_delete') then
    create trigger protect_objects_delete before delete on storage.objects
      for each statement execute function storage.protect_delete();
  end if;
end
$triggers$;
