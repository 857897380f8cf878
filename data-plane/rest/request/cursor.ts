/**
 * A position in a text for the recursive-descent parsers beside this file. It remembers what was expected where
 * reading got furthest, so that a failure reads like the original's: `unexpected "x" expecting a, b or c`.
 */
import { restError } from "../error.ts";

/** What a query parameter is called in a parse error. */
export type ParsedPart =
  | "select parameter"
  | "order"
  | "filter"
  | "logic tree"
  | "columns parameter"
  | "on_conflict parameter"
  | "tree path";

/** Thrown inside the parsers and turned into PGRST100 by {@link parseWhole}. */
export class ParseFailure extends Error {}

export class Cursor {
  readonly text: string;
  position = 0;
  #furthest = 0;
  #expected: string[] = [];

  constructor(text: string) {
    this.text = text;
  }

  get atEnd(): boolean {
    return this.position >= this.text.length;
  }

  /** The character here, whole; nothing at the end. */
  peek(): string {
    return this.#characterAt(this.position) ?? "";
  }

  #characterAt(position: number): string | undefined {
    const code = this.text.codePointAt(position);
    return code === undefined ? undefined : String.fromCodePoint(code);
  }

  /** True, and moves on, when the text goes on with exactly `token`. */
  take(token: string): boolean {
    if (!this.text.startsWith(token, this.position)) return false;
    this.position += token.length;
    return true;
  }

  /** Moves over the longest match of a sticky expression and returns it; null when it does not match here. */
  match(sticky: RegExp): string | null {
    sticky.lastIndex = this.position;
    const found = sticky.exec(this.text);
    if (found === null) return null;
    this.position += found[0].length;
    return found[0];
  }

  skipBlanks(): void {
    while (this.text.charCodeAt(this.position) === 32) this.position += 1;
  }

  /** Notes what could have stood at the current position. */
  expecting(...labels: readonly string[]): void {
    if (this.position < this.#furthest) return;
    if (this.position > this.#furthest) this.#expected = [];
    this.#furthest = this.position;
    for (const label of labels) if (!this.#expected.includes(label)) this.#expected.push(label);
  }

  /** Gives up here. */
  fail(...labels: readonly string[]): never {
    this.expecting(...labels);
    throw new ParseFailure();
  }

  /** One-based column of the furthest point reached, in characters. */
  get failureColumn(): number {
    return [...this.text.slice(0, this.#furthest)].length + 1;
  }

  /** At the end of a rule that must use up the text, the original quotes what is left over differently. */
  describeFailure(leftOver: boolean): string {
    const character = this.#characterAt(this.#furthest);
    const quote = leftOver ? "'" : '"';
    const unexpected = character === undefined ? "end of input" : quote + escapeCharacter(character, quote) + quote;
    const labels = this.#expected;
    const expecting =
      labels.length < 2 ? labels.join("") : `${labels.slice(0, -1).join(", ")} or ${labels[labels.length - 1]}`;
    return `unexpected ${unexpected}${expecting === "" ? "" : ` expecting ${expecting}`}`;
  }
}

function escapeCharacter(character: string, quote: string): string {
  return character === quote || character === "\\" ? `\\${character}` : character;
}

/**
 * Runs a rule over a whole text.
 * @param shown What the message quotes, when it is not the text itself.
 * @throws {RestError} PGRST100 naming the furthest point the rule reached.
 */
export function parseWhole<T>(part: ParsedPart, text: string, rule: (cursor: Cursor) => T, shown = text): T {
  const cursor = new Cursor(text);
  let leftOver = false;
  try {
    const value = rule(cursor);
    if (cursor.atEnd) return value;
    leftOver = true;
    return cursor.fail("end of input");
  } catch (failure) {
    if (!(failure instanceof ParseFailure)) throw failure;
    throw restError("PGRST100", {
      message: `"failed to parse ${part} (${shown})" (line 1, column ${cursor.failureColumn})`,
      details: cursor.describeFailure(leftOver),
    });
  }
}
