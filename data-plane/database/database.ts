/**
 * A project's database as the data plane sees it. Implementations: project-databases.ts (pools under one budget).
 * The hot path is {@link ProjectDatabase.pipeline}: one round trip, one implicit transaction.
 */
import type { DatabaseAddress, ProjectRef } from "../../control-plane/client/config-snapshot.ts";

/** A value as PostgreSQL's text format has it; Buffers go as binary format. */
export type ParameterValue = string | Buffer | null;

export interface Statement {
  readonly text: string;
  readonly values: readonly ParameterValue[];
  /**
   * Prepared and kept on the connection under a name derived from the text, so that its shape is parsed once.
   * False for a statement that will hardly come again.
   */
  readonly prepare: boolean;
  /**
   * For a statement under row-level security: the role it runs as. PostgreSQL plans such a statement anew whenever the
   * role is another than last time, so each role is given a prepared statement of its own (2.8 times the requests/s
   * when two roles take turns on a connection).
   */
  readonly planRole?: string;
}

export interface StatementResult {
  /** Column names, in order. */
  readonly columns: readonly string[];
  /** Rows of values in PostgreSQL's text format. */
  readonly rows: readonly (readonly (string | null)[])[];
  /** Command tag, such as `SELECT 1` or `UPDATE 3`. */
  readonly command: string;
  readonly rowCount: number;
  /**
   * One value as the bytes that came over the wire (UTF-8), neither decoded nor copied: for a body that is passed through.
   * @throws {RangeError} when there is no such row or column.
   */
  bytes(row: number, column: number): Buffer | null;
}

/** How a pipeline's transaction is opened and ended. Left out: implicit transaction, committed by its single Sync. */
export interface PipelineOptions {
  readonly isolation?: "read committed" | "repeatable read" | "serializable";
  /**
   * The statements themselves make their transaction read-only (`transaction_read_only = on` among their settings). If
   * the connection breaks while such a batch still waits behind another, it is sent again instead of failing.
   */
  readonly changesNothing?: boolean;
  /** Decides, once all results are in, whether to commit; needs an explicit transaction (one more round trip). */
  readonly commitIf?: (results: readonly StatementResult[]) => boolean;
  readonly signal?: AbortSignal;
}

/** A transaction on a connection of its own, for work that needs answers in between. */
export interface Transaction {
  /** Rows as objects with JavaScript values (pg's type parsers; bigint and numeric stay strings, dates are Date). Long results are
   * made in slices, so that others are served meanwhile.
   * @param maxValueCharacters A longer value is not parsed. @throws {DatabaseError} 54000 then.
   */
  query<Row extends object>(text: string, values?: readonly unknown[], maxValueCharacters?: number): Promise<Row[]>;
}

export interface ProjectDatabase {
  readonly projectRef: ProjectRef;
  /**
   * Sends all statements and one Sync; answers one result for each. Settings that earlier statements left on the
   * session are reset first, except the role: the batch sets the role it needs, locally.
   * A statement may run a second time only when the server kept nothing of the first (a plan gone stale).
   * @throws {DatabaseError} the server's error (SQLSTATE in `code`); nothing of the batch is kept.
   * @throws {PoolTimeout} no connection could be had in time. @throws {ConnectionLost} the server went away.
   */
  pipeline(statements: readonly Statement[], options?: PipelineOptions): Promise<readonly StatementResult[]>;
  /** Commits when `work` resolves, rolls back when it throws. `settings` are set locally before the work: role, claims … */
  withTransaction<T>(
    work: (transaction: Transaction) => Promise<T>,
    settings?: Readonly<Record<string, string>>,
  ): Promise<T>;
}

/** What a listener on a channel is told. */
export interface ChannelHandlers {
  onNotification(payload: string): void;
  /** A lost connection is back; what was notified meanwhile is not known. */
  onReconnect(): void;
  /** The project was released: the listener is closed for good. Whoever still needs one asks again. */
  onReleased?(): void;
}

/** All databases this process serves, under one budget of connections. */
export interface ProjectDatabases {
  /**
   * Opens nothing; connections come on demand. A changed address (new password, host) retires the old pool. What is
   * answered may be kept for as long as the address holds: it works through pauses, restarts and a changed password,
   * because each use takes the pool that is open then.
   */
  get(projectRef: ProjectRef, address: DatabaseAddress): ProjectDatabase;
  /**
   * Calls `onNotification` for each NOTIFY on the channel and `onReconnect` after a lost connection is back, on a
   * dedicated connection that reconnects with exponential backoff up to 32 s. Resolves when LISTEN is established.
   */
  listen(
    projectRef: ProjectRef,
    address: DatabaseAddress,
    channel: string,
    handlers: ChannelHandlers,
  ): Promise<{ close(): Promise<void> }>;
  /** Closes all connections of a project at once (paused, restarted, deleted); the next use opens new ones. */
  release(projectRef: ProjectRef): Promise<void>;
  close(): Promise<void>;
}

/** A PostgreSQL ErrorResponse; field names as in the protocol documentation. */
export class DatabaseError extends Error {
  readonly code: string;
  readonly severity: string;
  readonly detail: string | undefined;
  readonly hint: string | undefined;
  /** 1-based character offset into the statement's text. */
  readonly position: number | undefined;
  readonly schema: string | undefined;
  readonly table: string | undefined;
  readonly column: string | undefined;
  readonly constraint: string | undefined;
  /** The server's function that raised it; unlike the message it is never translated. */
  readonly routine: string | undefined;
  /** Index of the statement in its pipeline; the last one's for an error of the commit. */
  readonly statementIndex: number;

  constructor(fields: {
    message: string;
    code: string;
    severity: string;
    detail?: string | undefined;
    hint?: string | undefined;
    position?: number | undefined;
    schema?: string | undefined;
    table?: string | undefined;
    column?: string | undefined;
    constraint?: string | undefined;
    routine?: string | undefined;
    statementIndex?: number;
  }) {
    super(fields.message);
    this.code = fields.code;
    this.severity = fields.severity;
    this.detail = fields.detail;
    this.hint = fields.hint;
    this.position = fields.position;
    this.schema = fields.schema;
    this.table = fields.table;
    this.column = fields.column;
    this.constraint = fields.constraint;
    this.routine = fields.routine;
    this.statementIndex = fields.statementIndex ?? 0;
  }
}

/** No connection of the budget came free in time. */
export class PoolTimeout extends Error {}

/** The connection could not be made or broke; `cause` is the server's last word or the socket's error. */
export class ConnectionLost extends Error {
  /** False: nothing had been sent, so it may be run again. True: it may or may not have run. */
  readonly sent: boolean;

  constructor(message: string, options: ErrorOptions & { readonly sent: boolean }) {
    super(message, options);
    this.sent = options.sent;
  }
}
