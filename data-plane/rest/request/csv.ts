/** CSV bodies (RFC 4180): the first line names the columns. */

/** Rows of fields; a last line break does not begin another row. Lines end in LF or CR LF. */
export function parseCsv(text: string): readonly (readonly string[])[] {
  const rows: string[][] = [];
  let row: string[] = [];
  let position = 0;
  while (position < text.length) {
    const field = text[position] === '"' ? quotedField(text, position) : plainField(text, position);
    row.push(field.value);
    position = field.end;
    if (text[position] === ",") {
      position += 1;
      if (position < text.length && !isLineBreak(text, position)) continue;
      row.push("");
    }
    position += text[position] === "\r" ? 2 : 1;
    rows.push(row);
    row = [];
  }
  return rows;
}

function isLineBreak(text: string, position: number): boolean {
  return text[position] === "\n" || (text[position] === "\r" && text[position + 1] === "\n");
}

interface FieldSpan {
  readonly value: string;
  readonly end: number;
}

/** A CR alone is text. */
const PLAIN = /(?:[^,\r\n]|\r(?!\n))*/y;

function plainField(text: string, start: number): FieldSpan {
  PLAIN.lastIndex = start;
  const value = PLAIN.exec(text)?.[0] ?? "";
  return { value, end: start + value.length };
}

/**
 * `"a ""b"" c"`; without a closing quote the rest of the text is the field, and what follows a closing quote before the
 * next separator belongs to it: nothing that was sent is lost.
 */
function quotedField(text: string, start: number): FieldSpan {
  let position = start + 1;
  for (;;) {
    const quote = text.indexOf('"', position);
    if (quote < 0) return { value: withoutDoubling(text.slice(start + 1)), end: text.length };
    if (text[quote + 1] !== '"') {
      const rest = plainField(text, quote + 1);
      return { value: withoutDoubling(text.slice(start + 1, quote)) + rest.value, end: rest.end };
    }
    position = quote + 2;
  }
}

function withoutDoubling(text: string): string {
  return text.replaceAll('""', '"');
}

/**
 * The body as the JSON array that the same rows would have been; `NULL` is null.
 * Null when a line has more or fewer fields than the first.
 */
export function csvToObjects(text: string): { readonly keys: readonly string[]; readonly json: string } | null {
  const [header = [], ...rows] = parseCsv(text);
  const objects: Record<string, string | null>[] = [];
  for (const row of rows) {
    if (row.length !== header.length) return null;
    const object: Record<string, string | null> = Object.create(null);
    header.forEach((name, index) => {
      const value = row[index] ?? "";
      object[name] = value === "NULL" ? null : value;
    });
    objects.push(object);
  }
  return { keys: [...new Set(header)], json: JSON.stringify(objects) };
}
