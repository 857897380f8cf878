/**
 * Runs a person's SQL in a project's database: with the login of the project's own user, never a superuser's, on a
 * connection that serves this one script and is closed behind it.
 *
 * What a script can do is what that login can do. The API roles are a lens for trying out policies, not a cage: a
 * script may `reset role` back to the project's user, whose rights everybody with `sql.run` has anyway. Read-only is a
 * promise, though, and is kept whatever the script says (see runReadOnly).
 */
import type { Duplex } from "node:stream";
import pg from "pg";
import type { ClusterAddress } from "../clusters/cluster-connections.ts";
import { projectDatabaseName, projectUserName } from "../clusters/names.ts";
import { limitReceivedBytes } from "../clusters/received-bytes.ts";
import { Conflict } from "../errors.ts";
import { createClient } from "../postgres-client.ts";
import { ResultBudget, ResultTooLarge, ScriptQuery, type StatementResult } from "./script-query.ts";
import { firstWord, splitStatements } from "./split-statements.ts";
import { SqlError, stoppedBy } from "./sql-error.ts";

export const SQL_ROLES = ["user", "anon", "authenticated", "service_role"] as const;
export type SqlRole = (typeof SQL_ROLES)[number];

export interface SqlRun {
  readonly script: string;
  readonly role: SqlRole;
  /** What `auth.jwt()` answers under an API role; `role` is filled in. */
  readonly claims: Readonly<Record<string, unknown>>;
  readonly readOnly: boolean;
  /** Everything is rolled back in the end. */
  readonly isDryRun: boolean;
  readonly maxRows: number;
  readonly maxBytes: number;
  readonly timeoutMs: number;
  /** Names the run for {@link cancelSql}: a UUID. */
  readonly executionId: string;
}

export interface SqlOutcome {
  readonly results: readonly StatementResult[];
  /** Names by type OID, for the columns of the results. */
  readonly typeNames: ReadonlyMap<number, string>;
  readonly notices: readonly string[];
  readonly durationMs: number;
}

export interface SqlTarget {
  readonly address: Pick<ClusterAddress, "host" | "port" | "ssl">;
  readonly ref: string;
  /** Of the project's user. */
  readonly password: string;
  /** Makes the stored password the login's again when the server refuses it: any script can change it. Then there is one more try. */
  readonly restorePassword: () => Promise<void>;
  /**
   * Called when the session is open, before anything runs; throws when the caller may not run it any more. Whoever loses
   * the right has the sessions ended that are open then, so no run slips through between asking and connecting.
   */
  readonly confirm: () => Promise<unknown>;
}

/** Ends one backend of a project, by a connection that may. */
export type SignalBackend = (pid: number, signal: "cancel" | "terminate") => Promise<void>;

const CONNECT_TIMEOUT_MS = 10_000;
const WRONG_PASSWORD = "28P01";
/** After a cancel was asked for; then the connection is ended. */
const CANCEL_GRACE_MS = 2_000;
const MAX_DISCARDED_BYTES = 32 * 1024 * 1024;
const FAR_TOO_LARGE = "the result is far larger than the limits of the runner";
/** Of all else a run receives: notices, row headers, descriptions. */
const PROTOCOL_BYTES = 16 * 1024 * 1024;
const MAX_NOTICES = 100;
const MAX_NOTICE_CHARACTERS = 10_000;

/** How a run is found in pg_stat_activity; a script may change it, and is then ended by its deadline at the latest. */
export function applicationName(executionId: string): string {
  return `supalove sql ${executionId}`;
}

/**
 * @param signal aborted when the caller goes away: the script is cancelled.
 * @throws {SqlError} what PostgreSQL or a limit said; nothing of the script is kept, unless it committed by itself.
 * @throws {Conflict} when the database cannot be reached now.
 */
