/** Brings the database of an existing project to this version of sql/project. */
import type pg from "pg";
import type { ClusterRoles } from "./bootstrap.ts";
import { projectSqlVersion, readSqlFiles } from "./sql-files.ts";
import { applyProjectSql } from "./template.ts";

/**
 * Runs all of sql/project again, in one transaction: its files are re-runnable, so one path serves every older version.
 * They are written to be safe for a superuser in a database whose tenant is hostile (sql/README.md says how).
 * @param session superuser session in the project's database, made by ClusterConnections.projectAdmin.
 * @param fromVersion projects.template_version; equal to the current one there is nothing to do.
 * @returns the version the database has now, for projects.template_version.
 */
export async function migrateProjectDatabase(
  session: pg.ClientBase,
  fromVersion: number | null,
  roles: ClusterRoles,
): Promise<number> {
  const files = readSqlFiles("project");
  const version = projectSqlVersion(files);
  if (fromVersion !== version) await applyProjectSql(session, roles, files);
  return version;
}
