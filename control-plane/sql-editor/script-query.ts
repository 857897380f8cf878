/**
 * One message to the server and everything that comes back, with bounds on what is kept: a statement may return a
 * billion rows, the runner holds the first few and lets the rest pass by.
 */
import type { Submittable } from "pg";
import { jsonOfText } from "./column-values.ts";

export interface ResultColumn {
  readonly name: string;
  readonly typeOid: number;
}

export interface StatementResult {
  readonly columns: readonly ResultColumn[];
  readonly rows: readonly (readonly unknown[])[];
  /** Rows affected or returned by the server, also those that were not kept; null for statements that count none. */
  readonly rowCount: number | null;
  /** Command tag: `SELECT 3`, `CREATE TABLE`. */
  readonly command: string;
  /** Some rows were left out because of a limit. */
  readonly isTruncated: boolean;
}

/** Shared by all statements of one script. */
export class ResultBudget {
  readonly maxRows: number;
  #bytesLeft: number;
  /** Bytes that came in beyond the limits. */
  #discardedBytes = 0;
  readonly #maxDiscardedBytes: number;

  /** @param maxRows of each statement. @param maxBytes of all values kept. @param maxDiscardedBytes then {@link take} says stop. */
  constructor(maxRows: number, maxBytes: number, maxDiscardedBytes: number) {
    this.maxRows = maxRows;
    this.#bytesLeft = maxBytes;
    this.#maxDiscardedBytes = maxDiscardedBytes;
  }

  /** Whether a row of this size may be kept; counts it either way. */
  take(bytes: number, rowsKept: number): "keep" | "drop" | "stop" {
    if (rowsKept < this.maxRows && bytes <= this.#bytesLeft) {
      this.#bytesLeft -= bytes;
      return "keep";
    }
    this.#bytesLeft = Math.min(this.#bytesLeft, 0); // later, smaller rows would leave holes
    this.#discardedBytes += bytes;
    return this.#discardedBytes > this.#maxDiscardedBytes ? "stop" : "drop";
  }
}

/** The messages of pg's connection that are used; `@types/pg` does not describe them. */
interface WireConnection {
  query(text: string): void;
  parse(message: { text: string }): void;
  bind(message: object): void;
  describe(message: { type: "P" }): void;
  execute(message: object): void;
  sync(): void;
  sendCopyFail(reason: string): void;
}
interface RowDescription {
  readonly fields: readonly { name: string; dataTypeID: number }[];
}
interface DataRow {
  readonly length: number;
  readonly fields: readonly (string | null)[];
}

/** @param protocol `simple` runs a whole script in one implicit transaction; `extended` refuses more than one statement. */
export class ScriptQuery implements Submittable {
  readonly done: Promise<StatementResult[]>;
  readonly #text: string;
  readonly #protocol: "simple" | "extended";
  readonly #budget: ResultBudget;
  readonly #onOverflow: () => void;
  readonly #results: StatementResult[] = [];
  #columns: ResultColumn[] = [];
  #rows: unknown[][] = [];
  #isTruncated = false;
  #overflow: ResultTooLarge | null = null;
  #resolve: (results: StatementResult[]) => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;

  /** @param onOverflow called once when far more comes in than is kept: the caller cancels the statement. */
  constructor(text: string, protocol: "simple" | "extended", budget: ResultBudget, onOverflow: () => void) {
    this.#text = text;
    this.#protocol = protocol;
    this.#budget = budget;
    this.#onOverflow = onOverflow;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.done.catch(() => undefined); // the caller may look later
  }

  submit(connection: unknown): void {
    const wire = connection as WireConnection;
    if (this.#protocol === "simple") {
      wire.query(this.#text);
      return;
    }
    wire.parse({ text: this.#text });
    wire.bind({});
    wire.describe({ type: "P" });
    wire.execute({});
    wire.sync();
  }

  handleRowDescription({ fields }: RowDescription): void {
    this.#columns = fields.map(({ name, dataTypeID }) => ({ name, typeOid: dataTypeID }));
    this.#rows = [];
    this.#isTruncated = false;
  }

  handleDataRow({ fields, length }: DataRow): void {
    const verdict = this.#budget.take(length, this.#rows.length);
    if (verdict === "keep") {
      this.#rows.push(fields.map((text, index) => (text === null ? null : this.#toJson(text, index))));
      return;
    }
    if (verdict === "stop" && !this.#overflow) {
      this.#overflow = new ResultTooLarge();
      this.#onOverflow();
    }
    this.#isTruncated = true;
  }

  handleCommandComplete({ text }: { text: string }): void {
    const count = /\d+$/.exec(text)?.[0];
    this.#results.push({
      columns: this.#columns,
      rows: this.#rows,
      rowCount: count === undefined ? null : Number(count),
      command: text,
      isTruncated: this.#isTruncated,
    });
    this.#columns = [];
    this.#rows = [];
    this.#isTruncated = false;
  }

  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}
  handleCopyData(): void {}

  handleCopyInResponse(connection: unknown): void {
    (connection as WireConnection).sendCopyFail("COPY … FROM STDIN is not possible here: use psql");
  }

  /** The last call for a query that fails: pg does not tell it of the ReadyForQuery that follows. */
  handleError(error: Error): void {
    this.#reject(this.#overflow ?? error);
  }

  handleReadyForQuery(): void {
    this.#resolve(this.#results);
  }

  #toJson(text: string, index: number): unknown {
    return jsonOfText(text, this.#columns[index]?.typeOid ?? 0);
  }
}

/** So much more came in than the limits keep that the statement was cancelled. */
export class ResultTooLarge extends Error {}
