/**
 * A short session in a project's database for catalog and rows, with the tenant's own logins, never a superuser's: views,
 * defaults and triggers in there are the tenant's code. The owner is the project's user; every other identity comes in
 * as the API does, by the authenticator's login with a role and claims.
 */
import pg from "pg";
import { projectAuthenticatorName, projectDatabaseName, projectUserName } from "../clusters/names.ts";
import { setUserPassword } from "../clusters/project-roles.ts";
import { limitReceivedBytes } from "../clusters/received-bytes.ts";
import type { GraphqlContext } from "../context.ts";
import { Conflict, UserError } from "../errors.ts";
import { requireAccount, requireProject } from "../permissions.ts";
import { createClient } from "../postgres-client.ts";
import type { ProjectRow } from "../projects/project-row.ts";
import { findAuthenticatorLogin, runningOn } from "../projects/running-project.ts";
import type { Identity } from "./act-as.ts";

export interface DataSessionOptions {
  readonly identity: Identity;
  readonly isReadOnly: boolean;
  /** `pg_catalog` for questions about the catalog; rows need the names that the tenant's triggers and defaults use. */
  readonly searchPath: "pg_catalog" | "public, extensions";
  readonly timeoutMs?: number;
  readonly maxReceivedBytes?: number;
}

/** All values as PostgreSQL writes them: no digit is lost on the way. */
const AS_TEXT = { getTypeParser: () => (value: unknown) => value } as unknown as pg.CustomTypesConfig;

const TIMEOUT_MS = 8_000;
const CONNECT_TIMEOUT_MS = 10_000;
const MAX_RECEIVED_BYTES = 8 * 1024 * 1024;
const WRONG_PASSWORD = "28P01";

export interface DataSession {
  /** Values are text or null; rows are arrays in the order of the columns. */
  rows(sql: string, values?: readonly (string | null)[]): Promise<(string | null)[][]>;
  /** How many rows it changed. */
  change(sql: string, values: readonly (string | null)[]): Promise<number>;
}

/**
 * One transaction: committed when `work` is done, rolled back when it throws.
 * @throws {Conflict} the project does not run, or its database cannot be reached.
 * @throws {UserError} SQL_ERROR: what PostgreSQL or the tenant's own code said.
 */
export async function withDataSession<T>(
  context: GraphqlContext,
  ref: string,
  options: DataSessionOptions,
  work: (session: DataSession) => Promise<T>,
): Promise<T> {
  const project = await requireProject(context, ref, "sql.run");
  const { accountId } = requireAccount(context);
  const { signal } = context.request;
  const giveBack = await context.dataSessions.take({ organizationId: project.organizationId, accountId }, signal);
  try {
    return await run(await connect(context, project, options), options, work);
  } catch (error) {
    throw asUserError(error);
  } finally {
    giveBack();
  }
}

async function run<T>(
  client: pg.Client,
  options: DataSessionOptions,
  work: (session: DataSession) => Promise<T>,
): Promise<T> {
  const { isReadOnly, timeoutMs = TIMEOUT_MS, maxReceivedBytes = MAX_RECEIVED_BYTES } = options;
  let isTooLarge = false;
  limitReceivedBytes(client, maxReceivedBytes, () => {
    isTooLarge = true;
  });
  // A tenant's code can switch the server's time limit off: nobody waits for it longer than this.
  const deadline = setTimeout(() => cut(client), timeoutMs + 2_000);
  const query = (text: string, values: readonly (string | null)[] = []) =>
    client.query<(string | null)[]>({ text, values: [...values], rowMode: "array", types: AS_TEXT });
  try {
    await client.query(isReadOnly ? "begin transaction read only" : "begin");
    const result = await work({
      rows: async (sql, values) => (await query(sql, values)).rows,
      change: async (sql, values) => (await query(sql, values)).rowCount ?? 0,
    });
    await client.query("commit");
    return result;
  } catch (error) {
    if (isTooLarge) throw new UserError("SQL_ERROR", `the answer is larger than ${maxReceivedBytes} bytes`, {});
    throw error;
  } finally {
    clearTimeout(deadline);
    await client.end().catch(() => undefined);
  }
}

function cut(client: pg.Client): void {
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
}

async function connect(context: GraphqlContext, project: ProjectRow, options: DataSessionOptions): Promise<pg.Client> {
  const { identity, timeoutMs = TIMEOUT_MS } = options;
  const login = identity.role === "user" ? await ownerLogin(context, project) : await apiLogin(context, project);
  const settings: Record<string, string> = {
    statement_timeout: String(timeoutMs),
    lock_timeout: "4000",
    idle_in_transaction_session_timeout: "15000",
    standard_conforming_strings: "on",
    row_security: "on",
    datestyle: "ISO",
    timezone: "UTC",
    intervalstyle: "postgres",
    bytea_output: "hex",
    extra_float_digits: "1",
    client_min_messages: "warning",
    search_path: options.searchPath,
  };
  if (identity.role !== "user") {
    settings.role = identity.role;
    settings["request.jwt.claims"] = JSON.stringify({ ...identity.claims, role: identity.role });
  }
  const open = async () => {
    const client = createClient({
      ...login.config,
      database: projectDatabaseName(project.ref),
      application_name: "supalove dashboard",
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      options: Object.entries(settings)
        .map(([name, value]) => `-c ${name}=${value.replace(/[\\\s]/g, "\\$&")}`)
        .join(" "),
    });
    await client.connect();
    return client;
  };
  return open().catch(async (error: unknown) => {
    if (!(error instanceof pg.DatabaseError) || error.code !== WRONG_PASSWORD) throw error;
    await login.restorePassword();
    return open();
  });
}

interface Login {
  readonly config: pg.ClientConfig;
  readonly restorePassword: () => Promise<void>;
}

async function ownerLogin(context: GraphqlContext, project: ProjectRow): Promise<Login> {
  const clusterId = runningOn(project);
  const { ref } = project;
  const [password, { host, port, ssl }] = await Promise.all([
    context.vault.get(context.database, ref, "POSTGRES_PASSWORD"),
    context.clusters.address(clusterId),
  ]);
  if (password === null) throw new Conflict("the project has no database yet");
  return {
    config: { host, port, ssl, user: projectUserName(ref), password },
    restorePassword: () => context.clusters.withAdmin(clusterId, (admin) => setUserPassword(admin, ref, password)),
  };
}

async function apiLogin(context: GraphqlContext, project: ProjectRow): Promise<Login> {
  const { address, password, restorePassword } = await findAuthenticatorLogin(context, project);
  const { host, port, ssl } = address;
  return {
    config: { host, port, ssl, user: projectAuthenticatorName(project.ref), password },
    restorePassword: restorePassword ?? (async () => undefined),
  };
}

function asUserError(error: unknown): unknown {
  if (error instanceof UserError) return error;
  if (error instanceof pg.DatabaseError) {
    return new UserError("SQL_ERROR", error.message, {
      sqlState: error.code ?? null,
      detail: error.detail ?? null,
      hint: error.hint ?? null,
    });
  }
  return new Conflict("the project's database does not answer", {
    cause: (error as NodeJS.ErrnoException).code ?? null,
  });
}
