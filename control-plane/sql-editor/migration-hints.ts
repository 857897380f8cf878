/**
 * What a statement written for a project of its own meets in a shared cluster, and the way round: added to the server's
 * error where the server has no hint of its own. docs/migrating.md tells the same at length.
 */
interface MigrationHint {
  readonly sqlState: string;
  readonly message: RegExp;
  readonly hint: string;
}

const HINTS: readonly MigrationHint[] = [
  {
    sqlState: "42501",
    message: /^permission denied to alter role$/,
    hint: "Roles belong to the whole cluster. For the API use the project's REST settings (pgrst.…); settings of anon, authenticated and service_role are rows of supalove.api_role_settings.",
  },
  {
    sqlState: "42501",
    message: /^permission denied to (?:create|drop) role$/,
    hint: "Roles belong to the whole cluster, so a shared project has a fixed set of them. Use anon, authenticated, service_role, or a dedicated project.",
  },
  {
    sqlState: "42501",
    message: /^permission denied to create event trigger/,
    hint: "Event triggers need a superuser. A dedicated project allows them.",
  },
  {
    sqlState: "42501",
    message: /^permission denied for table pg_db_role_setting$/,
    hint: "It shows the settings of all databases of the cluster. supalove.role_settings shows this project's; pg_dump works with --format=plain.",
  },
  {
    sqlState: "42501",
    message: /^must be superuser to create FOR ALL TABLES publication$/,
    hint: "List the tables instead, or add them to the publication supabase_realtime.",
  },
  {
    sqlState: "42501",
    message: /^permission denied to create database$|^must be owner of database/,
    hint: "A shared project is one database, and settings of the database belong to the installation. Set them for your own role or session.",
  },
  {
    sqlState: "42501",
    message: /^permission denied to (?:use replication slots|create subscription)$/,
    hint: "Replication slots hold back the WAL of the whole cluster. Use realtime, or a dedicated project.",
  },
  {
    sqlState: "42501",
    message: /^permission denied to create extension/,
    hint: "Only extensions that PostgreSQL trusts can be installed in a shared project; one that reaches files or other servers needs a dedicated project.",
  },
  {
    sqlState: "0A000",
    message: /^extension "[^"]*" is not available$/,
    hint: "This installation's PostgreSQL has not got it. The operator can add vector with `npx supalove extension add vector`; others are listed in docs/migrating.md.",
  },
  {
    sqlState: "58P01",
    message: /extension control file/,
    hint: "This installation's PostgreSQL has not got it. The operator can add vector with `npx supalove extension add vector`; others are listed in docs/migrating.md.",
  },
  {
    sqlState: "42704",
    message: /^type "(?:[a-z_]+\.)?(?:vector|halfvec|sparsevec)" does not exist$/,
    hint: "Install the extension first: create extension vector with schema extensions. Where it is not available the operator adds it with `npx supalove extension add vector`.",
  },
];

/** Null where there is nothing to add. */
export function findMigrationHint(sqlState: string | undefined, message: string): string | null {
  return HINTS.find((entry) => entry.sqlState === sqlState && entry.message.test(message))?.hint ?? null;
}
