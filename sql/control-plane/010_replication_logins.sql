-- The password of supabase_replication_admin on each cluster: what the realtime service reads database changes with.
alter table clusters
  add column replication_password_ciphertext bytea,
  add column replication_password_key_id text,
  add constraint clusters_replication_password_whole
    check ((replication_password_ciphertext is null) = (replication_password_key_id is null));
comment on column clusters.replication_password_ciphertext is 'Sealed like the admin password. Null until the control plane has set one on the server.';
