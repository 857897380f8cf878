-- Access keys of the S3 endpoint. The secret is sealed and not hashed: a signature is checked by making it again.

set local search_path = supalove;

create table s3_access_keys (
  access_key_id text primary key check (access_key_id ~ '^[0-9a-f]{32}$'),
  project_ref text not null references projects on delete cascade,
  description text not null,
  secret_ciphertext bytea not null,
  created_at timestamptz not null default now()
);
create index s3_access_keys_project_ref on s3_access_keys (project_ref);
comment on table s3_access_keys is 'Access keys of the S3 endpoint of projects; a revoked one is deleted.';
comment on column s3_access_keys.secret_ciphertext is 'Sealed under the project''s data key, bound to access_key_id.';
