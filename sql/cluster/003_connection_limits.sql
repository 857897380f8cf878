-- Versions before gave a project's database 60 connections, so that three projects together could take all of a cluster.
-- A limit that an operator has chosen for one of them stays.
do $limits$
declare
  database record;
begin
  for database in select datname from pg_database where datname ~ '^project_[a-z]{20}$' and datconnlimit = 60 loop
    execute format('alter database %I connection limit 30', database.datname);
  end loop;
end
$limits$;
