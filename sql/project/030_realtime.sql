-- Schema realtime: messages and what policies, triggers and functions of a project call.

create table if not exists realtime.messages (
  topic text not null,
  extension text not null,
  payload jsonb,
  event text,
  private boolean default false,
  updated_at timestamp without time zone not null default now(),
  inserted_at timestamp without time zone not null default now(),
  id uuid not null default gen_random_uuid(),
  binary_payload bytea,
  constraint messages_pkey primary key (id, inserted_at),
  constraint messages_payload_exclusive check (payload is null or binary_payload is null)
) partition by range (inserted_at);
create index if not exists messages_inserted_at_topic_index on realtime.messages (inserted_at desc, topic)
  where (extension = 'broadcast' and private is true);
comment on table realtime.messages is 'One partition a day (UTC), made by realtime.ensure_partitions, dropped after 72 hours by realtime.drop_expired_partitions. A committed insert into this table is broadcast; one straight into a partition is not.';

-- A stub, so that dumps with grants or policies on it load; changes are matched in the service's memory.
create table if not exists realtime.subscription (
  id bigint generated always as identity,
  subscription_id uuid not null,
  entity regclass not null,
  filters text[] not null default '{}',
  claims jsonb not null,
  claims_role text generated always as (claims ->> 'role') stored,
  created_at timestamp without time zone not null default timezone('utc', now()),
  action_filter text default '*',
  selected_columns text[],
  constraint pk_subscription primary key (id)
);
comment on table realtime.subscription is 'Unused; dumps mention it.';

create or replace function realtime.topic() returns text language sql stable as $$
  select nullif(current_setting('realtime.topic', true), '')
$$;
comment on function realtime.topic() is 'The topic that is being authorised, without the `realtime:` prefix; for policies on realtime.messages.';

create or replace function realtime.ensure_partitions() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  today constant date := (now() at time zone 'utc')::date;
  day date;
  name text;
begin
  for offset_days in -1..3
  loop
    day := today + offset_days;
    name := 'messages_' || to_char(day, 'YYYY_MM_DD');
    continue when to_regclass('realtime.' || name) is not null;
    -- Under the lock only one of several callers makes it, and looks again after waiting.
    perform pg_advisory_xact_lock(hashtext('realtime.messages'));
    continue when to_regclass('realtime.' || name) is not null;
    -- Attaching locks the parent only against other DDL, unlike CREATE … PARTITION OF: inserts go on meanwhile.
    execute format('create table realtime.%I (like realtime.messages including defaults including constraints)', name);
    execute format(
      'alter table realtime.messages attach partition realtime.%I for values from (%L) to (%L)', name, day, day + 1
    );
    execute format('alter table realtime.%I enable row level security', name);
  end loop;
end
$$;
comment on function realtime.ensure_partitions() is 'Makes the partitions of yesterday to three days ahead. Cheap when they are there; anybody may call it.';

create or replace function realtime.drop_expired_partitions() returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
declare
  last_day constant date := (now() at time zone 'utc')::date - 4;
  expired record;
  dropped integer := 0;
begin
  for expired in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'realtime.messages'::regclass
      and c.relname ~ '^messages_\d{4}_\d{2}_\d{2}$'
      and to_date(right(c.relname, 10), 'YYYY_MM_DD') <= last_day
  loop
    -- Dropping needs the whole table for a moment: not worth waiting for, the next call drops it.
    begin
      execute format('drop table realtime.%I', expired.relname);
      dropped := dropped + 1;
    exception when lock_not_available then
      null;
    end;
  end loop;
  return dropped;
end
$$;
comment on function realtime.drop_expired_partitions() is 'Drops partitions whose rows are all older than 72 hours. For the realtime service, in a transaction of its own.';

create or replace function realtime.notify_messages() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  batch text;
begin
  -- A payload holds less than 8000 bytes and an entry is at most 65 characters.
  for batch in
    select string_agg(i.id || '/' || (extract(epoch from i.inserted_at) * 1000000)::bigint, ',' order by i.position)
    from (
      select id, inserted_at, row_number() over (order by inserted_at) as position
      from inserted where extension = 'broadcast'
    ) i
    group by (i.position - 1) / 100
    order by min(i.position)
  loop
    perform pg_notify('supalove_realtime_messages', batch);
  end loop;
  return null;
