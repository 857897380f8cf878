-- Placing a project counts the living projects of each cluster.

set local search_path = supalove;

create index projects_cluster_id_idx on projects (cluster_id) where deleted_at is null;