export async function runSql(
  target: SqlTarget,
  run: SqlRun,
  signalBackend: SignalBackend,
  signal: AbortSignal,
): Promise<SqlOutcome> {
  const startedAt = performance.now();
  const client = await connect(target, run);
  const notices: string[] = [];
  client.on("notice", ({ severity, message }) => {
    if (notices.length < MAX_NOTICES)
      notices.push(`${severity ?? "NOTICE"}: ${(message ?? "").slice(0, MAX_NOTICE_CHARACTERS)}`);
  });
  const stop = createStop(client, signalBackend);
  const deadline = setTimeout(() => stop("the statement ran longer than its time limit"), run.timeoutMs);
  const onAbort = () => stop("the run was cancelled");
  signal.addEventListener("abort", onAbort);
  try {
    const budget = new ResultBudget(run.maxRows, run.maxBytes, MAX_DISCARDED_BYTES);
    const onOverflow = () => stop(FAR_TOO_LARGE);
    limitReceivedBytes(client, run.maxBytes + MAX_DISCARDED_BYTES + PROTOCOL_BYTES, onOverflow);
    await target.confirm();
    if (signal.aborted) throw stoppedBy(run.script, "the run was cancelled");
    const results = await runAs(run)(client, run.script, budget, onOverflow).catch((error) => {
      const reason = stop.reason;
      if (reason) throw stoppedBy(run.script, reason);
      throw error;
    });
    return {
      results,
      typeNames: await findTypeNames(client, results),
      notices,
      durationMs: performance.now() - startedAt,
    };
  } finally {
    signal.removeEventListener("abort", onAbort);
    await client.end().catch(() => undefined);
    clearTimeout(deadline); // only now: the end waits for the server as well
    stop.finish();
  }
}

/** @throws {Conflict} when the database cannot be reached now. */
async function connect(target: SqlTarget, run: SqlRun): Promise<pg.Client> {
  try {
    return await openSession(target, run).catch(async (cause: unknown) => {
      if (!(cause instanceof pg.DatabaseError) || cause.code !== WRONG_PASSWORD) throw cause;
      await target.restorePassword();
      return openSession(target, run);
    });
  } catch (cause) {
    throw new Conflict(`the project's database cannot be reached: ${connectFailure(cause)}`);
  }
}

async function openSession(target: SqlTarget, run: SqlRun): Promise<pg.Client> {
  const client = createClient(sessionConfig(target, run));
  await client.connect();
  return client;
}

function runAs({ readOnly, isDryRun }: SqlRun) {
  if (readOnly) return runReadOnly;
  return isDryRun ? runDry : runScript;
}

/** The whole script in one message: one implicit transaction, unless it has transaction commands of its own. */
async function runScript(client: pg.Client, script: string, budget: ResultBudget, onOverflow: () => void) {
  const query = client.query(new ScriptQuery(script, "simple", budget, onOverflow));
  return query.done.catch((error: Error) => {
    throw asSqlError(script, error, 0);
  });
}

/**
 * A read-only transaction that cannot be left from within: it has taken a snapshot, so it cannot be made writable any
 * more; each statement goes alone by the extended protocol, so `commit; drop …` is refused as two; and a statement that
 * ends the transaction, whether or not it begins another one (`and chain`), ends the script.
 */
async function runReadOnly(client: pg.Client, script: string, budget: ResultBudget, onOverflow: () => void) {
  await client.query("/* beginReadOnly */ begin transaction read only; select 1");
  const results: StatementResult[] = [];
  for (const { text, offset } of splitStatements(script)) {
    const query = client.query(new ScriptQuery(text, "extended", budget, onOverflow));
    const statementResults = await query.done.catch((error: Error) => {
      throw asSqlError(script, error, offset);
    });
    if (statementResults.some(({ command }) => ENDS_TRANSACTION.has(command)) || transactionStatus(client) !== "T") {
      const error = { message: "a read-only script cannot begin or end transactions", code: "25006", position: "1" };
      throw new SqlError(script, error, offset);
    }
    results.push(...statementResults);
  }
  return results;
}

/**
 * A transaction that nothing of the script can commit: each statement goes alone by the extended protocol, and those that
 * end transactions are refused by their first word before they are sent. Procedures and DO blocks cannot commit within
 * a transaction that was begun outside of them; the server refuses that itself.
 */
async function runDry(client: pg.Client, script: string, budget: ResultBudget, onOverflow: () => void) {
  await client.query("/* beginDryRun */ begin");
  const results: StatementResult[] = [];
  for (const { text, offset } of splitStatements(script)) {
    if (ENDING_WORDS.has(firstWord(text))) {
      const error = { message: "a dry run cannot begin or end transactions", code: "25000", position: "1" };
      throw new SqlError(script, error, offset);
    }
    const query = client.query(new ScriptQuery(text, "extended", budget, onOverflow));
    results.push(
      ...(await query.done.catch((error: Error) => {
        throw asSqlError(script, error, offset);
      })),
    );
  }
  await client.query("/* endDryRun */ rollback");
  return results;
}

