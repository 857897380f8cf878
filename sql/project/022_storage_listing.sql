-- Listing of objects, one level at a time. A folder is not a row: it is what several names have in common up to the
-- next delimiter. The walk below reads the index in order and leaps over a folder instead of reading what is in it.
-- Everything runs as the caller, so policies decide what is listed.

create or replace function storage.get_common_prefix(p_key text, p_prefix text, p_delimiter text) returns text
language sql immutable as $$
  select case
    when p_delimiter = '' or position(p_delimiter in substring(p_key from length(p_prefix) + 1)) = 0 then null
    else left(p_key, length(p_prefix) + position(p_delimiter in substring(p_key from length(p_prefix) + 1)) + length(p_delimiter) - 1)
  end
$$;
comment on function storage.get_common_prefix(text, text, text) is 'The folder below the prefix that the key lies in, with the delimiter; null for a key directly below it.';

create or replace function storage.escape_like(p_text text) returns text language sql immutable as $$
  select replace(replace(replace(p_text, '\', '\\'), '%', '\%'), '_', '\_')
$$;

create or replace function storage.walk_level(
  p_bucket_id text,
  p_prefix text,
  p_delimiter text,
  p_limit integer,
  p_offset integer default 0,
  p_after text default '',
  p_skip_folder text default '',
  p_descending boolean default false,
  p_ignore_case boolean default false
)
returns table (
  entry text, is_folder boolean, id uuid, metadata jsonb,
  updated_at timestamptz, created_at timestamptz, last_accessed_at timestamptz
)
language plpgsql stable as $$
declare
  -- Above every name that starts with what stands before it: the last character there is.
  last_character constant text := chr(1114111);
  key_expression constant text := case when p_ignore_case then 'lower(o.name) collate "C"' else 'o.name collate "C"' end;
  prefix_key constant text := case when p_ignore_case then lower(p_prefix) else p_prefix end;
  -- The part of the level that is still to be read: lower end exclusive unless it is the first step.
  bound text := case when p_ignore_case then lower(p_after) else p_after end;
  inclusive boolean := false;
  statement text;
  object record;
  folder text;
  skipped integer := 0;
  given integer := 0;
  leapt boolean;
begin
  if p_limit <= 0 then
    return;
  end if;
  if p_skip_folder <> '' then
    folder := case when p_ignore_case then lower(p_skip_folder) else p_skip_folder end;
    bound := case when p_descending then folder else folder || last_character end;
  elsif bound = '' and not p_descending then
    bound := prefix_key;
    inclusive := true;
  elsif bound = '' then
    bound := prefix_key || last_character;
  end if;

  loop
    leapt := false;
    statement := format(
      'select o.id, o.name, o.metadata, o.updated_at, o.created_at, o.last_accessed_at
       from storage.objects o
       where o.bucket_id = $1 and %1$s >= $2 and %1$s < $3 and %1$s %2$s $4
       order by %1$s %3$s%4$s limit $5',
      key_expression,
      case when p_descending then '<' when inclusive then '>=' else '>' end,
      case when p_descending then 'desc' else 'asc' end,
      case when p_ignore_case then ', o.name collate "C"' else '' end
    );
    for object in
      execute statement
      -- One row more than can be wanted: a page that ends with files needs no second look.
      using p_bucket_id, prefix_key, prefix_key || last_character, bound, p_limit + p_offset - given - skipped
    loop
      folder := storage.get_common_prefix(object.name, p_prefix, p_delimiter);
      if skipped < p_offset then
        skipped := skipped + 1;
      else
        entry := coalesce(folder, object.name);
        is_folder := folder is not null;
        if is_folder then
          id := null; metadata := null; updated_at := null; created_at := null; last_accessed_at := null;
        else
          id := object.id; metadata := object.metadata; updated_at := object.updated_at;
          created_at := object.created_at; last_accessed_at := object.last_accessed_at;
        end if;
        return next;
        given := given + 1;
        if given = p_limit then
          return;
        end if;
      end if;
      inclusive := false;
      if folder is not null then
        -- Descending the folder itself is the lower end; ascending its last possible name.
        folder := case when p_ignore_case then lower(folder) else folder end;
        bound := case when p_descending then folder else folder || last_character end;
        leapt := true;
        exit;
      end if;
    end loop;
    exit when not leapt;
  end loop;
end
$$;
comment on function storage.walk_level is
  'Entries of one level in bytewise order: files whole, folders once with their delimiter. p_after is an exclusive file name, p_skip_folder a folder already given.';

create or replace function storage.search(
  prefix text,
  bucketname text,
  limits integer default 100,
  levels integer default 1,
  offsets integer default 0,
  search text default '',
  sortcolumn text default 'name',
  sortorder text default 'asc'
)
returns table (
  name text, id uuid, updated_at timestamptz, created_at timestamptz, last_accessed_at timestamptz, metadata jsonb
)
language plpgsql stable as $$
declare
  sought constant text := coalesce(prefix, '') || coalesce(search, '');
  start constant integer := length(coalesce(prefix, '')) + 1;
  descending constant boolean := lower(coalesce(sortorder, 'asc')) = 'desc';
  page constant integer := least(coalesce(limits, 100), 1500);
  direction constant text := case when descending then 'desc' else 'asc' end;
begin
  if coalesce(sortcolumn, 'name') not in ('updated_at', 'created_at', 'last_accessed_at') then
    return query
      select case when w.is_folder then left(substring(w.entry from start), -1) else substring(w.entry from start) end,
        w.id, w.updated_at, w.created_at, w.last_accessed_at, w.metadata
      from storage.walk_level(bucketname, sought, '/', page, coalesce(offsets, 0), '', '', descending, true) w;
    return;
  end if;
  return query execute format(
    'with level as (
       select o.*, storage.get_common_prefix(o.name, $1, ''/'') as folder
       from storage.objects o
       where o.bucket_id = $2 and lower(o.name) collate "C" like $3
     ), entries as (
       -- Folders that differ only in case are one, under the first spelling.
       select substring(min(folder collate "C") from $4) as entry, true as is_folder, null::uuid as id, null::timestamptz as updated_at,
         null::timestamptz as created_at, null::timestamptz as last_accessed_at, null::jsonb as metadata
       from level where folder is not null group by lower(folder)
       union all
       select substring(l.name from $4), false, l.id, l.updated_at, l.created_at, l.last_accessed_at, l.metadata
       from level l where folder is null
     )
     select case when is_folder then left(entry, -1) else entry end, id, updated_at, created_at, last_accessed_at, metadata
     from entries
     order by is_folder desc,
       case when is_folder then lower(entry) end collate "C" %2$s,
       %1$I %2$s, entry collate "C" %2$s
     limit $5 offset $6',
    sortcolumn, direction
  ) using sought, bucketname, storage.escape_like(lower(sought)) || '%', start, page, coalesce(offsets, 0);
end
$$;
comment on function storage.search is 'One level below prefix || search, ignoring case; names relative to the prefix, folders without a slash. `levels` is unused.';

create or replace function storage.search_v2(
  prefix text,
  bucket_name text,
  limits integer default 100,
  levels integer default 1,
  start_after text default '',
  sort_order text default 'asc',
  sort_column text default 'name',
  sort_column_after text default ''
)
returns table (
  key text, name text, id uuid, updated_at timestamptz, created_at timestamptz, last_accessed_at timestamptz, metadata jsonb
)
language plpgsql stable as $$
declare
  page constant integer := least(coalesce(limits, 100), 1500);
  descending constant boolean := lower(coalesce(sort_order, 'asc')) = 'desc';
  after constant text := coalesce(start_after, '');
begin
  if coalesce(sort_column, 'name') in ('updated_at', 'created_at') then
    return query select * from storage.search_by_timestamp(
      coalesce(prefix, ''), bucket_name, page, levels, after, sort_order, sort_column, sort_column_after
    );
    return;
  end if;
  return query
    select storage.filename(n.full_name), n.full_name, w.id, w.updated_at, w.created_at, w.last_accessed_at, w.metadata
    from storage.walk_level(
      bucket_name, coalesce(prefix, ''), '/', page, 0,
      -- A cursor that ends in a slash is a folder that was given; another one is a file, and a folder of its name follows it.
      case when after like '%/' then '' else after end,
      case when after like '%/' then after else '' end,
      descending
    ) w,
    lateral (select case when w.is_folder then left(w.entry, -1) else w.entry end as full_name) n;
end
$$;
comment on function storage.search_v2 is 'One level below the literal prefix, bytewise; whole names, folders without a slash. Resume after a folder with start_after = its name and a slash.';

create or replace function storage.search_by_timestamp(
  p_prefix text,
  p_bucket_id text,
  p_limit integer,
  p_level integer,
  p_start_after text,
  p_sort_order text,
  p_sort_column text,
  p_sort_column_after text
)
returns table (
  key text, name text, id uuid, updated_at timestamptz, created_at timestamptz, last_accessed_at timestamptz, metadata jsonb
)
language plpgsql stable as $$
declare
  descending constant boolean := lower(coalesce(p_sort_order, 'asc')) = 'desc';
begin
  return query execute format(
    'with level as (
       select o.*, storage.get_common_prefix(o.name, $1, ''/'') as folder
       from storage.objects o
       where o.bucket_id = $2 and o.name collate "C" >= $1 and o.name collate "C" < $1 || chr(1114111)
     ), entries as (
       select folder as sort_name, left(folder, -1) as name, null::uuid as id, min(l.created_at) as updated_at,
         min(l.created_at) as created_at, null::timestamptz as last_accessed_at, null::jsonb as metadata
       from level l where folder is not null group by folder
       union all
       select l.name, l.name, l.id, l.updated_at, l.created_at, l.last_accessed_at, l.metadata
       from level l where folder is null
     )
     select storage.filename(e.name), e.name, e.id, e.updated_at, e.created_at, e.last_accessed_at, e.metadata
     from entries e
     where $3 is null
       or (date_trunc(''milliseconds'', e.%1$I), e.sort_name collate "C") %2$s (date_trunc(''milliseconds'', $3), $4 collate "C")
     order by date_trunc(''milliseconds'', e.%1$I) %3$s, e.sort_name collate "C" %3$s
     limit $5',
    case when p_sort_column = 'updated_at' then 'updated_at' else 'created_at' end,
    case when descending then '<' else '>' end,
    case when descending then 'desc' else 'asc' end
  ) using p_prefix, p_bucket_id, nullif(p_sort_column_after, '')::timestamptz, coalesce(p_start_after, ''), p_limit;
end
$$;
comment on function storage.search_by_timestamp is 'search_v2 by a timestamp (to the millisecond), then name; a folder has the oldest creation time below it.';

create or replace function storage.list_objects_with_delimiter(
  _bucket_id text,
  prefix_param text,
  delimiter_param text,
  max_keys integer default 100,
  start_after text default '',
  next_token text default '',
  sort_order text default 'asc'
)
returns table (
  name text, id uuid, metadata jsonb, updated_at timestamptz, created_at timestamptz, last_accessed_at timestamptz
)
language plpgsql stable as $$
declare
  token constant text := coalesce(next_token, '');
  -- A token that ends with the delimiter is a folder already given; start_after is always a key.
  is_folder_token constant boolean := token <> '' and delimiter_param <> '' and right(token, length(delimiter_param)) = delimiter_param;
begin
  return query
    select w.entry, w.id, w.metadata, w.updated_at, w.created_at, w.last_accessed_at
    from storage.walk_level(
      _bucket_id, coalesce(prefix_param, ''), coalesce(delimiter_param, ''), coalesce(max_keys, 100), 0,
      case when token = '' then coalesce(start_after, '') when is_folder_token then '' else token end,
      case when is_folder_token then token else '' end,
      lower(coalesce(sort_order, 'asc')) = 'desc'
    ) w;
end
$$;
comment on function storage.list_objects_with_delimiter is 'Keys and common prefixes (with their delimiter, id null) in bytewise order, after start_after or next_token.';

create or replace function storage.list_multipart_uploads_with_delimiter(
  bucket_id text,
  prefix_param text,
  delimiter_param text,
  max_keys integer default 100,
  next_key_token text default '',
  next_upload_token text default ''
)
returns table (key text, id text, created_at timestamptz)
language plpgsql stable as $$
#variable_conflict use_column
begin
  return query
    with uploads as (
      select coalesce(storage.get_common_prefix(u.key, prefix_param, delimiter_param), u.key) collate "C" as key,
        storage.get_common_prefix(u.key, prefix_param, delimiter_param) is not null as is_folder,
        u.id, u.created_at
      from storage.s3_multipart_uploads u
      where u.bucket_id = $1
        and u.key >= prefix_param collate "C" and u.key < prefix_param || chr(1114111)
    ), entries as (
      -- A folder is one entry with no upload of its own; a key may have several uploads.
      select distinct on (u.key, case when not u.is_folder then u.id end)
        u.key, case when not u.is_folder then u.id end as id, u.created_at
      from uploads u
      order by u.key, case when not u.is_folder then u.id end, u.created_at
    ), token as (
      select u.created_at, u.id from storage.s3_multipart_uploads u where u.id = next_upload_token
    )
    select e.key, e.id, e.created_at
    from entries e
    where next_key_token = ''
      or e.key > next_key_token collate "C"
      or (e.key = next_key_token collate "C" and (e.created_at, e.id) > (select t.created_at, t.id from token t))
    order by e.key, e.created_at, e.id
    limit max_keys;
end
$$;
