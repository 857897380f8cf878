-- What projects use: traffic as gateways report it, and sizes as they are measured.

set local search_path = supalove;

create type usage_step as enum ('minute', 'hour', 'day');

create table project_traffic (
  project_ref text not null,
  step usage_step not null,
  at timestamptz not null,
  service text not null,
  statuses bigint[] not null,
  durations bigint[] not null,
  bytes_in bigint not null,
  bytes_out bigint not null,
  sockets bigint not null,
  messages bigint not null,
  primary key (project_ref, step, at, service)
) with (fillfactor = 80);
create index project_traffic_step_at_idx on project_traffic (step, at);
-- Without foreign keys: a report for all projects must not wait for one that is locked while it is provisioned.
comment on table project_traffic is 'Minutes are kept a day, hours 90 days, days 400 days. Each report is added to all three.';
comment on column project_traffic.at is 'The beginning of the minute, hour or day, in UTC.';
comment on column project_traffic.statuses is 'Requests by class of status, 1xx to 5xx.';
comment on column project_traffic.durations is 'Requests by how long they took: the buckets of control-plane/client/traffic.ts.';
comment on column project_traffic.sockets is 'The most that one gateway had open at once.';

create table traffic_reporters (
  process uuid primary key,
  sequence integer not null,
  reported_at timestamptz not null default now()
);
comment on table traffic_reporters is 'The last report of each gateway process that was counted: one that comes again is not.';

create table project_measures (
  project_ref text not null,
  step usage_step not null,
  at timestamptz not null,
  database_bytes bigint,
  storage_bytes bigint,
  connections integer,
  active_users integer,
  primary key (project_ref, step, at)
);
create index project_measures_step_at_idx on project_measures (step, at);
comment on table project_measures is 'Every five minutes for projects in use, kept as long as traffic is. Null: not measured then.';
comment on column project_measures.connections is 'The most that were seen.';
comment on column project_measures.active_users is 'Users who signed in or refreshed a session in the month so far.';

create table periodic_work (
  name text primary key,
  started_at timestamptz not null
);
comment on table periodic_work is 'When work that one control plane does for all was last begun.';

create function add_counts(a bigint[], b bigint[]) returns bigint[]
language sql immutable parallel safe
as $$ select array_agg(coalesce(x, 0) + coalesce(y, 0) order by i) from unnest(a, b) with ordinality as u(x, y, i) $$;
comment on function add_counts is 'The sums of what stands at the same place.';
