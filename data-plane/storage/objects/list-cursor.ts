/** The opaque cursor of list v2: base64 of lines, in the form that the original gave out. Pure. */
import { storageError } from "../errors.ts";

export interface ListCursor {
  /** Name of the last entry; a folder's ends in a slash. */
  readonly last: string;
  readonly column: "name" | "updated_at" | "created_at";
  readonly order: "asc" | "desc";
  /** Time of the last entry (ISO), when sorted by one; else empty. */
  readonly after: string;
}

export function encodeCursor({ last, order, column, after }: ListCursor): string {
  const lines = [`l:${last}`, `o:${order}`, `c:${column}`, ...(after === "" ? [] : [`a:${after}`])];
  return Buffer.from(lines.join("\n")).toString("base64");
}

/** @throws {StorageError} InvalidParameter */
export function decodeCursor(text: string): ListCursor {
  const lines = new Map<string, string>();
  for (const line of Buffer.from(text, "base64").toString("utf8").split("\n"))
    lines.set(line.slice(0, 2), line.slice(2));
  const last = lines.get("l:");
  const order = lines.get("o:") ?? "asc";
  const column = lines.get("c:") ?? "name";
  const after = lines.get("a:") ?? "";
  const isOrder = order === "asc" || order === "desc";
  const isColumn = column === "name" || column === "created_at" || column === "updated_at";
  const isTime = after === "" || (after.length <= 40 && !Number.isNaN(Date.parse(after)));
  if (last === undefined || last.includes("\0") || !isOrder || !isColumn || !isTime) {
    throw storageError("invalidParameter", "Invalid Parameter continuation token");
  }
  return { last, order, column, after };
}
