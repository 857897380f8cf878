-- Invitations for people without an account, and what tokens and clusters need to be managed by hand.

set local search_path = supalove;

create table invitations (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null references organizations on delete cascade,
  email text not null,
  role membership_role not null,
  token_hash bytea not null unique,
  invited_by uuid references accounts on delete set null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null
);
create unique index invitations_one_each on invitations (organization_id, lower(email));
comment on table invitations is 'Open invitations: the row goes when it is accepted or revoked. Only the SHA-256 of the token is kept.';

alter table access_tokens add column prefix text not null default '';
comment on column access_tokens.prefix is 'The first characters, to tell tokens apart without revealing them.';

create unique index service_tokens_one_each on service_tokens (audience, name);

alter table clusters add column public_host text;
alter table clusters add column public_port integer check (public_port between 1 and 65535);
comment on column clusters.public_host is 'Where people connect to when it is not the host that the control plane uses.';
