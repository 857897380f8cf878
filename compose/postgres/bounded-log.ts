/** A log file that never takes more than twice its limit: when it is full it becomes `<path>.1` and a new one begins. */
import { closeSync, openSync, renameSync, statSync, writeSync } from "node:fs";

/** Kept in memory to explain a failure. */
const TAIL_BYTES = 4096;

export class BoundedLog {
  readonly #path: string;
  readonly #maxBytes: number;
  #file: number | null;
  #size: number;
  #recent = "";

  constructor(path: string, maxBytes: number) {
    this.#path = path;
    this.#maxBytes = maxBytes;
    this.#file = openSync(path, "a", 0o600);
    this.#size = statSync(path).size;
  }

  /** The last lines written. */
  get tail(): string {
    return this.#recent.trim();
  }

  /** Ignored after {@link close}. */
  write(chunk: Buffer): void {
    if (this.#file === null) return;
    this.#recent = (this.#recent + chunk.toString()).slice(-TAIL_BYTES);
    try {
      if (this.#size + chunk.length > this.#maxBytes) this.#rotate();
      if (this.#file !== null) writeSync(this.#file, chunk);
      this.#size += chunk.length;
    } catch {
      // A full disk must not stop the database for want of a log line.
    }
  }

  close(): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }

  #rotate(): void {
    this.close();
    renameSync(this.#path, `${this.#path}.1`);
    this.#file = openSync(this.#path, "a", 0o600);
    this.#size = 0;
  }
}
