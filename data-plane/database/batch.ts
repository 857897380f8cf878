/** One group of statements under way: what to send, what has come back, and whom to tell. */
import type { DatabaseError, PipelineOptions, Statement } from "./database.ts";
import type { PreparedStatement } from "./prepared-statements.ts";
import { WireResult } from "./result.ts";

function utility(text: string): Statement {
  return { text: `/* pipeline */ ${text}`, values: [], prepare: true };
}

/**
 * Opens every batch: a function that ran before may have set something for the whole session (`set_config(…, false)`),
 * and that is not for the next request to find. It costs the server one or two microseconds. The role is not among what
 * it resets; a batch sets its own.
 */
export const RESET = utility("reset all");
// Not SET TRANSACTION, which warns outside a BEGIN; a plain SET of it lasts until the transaction ends as well.
const ISOLATION = {
  "read committed": utility("set transaction_isolation = 'read committed'"),
  "repeatable read": utility("set transaction_isolation = 'repeatable read'"),
  serializable: utility("set transaction_isolation = 'serializable'"),
};
const NO_OPTIONS: PipelineOptions = {};

/** From this size of parameters on a batch gets a connection of its own, so that small ones need not wait behind it. */
const HEAVY_BYTES = 256 * 1024;

export class Batch {
  /** The caller's statements, behind those of ours that prepare the session. */
  readonly statements: readonly Statement[];
  readonly #prefixLength: number;
  readonly options: PipelineOptions;
  readonly promise: Promise<readonly WireResult[]>;
  /** When it was handed in, by the clock of the process's databases. */
  readonly startedAt: number;
  /** Part of a longer transaction, on a connection lent for it. */
  readonly isLeased: boolean;

  /** For each statement its prepared form on the connection, or null when it went unnamed. */
  plans: (PreparedStatement | null)[] = [];
  results: WireResult[] = [];
  current = new WireResult();
  error: Error | null = null;
  receivedBytes = 0;
  /** What of the answer is counted as held by the project. */
  chargedBytes = 0;
  /** With `commitIf`: `deciding` until its Sync is sent. */
  phase: "running" | "deciding" = "running";
  /** Was run again once already, after an error that kept nothing. */
  isRetry = false;
  isSettled = false;
  /** When a CancelRequest was sent for it. */
  cancelledAt: number | null = null;

  #resolve!: (results: readonly WireResult[]) => void;
  #reject!: (reason: unknown) => void;

  constructor(statements: readonly Statement[], startedAt: number, options = NO_OPTIONS, isLeased = false) {
    const prefix = isLeased ? [] : prefixFor(options);
    this.#prefixLength = prefix.length;
    this.statements = [...prefix, ...statements];
    this.options = options;
    this.startedAt = startedAt;
    this.isLeased = isLeased;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Index of the caller's statement that is running; that of the last one while the commit runs. */
  get statementIndex(): number {
    const index = Math.min(this.results.length, this.statements.length - 1) - this.#prefixLength;
    return Math.max(0, index);
  }

  get isHeavy(): boolean {
    let bytes = 0;
    for (const { values } of this.statements) for (const value of values) bytes += value?.length ?? 0;
    return bytes >= HEAVY_BYTES;
  }

  /** Results of the caller's statements. */
  get answer(): readonly WireResult[] {
    return this.results.slice(this.#prefixLength);
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
    this.#resolve(this.answer);
  }

  fail(reason: unknown): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.#reject(reason);
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

function prefixFor({ isolation }: PipelineOptions): Statement[] {
  return isolation ? [RESET, ISOLATION[isolation]] : [RESET];
}
