-- Host names of people's own that lead to a project.

set local search_path = supalove;

create table custom_hosts (
  host text primary key check (host = lower(host) and length(host) between 4 and 253),
  project_ref text not null references projects on delete cascade,
  created_at timestamptz not null default now()
);
create index custom_hosts_project_ref_idx on custom_hosts (project_ref);
comment on table custom_hosts is 'A table and not a setting, so that a host has one project however many instances write. A deleted project''s hosts may be taken over.';
