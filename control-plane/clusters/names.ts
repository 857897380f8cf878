/** How a project's things are called inside a cluster. Every name is derived from the ref, so a retry finds them again. */
import { parseProjectRef } from "../client/config-snapshot.ts";

/** Database of a shared project; also the secret POSTGRES_DB. */
export function projectDatabaseName(ref: string): string {
  return `project_${parseProjectRef(ref)}`;
}

/** Login that owns the database: the SQL editor and the people's own psql. Also the secret POSTGRES_USER. */
export function projectUserName(ref: string): string {
  return `project_${parseProjectRef(ref)}_user`;
}

/** Login of the multi-tenant services. Also the secret AUTHENTICATOR_USER. */
export function projectAuthenticatorName(ref: string): string {
  return `project_${parseProjectRef(ref)}_authenticator`;
}

/** Database that project databases are copied from. */
export function templateName(version: number): string {
  return `supalove_template_${version}`;
}

/** Login by which the realtime service reads logical replication; no tenant code ever runs as it. */
export const REPLICATION_ROLE = "supabase_replication_admin";

/** What a JWT may name. They are shared by all projects of a cluster, so nothing is ever granted to them outside a project. */
export const API_ROLES = ["anon", "authenticated", "service_role"] as const;

/** Owners of the schemas auth, storage and realtime; the services SET ROLE to them. Shared by name like the API roles. */
export const SERVICE_OWNER_ROLES = [
  "supabase_auth_admin",
  "supabase_storage_admin",
  "supabase_realtime_admin",
] as const;
