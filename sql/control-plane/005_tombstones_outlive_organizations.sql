-- A deleted project's tombstone must reach gateways that were away even when its organization is deleted meanwhile.

set local search_path = supalove;

alter table projects alter column organization_id drop not null;
alter table projects add constraint projects_live_in_organization check (organization_id is not null or deleted_at is not null);
comment on column projects.organization_id is 'Null only in a tombstone whose organization is gone.';