end
$$;
comment on function realtime.notify_messages() is 'Tells the realtime service which rows to fetch: `<id>/<inserted_at in microseconds since 1970, UTC>,…`.';

do $trigger$
begin
  if not exists (select from pg_trigger where tgrelid = 'realtime.messages'::regclass and tgname = 'notify_messages') then
    create trigger notify_messages after insert on realtime.messages
      referencing new table as inserted for each statement execute function realtime.notify_messages();
  end if;
end
$trigger$;

-- Inserts one row as the caller. A day without partition (a project nobody has connected to for a while) gets one first.
create or replace function realtime.insert_broadcast(
  row_id uuid, topic text, event text, private boolean, payload jsonb, binary_payload bytea
) returns void language plpgsql as $$
begin
  begin
    insert into realtime.messages (id, topic, event, private, extension, payload, binary_payload)
    values (row_id, topic, event, private, 'broadcast', payload, binary_payload);
  exception when check_violation then
    perform realtime.ensure_partitions();
    insert into realtime.messages (id, topic, event, private, extension, payload, binary_payload)
    values (row_id, topic, event, private, 'broadcast', payload, binary_payload);
  end;
end
$$;

create or replace function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void
language plpgsql as $$
declare
  row_id uuid := gen_random_uuid();
  message jsonb := payload;
begin
  begin
    if jsonb_typeof(payload) = 'object' and not payload ? 'id' then
      message := payload || jsonb_build_object('id', row_id);
    end if;
    perform set_config('realtime.topic', topic, true);
    perform realtime.insert_broadcast(row_id, topic, event, private, message, null);
  exception when others then
    -- A broadcast must never abort the change it tells of.
    raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
  end;
end
$$;
comment on function realtime.send(jsonb, text, text, boolean) is 'Broadcasts the payload to a topic when the transaction commits.';

create or replace function realtime.send_binary(payload bytea, event text, topic text, private boolean default true) returns void
language plpgsql as $$
begin
  begin
    perform set_config('realtime.topic', topic, true);
    perform realtime.insert_broadcast(gen_random_uuid(), topic, event, private, null, payload);
  exception when others then
    raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
  end;
end
$$;

create or replace function realtime.broadcast_changes(
  topic_name text,
  event_name text,
  operation text,
  table_name text,
  table_schema text,
  new record,
  old record,
  level text default 'ROW'
) returns void language plpgsql as $$
declare
  row_data jsonb;
begin
  if level = 'STATEMENT' then
    raise exception 'function can only be triggered for each row, not for each statement';
  end if;
  if operation not in ('INSERT', 'UPDATE', 'DELETE') then
    raise exception 'Unexpected operation type: %', operation;
  end if;
  row_data := jsonb_build_object(
    'old_record', case when operation <> 'INSERT' then to_jsonb(old) end,
    'record', case when operation <> 'DELETE' then to_jsonb(new) end,
    'operation', operation,
    'table', table_name,
    'schema', table_schema
  );
  perform realtime.send(row_data, event_name, topic_name);
end
$$;
comment on function realtime.broadcast_changes is 'For row triggers: broadcasts the changed row privately, as {record, old_record, operation, table, schema, id}.';

do $owners$
declare
  relation regclass;
  routine regprocedure;
begin
  for relation in
    select oid from pg_class
    where relnamespace = 'realtime'::regnamespace and relkind in ('r', 'p') and relowner = current_user::regrole
  loop
    execute format('alter table %s owner to supabase_realtime_admin', relation);
  end loop;
  for routine in
    select oid from pg_proc where pronamespace = 'realtime'::regnamespace and proowner = current_user::regrole
  loop
    execute format('alter routine %s owner to supabase_realtime_admin', routine);
  end loop;
end
$owners$;
alter table realtime.messages enable row level security;

-- CREATE for the daily partitions.
grant usage, create on schema realtime to supabase_realtime_admin;
grant usage on schema realtime to dashboard_user;
grant select, insert, update on realtime.messages to anon, authenticated, service_role;
revoke execute on function realtime.drop_expired_partitions() from public;
grant all on realtime.messages, realtime.subscription to :"postgres_group", dashboard_user;
grant select on realtime.subscription to anon, authenticated, service_role;
alter default privileges for role supabase_realtime_admin in schema realtime grant all on routines to :"postgres_group", dashboard_user;
