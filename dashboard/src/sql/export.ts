/** Results as files and for the clipboard. Pure, but for the download. */

export interface Grid {
  readonly columns: readonly { readonly name: string }[];
  readonly rows: readonly (readonly unknown[])[];
}

/** As it is shown: null is null, objects are JSON. */
export function cellText(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** RFC 4180; NULL is an empty field, an empty text is `""`, as COPY writes them. */
export function toCsv({ columns, rows }: Grid): string {
  const line = (values: readonly (string | null)[]) => `${values.map(csvField).join(",")}\r\n`;
  return line(columns.map(({ name }) => name)) + rows.map((row) => line(row.map(cellText))).join("");
}

function csvField(value: string | null): string {
  if (value === null) return "";
  return value === "" || /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

/** A list of objects; columns that share a name get a number. */
export function toJson({ columns, rows }: Grid): string {
  const seen = new Map<string, number>();
  const names = columns.map(({ name }) => {
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return count === 1 ? name : `${name}_${count}`;
  });
  const objects = rows.map((row) => Object.fromEntries(names.map((name, index) => [name, row[index] ?? null])));
  return JSON.stringify(objects, null, 2);
}

export function toMarkdown({ columns, rows }: Grid): string {
  const line = (values: readonly (string | null)[]) =>
    `| ${values.map((value) => (value ?? "NULL").replaceAll("|", "\\|").replaceAll(/\s*\n\s*/g, " ")).join(" | ")} |\n`;
  return (
    line(columns.map(({ name }) => name)) +
    line(columns.map(() => "---")) +
    rows.map((row) => line(row.map(cellText))).join("")
  );
}

export function download(name: string, type: string, content: string): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
