/** Configuration that the database itself holds. */
import type { ProjectDatabase } from "../database/database.ts";
import type { RestConfig } from "./config.ts";
import { DATABASE_SETTINGS, fieldsFromDatabase } from "./environment.ts";
import { quoteIdentifier } from "./query/sql.ts";

/**
 * `pgrst.…` settings of the login, in this database and in all, and what the pre-config function sets.
 * @param preConfig Name of the function, with or without its schema.
 * @throws {InvalidEnvironment} @throws {DatabaseError} @throws {ConnectionLost}
 */
export async function readStandaloneConfig(
  database: ProjectDatabase,
  preConfig: string | null,
): Promise<Partial<RestConfig>> {
  const settings = await database.withTransaction(async (transaction) => {
    const rows = await transaction.query<{ setting: string }>(
      `/* readLoginSettings */ select unnest(setting.setconfig) as setting
       from pg_catalog.pg_db_role_setting setting
       where setting.setrole = (select oid from pg_catalog.pg_roles where rolname = current_user)
         and setting.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = current_database()))
       order by setting.setdatabase`,
    );
    const found = rows.map(({ setting }) => splitSetting(setting));
    if (preConfig === null) return found;
    // The connection still has the login's settings of when it was made; only what the function sets is asked for.
    await transaction.query("/* clearSettings */ select set_config(name, '', true) from unnest($1::text[]) as name", [
      DATABASE_SETTINGS,
    ]);
    await transaction.query(`/* callPreConfig */ select ${preConfig.split(".").map(quoteIdentifier).join(".")}()`);
    // Such settings are listed nowhere, so they are asked for one by one.
    const set = await transaction.query<{ name: string; value: string | null }>(
      `/* readPreConfig */ select name, nullif(current_setting(name, true), '') as value from unnest($1::text[]) as name`,
      [DATABASE_SETTINGS],
    );
    return [...found, ...set.flatMap(({ name, value }) => (value === null ? [] : [[name, value] as const]))];
  });
  return fieldsFromDatabase(new Map(settings));
}

/** What a project may decide for itself in SQL. Not who is anonymous, nor by which keys tokens are checked. */
const PROJECT_SETTINGS: ReadonlySet<string> = new Set([
  "pgrst.client_error_verbosity",
  "pgrst.db_aggregates_enabled",
  "pgrst.db_extra_search_path",
  "pgrst.db_hoisted_tx_settings",
  "pgrst.db_max_rows",
  "pgrst.db_plan_enabled",
  "pgrst.db_pre_request",
  "pgrst.db_root_spec",
  "pgrst.db_schemas",
  "pgrst.db_tx_end",
  "pgrst.jwt_aud",
  "pgrst.jwt_role_claim_key",
  "pgrst.openapi_mode",
  "pgrst.openapi_security_active",
  "pgrst.server_timing_enabled",
  "pgrst.url_use_legacy_target_names",
]);

/** Settings a project made for its authenticator in its database (`alter role … in database … set pgrst.…`). */
export async function readProjectConfig(database: ProjectDatabase): Promise<Partial<RestConfig>> {
  const settings = await database.withTransaction(async (transaction) => {
    const [view] = await transaction.query<{ exists: boolean }>(
      "/* findRoleSettingsView */ select to_regclass('supalove.role_settings') is not null as exists",
    );
    if (!view?.exists) return [];
    const rows = await transaction.query<{ name: string; value: string }>(
      "/* readProjectSettings */ select name, value from supalove.role_settings where role_name = session_user",
    );
    return rows.filter(({ name }) => PROJECT_SETTINGS.has(name)).map(({ name, value }) => [name, value] as const);
  });
  return fieldsFromDatabase(new Map(settings));
}

function splitSetting(setting: string): readonly [name: string, value: string] {
  const equals = setting.indexOf("=");
  return [setting.slice(0, equals), setting.slice(equals + 1)];
}
