-- Deletions that did not reach the cluster: what is left there is removed when it is back.

set local search_path = supalove;

alter table operations drop constraint operations_kind_check;
alter table operations add constraint operations_kind_check
  check (kind in ('create', 'pause', 'resume', 'restart', 'delete', 'abandon', 'migrate'));

create table leftovers (
  project_ref text primary key,
  cluster_id uuid not null references clusters on delete cascade,
  created_at timestamptz not null default now()
);
create index leftovers_cluster_id_idx on leftovers (cluster_id);
comment on table leftovers is 'Deleted projects whose database and logins may still be on a cluster that could not be reached then.';
