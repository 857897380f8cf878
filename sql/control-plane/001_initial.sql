-- The control plane's own data: database `postgres` of the first cluster, schema `supalove`.
-- Applied once, in order of the numbers, by control-plane/migrations.ts.

create schema if not exists supalove;
comment on schema supalove is 'Control plane of Supalove. Only its superuser reads it.';
revoke all on schema supalove from public;
set local search_path = supalove;

create table accounts (
  id uuid primary key default gen_random_uuid(),
  email text not null,
  password_hash text not null,
  name text not null default '',
  is_instance_owner boolean not null default false,
  created_at timestamptz not null default now()
);
create unique index accounts_email_key on accounts (lower(email));
create unique index accounts_one_instance_owner on accounts (is_instance_owner) where is_instance_owner;
comment on column accounts.is_instance_owner is 'The first sign-up: may administer clusters and sees every organization.';

create table sessions (
  token_hash bytea primary key,
  account_id uuid not null references accounts on delete cascade,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null
);
create index sessions_account_id_idx on sessions (account_id);
comment on table sessions is 'Browser sessions; the cookie holds the token, this table its SHA-256.';

create table access_tokens (
  id uuid primary key default gen_random_uuid(),
  account_id uuid not null references accounts on delete cascade,
  name text not null,
  token_hash bytea not null unique,
  created_at timestamptz not null default now(),
  last_used_at timestamptz,
  expires_at timestamptz
);
create index access_tokens_account_id_idx on access_tokens (account_id);
comment on table access_tokens is 'Personal access tokens `sbp_` + 40 hex digits; only their SHA-256 is kept.';

create table service_tokens (
  id uuid primary key default gen_random_uuid(),
  audience text not null check (audience in ('gateway', 'service')),
  name text not null,
  token_hash bytea not null unique,
  created_at timestamptz not null default now()
);
comment on table service_tokens is 'Tokens by which gateways and data-plane processes read config snapshots of their audience.';

create table organizations (
  id uuid primary key default gen_random_uuid(),
  name text not null check (length(name) between 1 and 100),
  slug text not null unique check (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  created_at timestamptz not null default now()
);

create type membership_role as enum ('owner', 'admin', 'developer', 'viewer');
create table memberships (
  organization_id uuid not null references organizations on delete cascade,
  account_id uuid not null references accounts on delete cascade,
  role membership_role not null,
  created_at timestamptz not null default now(),
  primary key (organization_id, account_id)
);
create index memberships_account_id_idx on memberships (account_id);

create table clusters (
  id uuid primary key default gen_random_uuid(),
  name text not null unique,
  host text not null,
  port integer not null check (port between 1 and 65535),
  admin_user text not null,
  admin_password_ciphertext bytea,
  admin_password_key_id text,
  ssl boolean not null default false,
  capacity integer not null default 10000 check (capacity >= 0),
  state text not null default 'active' check (state in ('active', 'draining', 'offline')),
  template_version integer,
  created_at timestamptz not null default now()
);
comment on table clusters is 'PostgreSQL servers that hold shared projects: the shards.';
comment on column clusters.capacity is 'Most shared projects placed on this cluster.';
comment on column clusters.template_version is 'Version of sql/project that supalove_template_<version> holds.';

create sequence config_version;
comment on sequence config_version is 'One sequence for all projects: a cursor for projectConfigs(after) that replays what was missed.';

create table projects (
  ref text primary key check (ref ~ '^[a-z]{20}$'),
  organization_id uuid not null references organizations,
  name text not null check (length(name) between 1 and 100),
  plan text not null check (plan in ('shared', 'dedicated')),
  state text not null check (state in ('CREATING','ACTIVE','PAUSING','PAUSED','RESUMING','RESTARTING','DELETING','DELETED','FAILED')),
  state_reason text,
  cluster_id uuid references clusters,
  template_version integer,
  config_version bigint not null default nextval('config_version'),
  settings jsonb not null default '{}',
  created_by uuid references accounts on delete set null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz
);
create index projects_organization_id_idx on projects (organization_id, created_at desc);
create index projects_config_version_idx on projects (config_version);
comment on column projects.settings is 'Only what differs from the defaults: {rest, auth, storage, limits, gateway}; validated by control-plane/projects/settings.ts.';
comment on column projects.deleted_at is 'A deleted project keeps its row as a tombstone, so that gateways replay its end; all else of it is gone.';

create table project_data_keys (
  project_ref text primary key references projects on delete cascade,
  wrapped_key bytea not null,
  master_key_id text not null
);
comment on table project_data_keys is 'A data key per project (AES-256), wrapped by the master key of that id.';

create table project_secrets (
  project_ref text not null references projects on delete cascade,
  name text not null check (name ~ '^[A-Z][A-Z0-9_]{0,99}$'),
  ciphertext bytea not null,
  is_system boolean not null default false,
  updated_at timestamptz not null default now(),
  primary key (project_ref, name)
);
comment on table project_secrets is 'AES-256-GCM under the project''s data key; ref and name are authenticated with it.';
comment on column project_secrets.is_system is 'Made by provisioning (passwords, JWT secret …): cannot be set or deleted by hand.';

create table api_keys (
  id uuid primary key default gen_random_uuid(),
  project_ref text not null references projects on delete cascade,
  name text not null,
  kind text not null check (kind in ('legacy', 'publishable', 'secret')),
  role text not null check (role in ('anon', 'service_role')),
  key_hash bytea not null,
  key_ciphertext bytea not null,
  prefix text not null,
  created_at timestamptz not null default now(),
  revoked_at timestamptz,
  unique (project_ref, key_hash)
);
create index api_keys_project_ref_idx on api_keys (project_ref);
comment on column api_keys.prefix is 'The first characters, to tell keys apart without revealing them.';

create table operations (
  id uuid primary key default gen_random_uuid(),
  project_ref text not null references projects on delete cascade,
  kind text not null check (kind in ('create','pause','resume','restart','delete','migrate')),
  state text not null default 'running' check (state in ('running','succeeded','failed')),
  step text,
  completed_steps text[] not null default '{}',
  attempts integer not null default 0,
  error text,
  owner uuid,
  lease_expires_at timestamptz,
  created_at timestamptz not null default now(),
  finished_at timestamptz
);
create unique index operations_one_running on operations (project_ref) where state = 'running';
create index operations_project_ref_idx on operations (project_ref, created_at desc);
comment on column operations.owner is 'The control-plane instance that works on it; another takes over when the lease has run out.';

create table audit_log (
  id bigint generated always as identity primary key,
  at timestamptz not null default now(),
  account_id uuid references accounts on delete set null,
  actor text not null,
  organization_id uuid references organizations on delete cascade,
  project_ref text,
  action text not null,
  details jsonb not null default '{}',
  ip_address inet
);
create index audit_log_organization_id_idx on audit_log (organization_id, id desc);
create index audit_log_project_ref_idx on audit_log (project_ref, id desc);
comment on column audit_log.details is 'Never holds a secret value.';
