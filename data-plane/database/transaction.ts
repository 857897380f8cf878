/** A transaction that needs answers in between: a connection of its own, BEGIN sent together with the first query. */
import pg from "pg";
import type { ProjectRef } from "../../control-plane/client/config-snapshot.ts";
import { Slices } from "../work/slices.ts";
import { Batch, isStalePlan, RESET } from "./batch.ts";
import type { Connection } from "./connection.ts";
import { ConnectionLost, DatabaseError, type ParameterValue, type Statement, type Transaction } from "./database.ts";
import type { WireResult } from "./result.ts";

const BEGIN = statement("/* withTransaction */ begin");
const COMMIT = statement("/* withTransaction */ commit");
const RESET_ROLE = statement("/* withTransaction */ reset role");
const ROLLBACK = statement("/* withTransaction */ rollback");

/**
 * Runs `work` on a connection that nobody else uses meanwhile.
 * @param settings Set locally before the first query, in one statement.
 * @throws {DatabaseError} code 25P02 when `work` resolves although one of its queries had failed: nothing was kept.
 */
export async function runTransaction<T>(
  projectRef: ProjectRef,
  connection: Connection,
  now: () => number,
  settings: Readonly<Record<string, string>>,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  const session = new TransactionSession(projectRef, connection, now, settings);
  let result: T;
  try {
    result = await work(session);
  } catch (error) {
    await session.rollback();
    throw error;
  }
  await session.commit();
  return result;
}

class TransactionSession implements Transaction {
  readonly #connection: Connection;
  readonly #now: () => number;
  readonly #settings: Readonly<Record<string, string>>;
  #state: "unopened" | "open" | "ended" = "unopened";
  /** Queries run in the order they were asked for, also when the caller does not await each. */
  #last: Promise<unknown> = Promise.resolve();
  readonly #slices: Slices;

  constructor(
    projectRef: ProjectRef,
    connection: Connection,
    now: () => number,
    settings: Readonly<Record<string, string>>,
  ) {
    this.#slices = new Slices(projectRef);
    this.#connection = connection;
    this.#now = now;
    this.#settings = settings;
  }

  query<Row extends object>(
    text: string,
    values: readonly unknown[] = [],
    maxValueCharacters: number = Number.POSITIVE_INFINITY,
  ): Promise<Row[]> {
    if (this.#state === "ended") return Promise.reject(new Error("the transaction has ended"));
    const query: Statement = { text, values: values.map(encodeParameter), prepare: values.length > 0 };
    const rows = this.#last
      .then(() => this.#run(query))
      .then((result) => toObjects<Row>(result, this.#slices, maxValueCharacters));
    this.#last = rows.catch(() => {});
    return rows;
  }

  async commit(): Promise<void> {
    await this.#last;
    if (!this.#end()) return;
    const [result] = await this.#send([COMMIT]);
    if (result?.command === "ROLLBACK")
      throw new DatabaseError({
        message: "the transaction was rolled back, because a query in it had failed",
        code: "25P02",
        severity: "ERROR",
      });
  }

  /** Never throws: the error that led here is the one to tell. */
  async rollback(): Promise<void> {
    await this.#last;
    if (!this.#end()) return;
    // A connection that cannot roll back is lost anyway, and its transaction with it.
    await this.#send([ROLLBACK]).catch(() => this.#connection.destroy(new Error("rollback failed")));
  }

  /** True when there is a transaction on the server to be ended. */
  #end(): boolean {
    const wasOpen = this.#state === "open";
    this.#state = "ended";
    return wasOpen && !this.#connection.isClosed;
  }

  async #run(query: Statement): Promise<WireResult> {
    if (this.#state === "open") return last(await this.#send([query]));
    this.#state = "open";
    const opening = [BEGIN, RESET_ROLE, RESET, ...settingStatements(this.#settings), query];
    try {
      return last(await this.#send(opening));
    } catch (error) {
      if (!(error instanceof DatabaseError && isStalePlan(error))) throw error;
      // The connection has forgotten the plan, and nothing has happened in the transaction yet.
      await this.#send([ROLLBACK]);
      return last(await this.#send(opening));
    }
  }

  #send(statements: readonly Statement[]): Promise<readonly WireResult[]> {
    if (this.#connection.isClosed)
      return Promise.reject(new ConnectionLost("the connection was lost during the transaction", { sent: true }));
    const batch = new Batch(statements, this.#now(), {}, true);
    this.#connection.send(batch);
    return batch.promise;
  }
}

function statement(text: string): Statement {
  return { text, values: [], prepare: true };
}

function settingStatements(settings: Readonly<Record<string, string>>): Statement[] {
  const entries = Object.entries(settings);
  if (entries.length === 0) return [];
  const calls = entries.map((_, index) => `set_config($${index * 2 + 1}, $${index * 2 + 2}, true)`);
  return [{ text: `/* withTransaction */ select ${calls.join(", ")}`, values: entries.flat(), prepare: true }];
}

function last(results: readonly WireResult[]): WireResult {
  return results[results.length - 1] as WireResult;
}

/** Objects in the order of the rows; values as `pg` would give them. */
async function toObjects<Row extends object>(
  result: WireResult,
  slices: Slices,
  maxValueCharacters: number,
): Promise<Row[]> {
  const fields = result.fields.map(({ name, typeOid }) => ({
    name,
    parse: pg.types.getTypeParser(typeOid, "text") as (text: string) => unknown,
  }));
  const rows: Row[] = [];
  for (let index = 0; index < result.rowCount; index += 1) {
    const values = result.row(index);
    const row: Record<string, unknown> = {};
    fields.forEach(({ name, parse }, column) => {
      const value = values[column];
      if (value !== null && value !== undefined && value.length > maxValueCharacters)
        throw tooLarge(maxValueCharacters);
      row[name] = value === null || value === undefined ? null : parse(value);
    });
    rows.push(row as Row);
    if (slices.isDue) await slices.pause();
  }
  return rows;
}

function tooLarge(maxCharacters: number): DatabaseError {
  const message = `a value is longer than ${maxCharacters} characters`;
  return new DatabaseError({ message, code: "54000", severity: "ERROR" });
}

/**
 * A JavaScript value as a parameter, by the same rules as `pg`: arrays become PostgreSQL arrays, other objects JSON.
 * Exported for the statements of a pipeline.
 */
export function encodeParameter(value: unknown): ParameterValue {
  if (value === null || value === undefined) return null;
  if (typeof value === "string" || Buffer.isBuffer(value)) return value;
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return encodeArray(value);
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
}

function encodeArray(values: readonly unknown[]): string {
  const items = values.map((value) => {
    if (value === null || value === undefined) return "NULL";
    if (Array.isArray(value)) return encodeArray(value);
    if (Buffer.isBuffer(value)) return `"\\\\x${value.toString("hex")}"`;
    return `"${String(encodeParameter(value)).replace(/["\\]/g, "\\$&")}"`;
  });
  return `{${items.join(",")}}`;
}
