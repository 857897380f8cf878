/**
 * Which statements have lately been answered with much: where a project's clients hold as many bytes as they may, such
 * a statement is not sent again, for its answer could not be kept. Without it the server would make the answer, and the
 * connection, refused in the middle of it, would have to be made anew.
 */
import type { Statement } from "./database.ts";

/** Smaller answers are not remembered. */
const LARGE_BYTES = 256 * 1024;
const MAX_REMEMBERED = 100;

export class LargeAnswers {
  /** By the texts of a batch; the least recently answered is forgotten. */
  readonly #bytes = new Map<string, number>();

  /** 0: nothing is known, or it was small. */
  expectedFor(statements: readonly Statement[]): number {
    return this.#bytes.size === 0 ? 0 : (this.#bytes.get(keyOf(statements)) ?? 0);
  }

  note(statements: readonly Statement[], bytes: number): void {
    if (bytes < LARGE_BYTES && this.#bytes.size === 0) return;
    const key = keyOf(statements);
    this.#bytes.delete(key);
    if (bytes < LARGE_BYTES) return;
    this.#bytes.set(key, bytes);
    const [oldest] = this.#bytes.keys();
    if (this.#bytes.size > MAX_REMEMBERED && oldest !== undefined) this.#bytes.delete(oldest);
  }
}

function keyOf(statements: readonly Statement[]): string {
  return statements.map(({ text }) => text).join("\n");
}
