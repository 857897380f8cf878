/** The prepared statements of one connection: which texts have a name on the server, the least recently used go. */
import type { Column } from "./result.ts";

export interface PreparedStatement {
  readonly text: string;
  /** Unique on the connection, never used again. */
  readonly name: string;
  /** False while its Parse is under way; until then other batches send the text unnamed. */
  isParsed: boolean;
  /** Null until described once; afterwards executions need no description. */
  columns: readonly Column[] | null;
  lastUsed: number;
}

export class PreparedStatements {
  private readonly byText = new Map<string, PreparedStatement>();
  private readonly capacity: number;
  private uses = 0;
  private named = 0;
  /** Names to close before the next batch. Not in the midst of one: after an error the server skips what follows. */
  private dropped: string[] = [];

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** Null when the text is new. */
  find(text: string): PreparedStatement | null {
    const statement = this.byText.get(text);
    if (!statement) return null;
    statement.lastUsed = ++this.uses;
    return statement;
  }

  /** Gives a name to a text; the caller sends its Parse. */
  add(text: string): PreparedStatement {
    if (this.byText.size >= this.capacity) this.dropLeastRecentlyUsed();
    const statement = { text, name: `p${++this.named}`, isParsed: false, columns: null, lastUsed: ++this.uses };
    this.byText.set(text, statement);
    return statement;
  }

  /** Its Parse failed, or the server has lost it or plans it wrongly. */
  forget(statement: PreparedStatement): void {
    if (this.byText.get(statement.text) !== statement) return;
    this.byText.delete(statement.text);
    if (statement.isParsed) this.dropped.push(statement.name);
  }

  /** Names to close now; closing one that does not exist is no error. */
  takeDropped(): readonly string[] {
    const { dropped } = this;
    if (dropped.length > 0) this.dropped = [];
    return dropped;
  }

  private dropLeastRecentlyUsed(): void {
    let oldest: PreparedStatement | null = null;
    for (const statement of this.byText.values())
      if (statement.isParsed && (!oldest || statement.lastUsed < oldest.lastUsed)) oldest = statement;
    if (oldest) this.forget(oldest);
  }
}
