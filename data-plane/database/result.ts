/** The answer to one statement. Rows stay as they came over the wire until somebody asks for text. */
import type { StatementResult } from "./database.ts";
import { FieldReader, lengthAt } from "./wire/reader.ts";

export interface Column {
  readonly name: string;
  readonly typeOid: number;
}

const NO_COLUMNS: readonly Column[] = [];
const NO_ROWS: readonly (readonly (string | null)[])[] = [];

export class WireResult implements StatementResult {
  /** Filled by the connection from a description, which for a prepared statement came with an earlier execution. */
  fields: readonly Column[] = NO_COLUMNS;
  /** Where each DataRow's body starts: first byte of its column count. */
  readonly #buffers: Buffer[] = [];
  readonly #offsets: number[] = [];
  #tagBuffer: Buffer | null = null;
  #tagStart = 0;
  #tagEnd = 0;
  #decoded: (string | null)[][] | null = null;

  get columns(): readonly string[] {
    return this.fields.map((field) => field.name);
  }

  get rowCount(): number {
    return this.#offsets.length;
  }

  get command(): string {
    return this.#tagBuffer?.toString("latin1", this.#tagStart, this.#tagEnd) ?? "";
  }

  get rows(): readonly (readonly (string | null)[])[] {
    if (this.#offsets.length === 0) return NO_ROWS;
    this.#decoded ??= this.#offsets.map((offset, row) => decodeRow(this.#buffers[row] as Buffer, offset));
    return this.#decoded;
  }

  /** One row, decoded anew with each call: for a reader who passes over a long result once. */
  row(index: number): readonly (string | null)[] {
    const buffer = this.#buffers[index];
    const offset = this.#offsets[index];
    if (!buffer || offset === undefined) throw new RangeError(`no row ${index}`);
    return decodeRow(buffer, offset);
  }

  bytes(row: number, column: number): Buffer | null {
    const buffer = this.#buffers[row];
    let at = this.#offsets[row];
    if (!buffer || at === undefined) throw new RangeError(`no row ${row}`);
    const count = ((buffer[at] as number) << 8) | (buffer[at + 1] as number);
    if (column < 0 || column >= count) throw new RangeError(`no column ${column}`);
    at += 2;
    for (let skipped = 0; skipped < column; skipped++) at += 4 + Math.max(0, lengthAt(buffer, at));
    const length = lengthAt(buffer, at);
    return length < 0 ? null : buffer.subarray(at + 4, at + 4 + length);
  }

  /** For the connection: a DataRow whose body starts at `start`. */
  addRow(buffer: Buffer, start: number): void {
    this.#buffers.push(buffer);
    this.#offsets.push(start);
  }

  /** For the connection: the CommandComplete, its tag without the zero byte. */
  complete(buffer: Buffer, start: number, end: number): void {
    this.#tagBuffer = buffer;
    this.#tagStart = start;
    this.#tagEnd = end;
  }
}

function decodeRow(buffer: Buffer, start: number): (string | null)[] {
  const count = ((buffer[start] as number) << 8) | (buffer[start + 1] as number);
  const row = new Array<string | null>(count);
  let at = start + 2;
  for (let column = 0; column < count; column++) {
    const length = lengthAt(buffer, at);
    at += 4;
    if (length < 0) {
      row[column] = null;
    } else {
      row[column] = buffer.toString("utf8", at, at + length);
      at += length;
    }
  }
  return row;
}

/** Columns of a RowDescription. */
export function readColumns(buffer: Buffer, start: number, end: number): readonly Column[] {
  const reader = new FieldReader(buffer, start, end);
  return Array.from({ length: reader.int16() }, () => {
    const name = reader.cstring();
    reader.uint32(); // table
    reader.int16(); // attribute number
    const typeOid = reader.uint32();
    reader.int16(); // type size
    reader.int32(); // type modifier
    reader.int16(); // format
    return { name, typeOid };
  });
}
