/** The template database that projects are copied from: all of sql/project, built once a cluster and version. */
import { randomBytes } from "node:crypto";
import pg from "pg";
import { type ClusterRoles, withClusterLock } from "./bootstrap.ts";
import { templateName } from "./names.ts";
import { projectSqlVersion, readSqlFiles, renderSql, type SqlFile } from "./sql-files.ts";

export interface Template {
  /** `supalove_template_<version>`. */
  readonly name: string;
  /** Content hash of sql/project: goes into clusters.template_version and projects.template_version. */
  readonly version: number;
  /** Of the cluster the template is in. */
  readonly postgresGroup: ClusterRoles["postgresGroup"];
}

/** Opens a superuser session in another database of the same cluster; who calls it ends the client. */
export type ConnectToDatabase = (database: string) => Promise<pg.Client>;

/** A build that was cut off leaves a database of such a name behind, never one of the template's name. */
const BUILD_PREFIX = "supalove_template_build_";

/**
 * The template of this version of sql/project; builds it when it is not there (about half a second). It is built under
 * another name and renamed when complete, so a template of the right name is always whole. Idempotent; builds of several
 * control planes wait for each other. What cut-off builds left is removed.
 * @param client superuser connection to database `postgres`, not inside a transaction.
 */
export async function ensureTemplate(
  client: pg.ClientBase,
  connect: ConnectToDatabase,
  roles: ClusterRoles,
): Promise<Template> {
  const files = readSqlFiles("project");
  const version = projectSqlVersion(files);
  const name = templateName(version);
  const template = { name, version, postgresGroup: roles.postgresGroup };
  if (await databaseExists(client, name)) return template;
  await withClusterLock(client, async () => {
    if (await databaseExists(client, name)) return;
    await dropBuilds(client);
    const building = BUILD_PREFIX + randomBytes(4).toString("hex");
    await createBuildDatabase(client, building);
    const session = await connect(building);
    try {
      await applyProjectSql(session, roles, files);
    } finally {
      await session.end();
    }
    await client.query(`/* ensureTemplate */ alter database ${building} with allow_connections false`);
    await untilDisconnected(client, building);
    await client.query(`/* ensureTemplate */ alter database ${building} rename to ${name}`);
  });
  return template;
}

/**
 * Drops templates of other versions. Called once no running control plane still uses them: one whose template is gone
 * gets SQLSTATE 3D000 from {@link import("./project-database.ts").ensureProjectDatabase} and calls ensureTemplate again.
 */
export async function dropUnusedTemplates(client: pg.ClientBase, keep: Template): Promise<string[]> {
  const { rows } = await client.query<{ datname: string }>(
    "/* dropUnusedTemplates */ select datname from pg_database where datname ~ '^supalove_template_\\d+$' and datname <> $1",
    [keep.name],
  );
  for (const { datname } of rows) {
    await client.query(
      `/* dropUnusedTemplates */ drop database if exists ${pg.escapeIdentifier(datname)} with (force)`,
    );
  }
  return rows.map(({ datname }) => datname);
}

/** Runs sql/project in the session's database, all or nothing. For a new template and for existing projects alike. */
export async function applyProjectSql(
  session: pg.ClientBase,
  roles: ClusterRoles,
  files: readonly SqlFile[] = readSqlFiles("project"),
): Promise<void> {
  await session.query("begin");
  try {
    await session.query("/* applyProjectSql */ set local search_path = pg_catalog, pg_temp");
    for (const file of files) {
      await session.query(renderSql(file.text, { postgres_group: roles.postgresGroup }));
    }
    await session.query("commit");
  } catch (error) {
    await session.query("rollback").catch(() => {});
    throw error;
  }
}

export async function databaseExists(client: pg.ClientBase, name: string): Promise<boolean> {
  const { rowCount } = await client.query("/* databaseExists */ select from pg_database where datname = $1", [name]);
  return rowCount === 1;
}

async function createBuildDatabase(client: pg.ClientBase, name: string): Promise<void> {
  const { rows } = await client.query<{ encoding: string }>(
    "/* createBuildDatabase */ select pg_encoding_to_char(encoding) as encoding from pg_database where datname = 'template0'",
  );
  // JSON over HTTP is UTF-8; a cluster of another encoding has a locale that does not fit, C fits always.
  const encoding = rows[0]?.encoding === "UTF8" ? "" : "encoding 'UTF8' lc_collate 'C' lc_ctype 'C'";
  // From template0, as template1 may hold what somebody put there for his own databases.
  await client.query(`/* createBuildDatabase */ create database ${name} template template0 ${encoding}`);
  await client.query(`/* createBuildDatabase */ revoke all on database ${name} from public`);
}

async function dropBuilds(client: pg.ClientBase): Promise<void> {
  const { rows } = await client.query<{ datname: string }>(
    "/* dropBuilds */ select datname from pg_database where starts_with(datname, $1)",
    [BUILD_PREFIX],
  );
  for (const { datname } of rows) {
    await client.query(`/* dropBuilds */ drop database ${pg.escapeIdentifier(datname)} with (force)`);
  }
}

/** A closed connection's backend needs a moment to leave; a database with one in it can be neither renamed nor copied. */
async function untilDisconnected(client: pg.ClientBase, database: string): Promise<void> {
  for (;;) {
    const { rowCount } = await client.query(
      "/* untilDisconnected */ select pg_terminate_backend(pid) from pg_stat_activity where datname = $1",
      [database],
    );
    if (rowCount === 0) return;
    await new Promise((resume) => setTimeout(resume, 5));
  }
}
