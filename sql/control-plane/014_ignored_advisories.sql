-- Findings of the advisors that people of a project have decided to live with.

set local search_path = supalove;

create table ignored_advisories (
  project_ref text not null references projects on delete cascade,
  key text not null check (length(key) <= 600),
  reason text not null check (length(reason) between 1 and 500),
  actor text not null,
  created_at timestamptz not null default now(),
  primary key (project_ref, key)
);
comment on column ignored_advisories.key is 'Name of the finding and its object, as control-plane/advisors/lints.ts makes it.';
