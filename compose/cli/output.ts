/** How the command line speaks: people get aligned text, scripts get one JSON value on standard output. */

/** Prints a value for scripts: exactly one JSON document, indented. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** Lines of `label  value`, the values aligned. */
export function formatFields(fields: readonly (readonly [label: string, value: string])[]): string {
  const width = Math.max(...fields.map(([label]) => label.length));
  return fields.map(([label, value]) => `  ${label.padEnd(width)}  ${value}`).join("\n");
}

/** A table with a header line; the last column is not padded. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? "").length)),
  );
  const line = (cells: readonly string[]) =>
    cells.map((cell, column) => (column === cells.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join("  ");
  return [header, ...rows].map(line).join("\n");
}

/** A failure that the person at the command line can act on: printed without a stack trace, exit code 1. */
export class CommandError extends Error {
  /** Error codes of the API, when it was the API that refused. */
  readonly codes: readonly string[];
  constructor(message: string, options: ErrorOptions & { codes?: readonly string[] } = {}) {
    super(message, options);
    this.codes = options.codes ?? [];
  }
}

/** Texts that others have chosen (names, addresses): a terminal must not take them for commands. */
export function visible(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "\ufffd");
}
