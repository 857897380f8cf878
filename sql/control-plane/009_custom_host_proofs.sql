-- A custom host leads to a project only once the domain's DNS says so. Several projects may claim a host, one may have it.

set local search_path = supalove;

alter table custom_hosts drop constraint custom_hosts_pkey;
alter table custom_hosts add primary key (host, project_ref);
alter table custom_hosts
  add column token text not null default encode(sha256(gen_random_uuid()::text::bytea), 'hex') check (length(token) >= 32),
  add column verified_at timestamptz,
  add column failing_since timestamptz,
  add column checked_at timestamptz,
  add column next_check_at timestamptz default now(),
  add column last_error text;
create unique index custom_hosts_verified_idx on custom_hosts (host) where verified_at is not null;
create index custom_hosts_next_check_at_idx on custom_hosts (next_check_at) where next_check_at is not null;
-- Hosts of before go on; they are checked like all others and have the same days to get their record.
update custom_hosts set verified_at = created_at;

comment on table custom_hosts is 'A table and not a setting, so that a host leads to one project however many instances write.';
comment on column custom_hosts.token is 'What the TXT record has to say: new with each claim, so nobody inherits a proof.';
comment on column custom_hosts.verified_at is 'Since when the host leads to the project; null while the claim is pending.';
comment on column custom_hosts.failing_since is 'Since when a verified host has lacked its record.';
comment on column custom_hosts.next_check_at is 'Null: not checked any more until somebody asks for it.';
