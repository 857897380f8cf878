/** Names and JSON paths: the parts that select, filters and order share. */
import type { Cursor } from "./cursor.ts";
import type { Field, JsonOperation } from "./query-types.ts";

const NAME_LABEL = "field name (* or [a..z0..9_$])";
const KEY_LABEL = "any non reserved character different from: .,>()";

/** Letters, digits, `_`, `$` and blanks; a dash between them unless it begins an arrow. */
const NAME = /[\p{L}\p{M}\p{N}_$ ]+(?:-(?!>)[\p{L}\p{M}\p{N}_$ ]+)*/uy;
/** A JSON key: whatever is not reserved; a dash unless it begins an arrow. */
const JSON_KEY = /(?:[^(\-:.,>)]|-(?!>))+/y;
/** A number that is the whole item is an index; `23-xy` or `0xy1` are keys. */
const JSON_INDEX = /-?\d+(?=->|::|[.,)]|$)/y;

/** `name` or `"any ""thing"` with backslash escapes. */
export function parseName(cursor: Cursor, ...alternatives: readonly string[]): string {
  if (cursor.peek() === '"') return parseQuoted(cursor);
  const name = cursor.match(NAME)?.trim();
  if (name === undefined || name === "") return cursor.fail(...alternatives, NAME_LABEL);
  return name;
}

const QUOTED_PIECE = /[^"\\]+/y;

/** Text in double quotes, where `\x` stands for `x`. */
export function parseQuoted(cursor: Cursor): string {
  if (!cursor.take('"')) cursor.fail('"\\""');
  let text = "";
  while (!cursor.take('"')) {
    if (cursor.take("\\")) {
      if (cursor.atEnd) cursor.fail("any character");
      const character = cursor.peek();
      text += character;
      cursor.position += character.length;
    } else {
      const piece = cursor.match(QUOTED_PIECE);
      if (piece === null) cursor.fail('"\\""');
      text += piece;
    }
  }
  return text;
}

/** An index is an int4 in PostgreSQL. */
const MAX_INDEX = 2 ** 31 - 1;

/** Zero or more of `->key`, `->>key`, `->"any key"`, `->0`, `->-1`. What stands in quotes is always a key. */
export function parseJsonPath(cursor: Cursor): readonly JsonOperation[] {
  const path: JsonOperation[] = [];
  while (cursor.take("->")) {
    const asText = cursor.take(">");
    if (cursor.peek() === '"') {
      path.push({ kind: "key", key: parseQuoted(cursor), asText });
      continue;
    }
    const index = cursor.match(JSON_INDEX);
    if (index !== null) {
      // More digits can only be a key.
      const isInt4 = Math.abs(Number(index)) <= MAX_INDEX;
      path.push(isInt4 ? { kind: "index", index: Number(index), asText } : { kind: "key", key: index, asText });
      continue;
    }
    if (cursor.peek() === "-" && !cursor.text.startsWith("->", cursor.position)) {
      // Only a digit may follow a leading dash; what then turns out to be no number is a key after all.
      const next = cursor.text[cursor.position + 1] ?? "";
      if (next < "0" || next > "9") {
        cursor.position += 1;
        cursor.fail("digit");
      }
    }
    const key = cursor.match(JSON_KEY)?.trim();
    if (key === undefined) cursor.fail('"-"', "digit", KEY_LABEL);
    path.push({ kind: "key", key, asText });
  }
  return path;
}

export function parseField(cursor: Cursor, ...alternatives: readonly string[]): Field {
  const name = parseName(cursor, ...alternatives);
  return { name, jsonPath: parseJsonPath(cursor) };
}
