-- What the watch of a cluster has done to a project, and until when the project is closed because of it.

set local search_path = supalove;

alter table projects add column closed_until timestamptz;
comment on column projects.closed_until is 'Its sessions have endangered other projects: until then it serves nobody and its logins cannot log in. Null: open.';
create index projects_closed_until_idx on projects (closed_until) where closed_until is not null;

create table project_strikes (
  id bigint generated always as identity primary key,
  project_ref text not null references projects on delete cascade,
  at timestamptz not null default now(),
  reason text not null
);
create index project_strikes_project_ref_at_idx on project_strikes (project_ref, at);
comment on table project_strikes is 'Times that sessions of a project were ended because they endangered others; three in ten minutes close it. Older ones are removed.';
