-- Logins that are given back: after somebody has lost his access, a project's passwords are set again and its sessions ended.

set local search_path = supalove;

create table login_resets (
  project_ref text primary key references projects on delete cascade,
  requested_at timestamptz not null default now(),
  attempts integer not null default 0,
  next_attempt_at timestamptz not null default now(),
  opened_at text
);
comment on column login_resets.opened_at is 'When the logins were opened again, by the cluster''s clock; logins that began before it are looked for until none can come any more.';
comment on table login_resets is 'Projects whose logins are to be reset; a row is gone when it is done. Paused projects wait until they run again.';
