/** One group of statements under way: what to send, what has come back, and whom to tell. */
import type { DatabaseError, PipelineOptions, Statement } from "./database.ts";
import type { PreparedStatement } from "./prepared-statements.ts";
import { WireResult } from "./result.ts";

function setting(name: string, value: string): Statement {
  return { text: `/* pipeline */ set ${name} = '${value}'`, values: [], prepare: true };
}

// Not SET TRANSACTION, which warns outside a BEGIN; a plain SET of these two lasts until the transaction ends as well.
const READ_ONLY = setting("transaction_read_only", "on");
const ISOLATION = {
  "read committed": setting("transaction_isolation", "read committed"),
  "repeatable read": setting("transaction_isolation", "repeatable read"),
  serializable: setting("transaction_isolation", "serializable"),
};
const NO_OPTIONS: PipelineOptions = {};
const NO_PREFIX: readonly Statement[] = [];

/** From this size of parameters on a batch gets a connection of its own, so that small ones need not wait behind it. */
const HEAVY_BYTES = 256 * 1024;

export class Batch {
  /** The caller's statements, behind those that set isolation and access mode. */
  readonly statements: readonly Statement[];
  readonly prefixLength: number;
  readonly options: PipelineOptions;
  readonly promise: Promise<readonly WireResult[]>;
  /** When it was handed in, by the clock of the process's databases. */
  readonly startedAt: number;
  /** How the transaction it belongs to ends: `leased` batches are parts of a longer one. */
  readonly isLeased: boolean;

  /** For each statement its prepared form on the connection, or null when it went unnamed. */
  plans: (PreparedStatement | null)[] = [];
  results: WireResult[] = [];
  current = new WireResult();
  error: Error | null = null;
  receivedBytes = 0;
  /** With `commitIf`: `deciding` until its Sync is sent. */
  phase: "running" | "deciding" = "running";
  /** Was run again once already, after an error that kept nothing. */
  isRetry = false;
  isSettled = false;
  isCancelled = false;

  private resolve!: (results: readonly WireResult[]) => void;
  private reject!: (reason: unknown) => void;

  constructor(statements: readonly Statement[], startedAt: number, options = NO_OPTIONS, isLeased = false) {
    const prefix = prefixFor(options);
    this.prefixLength = prefix.length;
    this.statements = prefix.length === 0 ? statements : [...prefix, ...statements];
    this.options = options;
    this.startedAt = startedAt;
    this.isLeased = isLeased;
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  /** Index of the caller's statement that is running; that of the last one while the commit runs. */
  get statementIndex(): number {
    const index = Math.min(this.results.length, this.statements.length - 1) - this.prefixLength;
    return Math.max(0, index);
  }

  get isHeavy(): boolean {
    let bytes = 0;
    for (const { values } of this.statements) for (const value of values) bytes += value?.length ?? 0;
    return bytes >= HEAVY_BYTES;
  }

  /** Results of the caller's statements. */
  get answer(): readonly WireResult[] {
    return this.prefixLength === 0 ? this.results : this.results.slice(this.prefixLength);
  }

  /** Forgets a run that kept nothing, so that the batch can be sent again. */
  reset(): void {
    this.plans = [];
    this.results = [];
    this.current = new WireResult();
    this.error = null;
    this.receivedBytes = 0;
    this.phase = "running";
    this.isRetry = true;
  }

  succeed(): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.resolve(this.answer);
  }

  fail(reason: unknown): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.reject(reason);
  }
}

/** True for an error after which the same statements may be sent again: the server kept nothing of the batch. */
export function isStalePlan(error: DatabaseError): boolean {
  return (
    error.code === "26000" || // somebody ran DEALLOCATE on our connection
    error.code === "42P05" || // or PREPARE under one of our names
    // "cached plan must not change result type"; the text is translated, the routine's name is not
    (error.code === "0A000" && error.routine === "RevalidateCachedQuery")
  );
}

function prefixFor({ isolation, readOnly }: PipelineOptions): readonly Statement[] {
  if (!isolation) return readOnly ? [READ_ONLY] : NO_PREFIX;
  return readOnly ? [ISOLATION[isolation], READ_ONLY] : [ISOLATION[isolation]];
}
