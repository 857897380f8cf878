/** The prepared statements of one connection: which texts have a name on the server, the least recently used go. */
import type { Column } from "./result.ts";

export interface PreparedStatement {
  readonly text: string;
  /** Role whose plan it holds; empty when that makes no difference. */
  readonly role: string;
  /** Unique on the connection, never used again. */
  readonly name: string;
  /** False while its Parse is under way; until then other batches send the text unnamed. */
  isParsed: boolean;
  /** Null until described once; afterwards executions need no description. */
  columns: readonly Column[] | null;
  lastUsed: number;
}

export class PreparedStatements {
  /** By role, then by text. Two levels, because joining the two would make and hash a long string for each execution. */
  readonly #byRole = new Map<string, Map<string, PreparedStatement>>();
  readonly #capacity: number;
  #size = 0;
  #uses = 0;
  #named = 0;
  /** Names to close before the next batch. Not in the midst of one: after an error the server skips what follows. */
  #dropped: string[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Null when the text is new for the role. */
  find(text: string, role = ""): PreparedStatement | null {
    const statement = this.#byRole.get(role)?.get(text);
    if (!statement) return null;
    statement.lastUsed = ++this.#uses;
    return statement;
  }

  /** Gives a name to a text; the caller sends its Parse. */
  add(text: string, role = ""): PreparedStatement {
    if (this.#size >= this.#capacity) this.#dropLeastRecentlyUsed();
    const name = `p${++this.#named}`;
    const statement = { text, role, name, isParsed: false, columns: null, lastUsed: ++this.#uses };
    const texts = this.#byRole.get(role) ?? new Map<string, PreparedStatement>();
    this.#byRole.set(role, texts.set(text, statement));
    this.#size++;
    return statement;
  }

  /** Its Parse failed, or the server has lost it or plans it wrongly. */
  forget(statement: PreparedStatement): void {
    const texts = this.#byRole.get(statement.role);
    if (texts?.get(statement.text) !== statement) return;
    texts.delete(statement.text);
    if (texts.size === 0) this.#byRole.delete(statement.role);
    this.#size--;
    if (statement.isParsed) this.#dropped.push(statement.name);
  }

  /** Names to close now; closing one that does not exist is no error. */
  takeDropped(): readonly string[] {
    const dropped = this.#dropped;
    if (dropped.length > 0) this.#dropped = [];
    return dropped;
  }

  #dropLeastRecentlyUsed(): void {
    let oldest: PreparedStatement | null = null;
    for (const texts of this.#byRole.values())
      for (const statement of texts.values())
        if (statement.isParsed && (!oldest || statement.lastUsed < oldest.lastUsed)) oldest = statement;
    if (oldest) this.forget(oldest);
  }
}