/** `prepare` because of `prepare transaction`. */
const ENDING_WORDS: ReadonlySet<string> = new Set(["commit", "end", "rollback", "abort", "prepare", "begin", "start"]);

/** Command tags; `ROLLBACK` is also that of `rollback to savepoint`, which nobody needs where nothing is written. */
const ENDS_TRANSACTION: ReadonlySet<string> = new Set(["COMMIT", "ROLLBACK", "PREPARE TRANSACTION"]);

function asSqlError(script: string, error: Error, offset: number): Error {
  if (error instanceof ResultTooLarge) return stoppedBy(script, FAR_TOO_LARGE);
  return error instanceof pg.DatabaseError
    ? new SqlError(script, error, offset)
    : new Conflict(`the connection broke: ${error.message}`);
}

/** `T` within a transaction; `@types/pg` does not know the method. */
function transactionStatus(client: pg.Client): string | null {
  return (client as unknown as { getTransactionStatus(): string | null }).getTransactionStatus();
}

function sessionConfig(target: SqlTarget, run: SqlRun): pg.ClientConfig {
  const settings: Record<string, string> = {
    statement_timeout: String(run.timeoutMs),
    idle_in_transaction_session_timeout: "10000",
    client_min_messages: "notice",
  };
  if (run.role !== "user") {
    const claims = JSON.stringify({ ...run.claims, role: run.role });
    Object.assign(settings, { role: run.role, "request.jwt.claims": claims });
  }
  return {
    host: target.address.host,
    port: target.address.port,
    ssl: target.address.ssl,
    user: projectUserName(target.ref),
    password: target.password,
    database: projectDatabaseName(target.ref),
    application_name: applicationName(run.executionId),
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    options: Object.entries(settings)
      .map(([name, value]) => `-c ${name}=${value.replace(/[\\\s]/g, "\\$&")}`)
      .join(" "),
  };
}

/** The server's refusal is for the person (too many connections); a network error says only its code. */
function connectFailure(cause: unknown): string {
  if (cause instanceof pg.DatabaseError) return cause.message;
  return (cause as NodeJS.ErrnoException).code ?? "no answer";
}

interface Stop {
  (reason: string): void;
  /** Why the run was stopped; null when it was not. */
  readonly reason: string | null;
  /** The run is over: nothing is to be stopped any more. */
  finish(): void;
}

/**
 * First asks the server to cancel, then ends the backend: a script may have switched its own time limit off. And cuts
 * the connection, for a server that has fallen silent hears neither.
 */
function createStop(client: pg.Client, signalBackend: SignalBackend): Stop {
  // `@types/pg` shows neither.
  const { processID: pid, connection } = client as unknown as { processID: number; connection: { stream: Duplex } };
  let reason: string | null = null;
  let terminate: NodeJS.Timeout | undefined;
  const stop = (why: string) => {
    if (reason !== null) return;
    reason = why;
    signalBackend(pid, "cancel").catch(() => undefined);
    terminate = setTimeout(() => {
      signalBackend(pid, "terminate").catch(() => undefined);
      connection.stream.destroy();
    }, CANCEL_GRACE_MS);
  };
  return Object.defineProperties(stop, {
    reason: { get: () => reason },
    finish: { value: () => clearTimeout(terminate) },
  }) as unknown as Stop;
}

/** The names psql shows, asked on the same connection. */
async function findTypeNames(client: pg.Client, results: readonly StatementResult[]): Promise<Map<number, string>> {
  const oids = new Set(results.flatMap(({ columns }) => columns).map(({ typeOid }) => typeOid));
  if (oids.size === 0) return new Map();
  try {
    const { rows } = await client.query<{ oid: string; name: string }>(
      `/* findTypeNames */ select oid::pg_catalog.text, pg_catalog.format_type(oid, null) as name
       from pg_catalog.pg_type where oid operator(pg_catalog.=) any ($1::pg_catalog.oid[])`,
      [[...oids]],
    );
    return new Map(rows.map(({ oid, name }) => [Number(oid), name]));
  } catch {
    return new Map(); // the script may have left the session in a state where nothing works; the rows are there
  }
}
