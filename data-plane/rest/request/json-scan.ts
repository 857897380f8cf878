/**
 * Looks over a JSON body without building its values: is it JSON, an object or an array, and which keys have its
 * objects? The bytes themselves go to PostgreSQL as they came, so a large body costs its own size and no more.
 */

export type JsonOutline =
  | { readonly kind: "object"; readonly keys: readonly string[] }
  /** `keys` are those of the first element; every element has the same when `uniform`. */
  | { readonly kind: "array"; readonly length: number; readonly keys: readonly string[]; readonly uniform: boolean }
  | { readonly kind: "scalar" };

/** PostgreSQL's own parser gives up at a few thousand levels; ours does before the stack ends. */
const MAX_DEPTH = 2000;

class InvalidJson extends Error {}

/** Null when the bytes are no JSON text. Takes time linear in their number. */
export function outlineOfJson(bytes: Buffer): JsonOutline | null {
  const scanner = new JsonScanner(bytes);
  try {
    return scanner.outline();
  } catch (failure) {
    if (failure instanceof InvalidJson) return null;
    throw failure;
  }
}

/** Which bracket a JSON text begins with, without looking at the rest. */
export function firstBracket(bytes: Buffer): "object" | "array" | "other" {
  let position = 0;
  while (isBlank(bytes[position])) position += 1;
  if (bytes[position] === OPEN_BRACE) return "object";
  return bytes[position] === OPEN_BRACKET ? "array" : "other";
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** A key where it stands: without its quotes. */
interface KeySpan {
  readonly start: number;
  readonly end: number;
}

class JsonScanner {
  readonly #bytes: Buffer;
  #position = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  outline(): JsonOutline {
    this.#skipBlanks();
    const outline = this.#topLevel();
    this.#skipBlanks();
    if (this.#position !== this.#bytes.length) throw new InvalidJson();
    return outline;
  }

  #topLevel(): JsonOutline {
    switch (this.#bytes[this.#position]) {
      case OPEN_BRACE: {
        const spans: KeySpan[] = [];
        this.#object(0, (span) => spans.push(span));
        return { kind: "object", keys: this.#distinctKeys(spans) };
      }
      case OPEN_BRACKET:
        return this.#topLevelArray();
      default:
        this.#value(0);
        return { kind: "scalar" };
    }
  }

  #topLevelArray(): JsonOutline {
    const first: KeySpan[] = [];
    // Made once: a body may have as many elements that differ from the first as it has bytes for.
    let expected: ReadonlySet<string> | null = null;
    let length = 0;
    let uniform = true;
    this.#array(() => {
      length += 1;
      if (!uniform || this.#bytes[this.#position] !== OPEN_BRACE) {
        uniform = false;
        this.#value(1);
      } else if (length === 1) {
        this.#object(1, (span) => first.push(span));
      } else if (!this.#hasKeysInOrder(first)) {
        expected ??= new Set(this.#distinctKeys(first));
        uniform = this.#lastObjectHasKeys(expected);
      }
    });
    return { kind: "array", length, keys: this.#distinctKeys(first), uniform };
  }

  #lastObject: readonly KeySpan[] = [];

  /** Reads an object; true when its keys are byte for byte those of `first`, as nearly always. */
  #hasKeysInOrder(first: readonly KeySpan[]): boolean {
    const spans: KeySpan[] = [];
    let sameOrder = true;
    this.#object(1, (span) => {
      const expected = first[spans.length];
      spans.push(span);
      sameOrder &&= expected !== undefined && this.#sameBytes(span, expected);
    });
    this.#lastObject = spans;
    return sameOrder && spans.length === first.length;
  }

  /** Of the object that was read last: the same keys in another order, or written with other escapes. */
  #lastObjectHasKeys(expected: ReadonlySet<string>): boolean {
    const keys = new Set(this.#distinctKeys(this.#lastObject));
    return keys.size === expected.size && [...keys].every((key) => expected.has(key));
  }

  #sameBytes(left: KeySpan, right: KeySpan): boolean {
    const length = left.end - left.start;
    if (length !== right.end - right.start) return false;
    for (let index = 0; index < length; index += 1) {
      if (this.#bytes[left.start + index] !== this.#bytes[right.start + index]) return false;
    }
    return true;
  }

  #distinctKeys(spans: readonly KeySpan[]): readonly string[] {
    return [...new Set(spans.map(({ start, end }) => JSON.parse(`"${this.#bytes.toString("utf8", start, end)}"`)))];
  }

  #value(depth: number): void {
    const byte = this.#bytes[this.#position];
    if (byte === QUOTE) this.#string();
    else if (byte === OPEN_BRACE) this.#object(depth, ignore);
    else if (byte === OPEN_BRACKET) this.#array(() => this.#value(depth + 1), depth);
    else if (byte === 0x74) this.#literal("true");
    else if (byte === 0x66) this.#literal("false");
    else if (byte === 0x6e) this.#literal("null");
    else this.#number();
  }

  #object(depth: number, onKey: (span: KeySpan) => void): void {
    if (depth > MAX_DEPTH) throw new InvalidJson();
    this.#position += 1;
    this.#skipBlanks();
    if (this.#takes(CLOSE_BRACE)) return;
    do {
      this.#skipBlanks();
      const start = this.#position + 1;
      this.#string();
      onKey({ start, end: this.#position - 1 });
      this.#skipBlanks();
      if (!this.#takes(COLON)) throw new InvalidJson();
      this.#skipBlanks();
      this.#value(depth + 1);
      this.#skipBlanks();
    } while (this.#takes(COMMA));
    if (!this.#takes(CLOSE_BRACE)) throw new InvalidJson();
  }

  #array(onElement: () => void, depth = 0): void {
    if (depth > MAX_DEPTH) throw new InvalidJson();
    this.#position += 1;
    this.#skipBlanks();
    if (this.#takes(CLOSE_BRACKET)) return;
    do {
      this.#skipBlanks();
      onElement();
      this.#skipBlanks();
    } while (this.#takes(COMMA));
    if (!this.#takes(CLOSE_BRACKET)) throw new InvalidJson();
  }

  #string(): void {
    const bytes = this.#bytes;
    if (bytes[this.#position] !== QUOTE) throw new InvalidJson();
    let position = this.#position + 1;
    for (;;) {
      const byte = bytes[position];
      if (byte === undefined || byte < 0x20) throw new InvalidJson();
      position += 1;
      if (byte === QUOTE) break;
      if (byte === BACKSLASH) position = this.#escape(position);
    }
    this.#position = position;
  }

  #escape(position: number): number {
    switch (this.#bytes[position]) {
      case QUOTE:
      case BACKSLASH:
      case 0x2f: // /
      case 0x62: // b
      case 0x66: // f
      case 0x6e: // n
      case 0x72: // r
      case 0x74: // t
        return position + 1;
      case 0x75: // u
        for (let index = 1; index <= 4; index += 1) {
          if (!isHexDigit(this.#bytes[position + index])) throw new InvalidJson();
        }
        return position + 5;
      default:
        throw new InvalidJson();
    }
  }

  #number(): void {
    const bytes = this.#bytes;
    if (bytes[this.#position] === 0x2d) this.#position += 1;
    if (bytes[this.#position] === 0x30) this.#position += 1;
    else this.#digits();
    if (bytes[this.#position] === 0x2e) {
      this.#position += 1;
      this.#digits();
    }
    const exponent = bytes[this.#position];
    if (exponent === 0x65 || exponent === 0x45) {
      this.#position += 1;
      const sign = bytes[this.#position];
      if (sign === 0x2b || sign === 0x2d) this.#position += 1;
      this.#digits();
    }
  }

  #digits(): void {
    const start = this.#position;
    while (isDigit(this.#bytes[this.#position])) this.#position += 1;
    if (this.#position === start) throw new InvalidJson();
  }

  #literal(word: string): void {
    for (let index = 0; index < word.length; index += 1) {
      if (this.#bytes[this.#position + index] !== word.charCodeAt(index)) throw new InvalidJson();
    }
    this.#position += word.length;
  }

  #takes(byte: number): boolean {
    if (this.#bytes[this.#position] !== byte) return false;
    this.#position += 1;
    return true;
  }

  #skipBlanks(): void {
    while (isBlank(this.#bytes[this.#position])) this.#position += 1;
  }
}

function ignore(): void {}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

function isHexDigit(byte: number | undefined): boolean {
  return isDigit(byte) || (byte !== undefined && (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66);
}
