-- Applications whose first sign-up becomes the administrator need a project that begins without users.

set local search_path = supalove;

alter table projects add column has_administrator boolean not null default true;
comment on column projects.has_administrator is 'Whether the project is made with a first user (role admin) and his one-time password.';
