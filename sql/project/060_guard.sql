-- The project's user inherits the owners of auth, storage and realtime: stock PostgreSQL lets nobody else create a policy
-- on storage.objects or drop a trigger of auth.users. These event triggers keep him from breaking what the services live
-- on. A rail for his own project, not a wall: the walls between projects do not depend on it.

create table if not exists supalove.managed_objects (
  classid oid not null,
  objid oid not null,
  -- Null where an object is only kept from being dropped.
  fingerprint text,
  primary key (classid, objid)
);
comment on table supalove.managed_objects is 'Objects of the services, by the catalog they stand in: they cannot be dropped, and keep their shape.';
grant select on supalove.managed_objects to public;

create or replace function supalove.fingerprint(classid oid, objid oid) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select case classid
    when 'pg_class'::regclass then (
      select format('%s.%s %s %s %s %s', c.relnamespace, c.relname, c.relowner, c.relrowsecurity, c.relforcerowsecurity, (
        select md5(string_agg(format('%s %s %s', a.attname, a.atttypid, a.attnotnull), ',' order by a.attnum))
        from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      ))
      from pg_class c where c.oid = objid
    )
    when 'pg_proc'::regclass then (
      select format('%s.%s %s %s %s %s', p.pronamespace, p.proname, p.proowner, p.prosecdef, p.proconfig, md5(p.prosrc))
      from pg_proc p where p.oid = objid
    )
  end
$$;

create or replace function supalove.guard_changes() returns event_trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  command record;
begin
  if (select rolsuper from pg_roles where rolname = current_user) then
    return;
  end if;
  for command in select c.classid, c.objid, c.object_type, c.object_identity from pg_event_trigger_ddl_commands() c
  loop
    -- The commands inside a trusted extension's script run as superuser and are not seen here, only what they have made.
    if command.object_type = 'language' or exists (
      select from pg_depend d
      where d.refclassid = command.classid and d.refobjid = command.objid and d.deptype = 'e'
        and d.classid = 'pg_language'::regclass
    ) then
      raise exception 'procedural languages cannot be added' using errcode = 'insufficient_privilege',
        hint = 'Functions are written in SQL or PL/pgSQL.';
    end if;
    if exists (
      select from supalove.managed_objects m
      where m.classid = command.classid and m.objid = command.objid
        and m.fingerprint <> supalove.fingerprint(command.classid, command.objid)
    ) then
      raise exception '% belongs to a service of the project and cannot be altered', command.object_identity
        using errcode = 'insufficient_privilege', hint = 'Policies, triggers and rows of your own are fine.';
    end if;
  end loop;
end
$$;

create or replace function supalove.guard_drops() returns event_trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  dropped record;
begin
  if (select rolsuper from pg_roles where rolname = current_user) then
    return;
  end if;
  for dropped in
    select d.object_identity from pg_event_trigger_dropped_objects() d
    join supalove.managed_objects m on m.classid = d.classid and m.objid = d.objid
    limit 1
  loop
    raise exception '% belongs to a service of the project and cannot be dropped', dropped.object_identity
      using errcode = 'insufficient_privilege';
  end loop;
end
$$;

-- A table that is not known yet is taken in with all that belongs to it; what a tenant adds to a known one stays his.
-- Only superusers can create in auth and storage; in realtime only the two tables of ours count, partitions come and go.
do $manifest$
declare
  relation oid;
begin
  for relation in
    select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p')
      and (n.nspname in ('auth', 'storage') or (n.nspname = 'realtime' and c.relname in ('messages', 'subscription')))
      and not exists (select from supalove.managed_objects m where m.classid = 'pg_class'::regclass and m.objid = c.oid)
  loop
    insert into supalove.managed_objects (classid, objid)
    select 'pg_class'::regclass, relation
    union select 'pg_class'::regclass, indexrelid from pg_index where indrelid = relation
    union select 'pg_class'::regclass, objid from pg_depend
      where classid = 'pg_class'::regclass and refclassid = 'pg_class'::regclass and refobjid = relation and deptype in ('a', 'i')
    union select 'pg_constraint'::regclass, oid from pg_constraint where conrelid = relation
    union select 'pg_trigger'::regclass, oid from pg_trigger where tgrelid = relation and not tgisinternal
    on conflict do nothing;
  end loop;
  insert into supalove.managed_objects (classid, objid)
  select 'pg_proc'::regclass, oid from pg_proc
  where pronamespace in ('auth'::regnamespace, 'storage'::regnamespace)
    or (pronamespace = 'realtime'::regnamespace and proname in (
      'topic', 'send', 'send_binary', 'broadcast_changes', 'insert_broadcast', 'ensure_partitions',
      'drop_expired_partitions', 'notify_messages'
    ))
  union select 'pg_type'::regclass, oid from pg_type
  where typnamespace in ('auth'::regnamespace, 'storage'::regnamespace) and typtype = 'e'
  on conflict do nothing;
  delete from supalove.managed_objects m
  where (m.classid = 'pg_class'::regclass and not exists (select from pg_class where oid = m.objid))
    or (m.classid = 'pg_proc'::regclass and not exists (select from pg_proc where oid = m.objid));
  update supalove.managed_objects set fingerprint = supalove.fingerprint(classid, objid);
end
$manifest$;

do $triggers$
begin
  if not exists (select from pg_event_trigger where evtname = 'supalove_guard_changes') then
    create event trigger supalove_guard_changes on ddl_command_end execute function supalove.guard_changes();
  end if;
  if not exists (select from pg_event_trigger where evtname = 'supalove_guard_drops') then
    create event trigger supalove_guard_drops on sql_drop execute function supalove.guard_drops();
  end if;
end
$triggers$;
-- Whoever silences his triggers (session_replication_role = replica) does not silence these.
alter event trigger supalove_guard_changes enable always;
alter event trigger supalove_guard_drops enable always;
