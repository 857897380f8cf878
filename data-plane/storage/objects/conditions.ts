/** Conditional and range requests (RFC 9110, sections 13 and 14). Pure. */

type RequestHeaders = Readonly<Record<string, string>>;

export interface ByteRange {
  readonly start: number;
  /** Inclusive. */
  readonly end: number;
}

/** @param etag With its quotes. */
export function isNotModified(headers: RequestHeaders, etag: string, lastModifiedMs: number): boolean {
  const noneMatch = headers["if-none-match"];
  if (noneMatch !== undefined) return etag !== "" && matches(noneMatch, etag);
  const since = headers["if-modified-since"];
  if (since === undefined) return false;
  const sinceMs = Date.parse(since);
  return !Number.isNaN(sinceMs) && Math.floor(lastModifiedMs / 1000) * 1000 <= sinceMs;
}

/** Weak comparison with each member of a list. */
export function matches(list: string, etag: string): boolean {
  if (list.trim() === "*") return true;
  const plain = etag.replace(/^W\//, "");
  return list.split(",").some((item) => item.trim().replace(/^W\//, "") === plain);
}

export interface Validator {
  readonly etag: string;
  readonly lastModifiedMs: number;
}

/** Null: the whole object. Several ranges are not served. */
export function parseRange(
  headers: RequestHeaders,
  size: number,
  { etag, lastModifiedMs }: Validator,
): ByteRange | null | "unsatisfiable" {
  const range = headers.range;
  if (range === undefined) return null;
  const ifRange = headers["if-range"];
  if (ifRange !== undefined) {
    const isSame = ifRange.includes('"')
      ? ifRange.trim() === etag && !etag.startsWith("W/")
      : Date.parse(ifRange) === Math.floor(lastModifiedMs / 1000) * 1000;
    if (!isSame) return null;
  }
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(range.trim());
  if (!match) return "unsatisfiable";
  const [, first = "", last = ""] = match;
  if (first === "" && last === "") return "unsatisfiable";
  if (first === "") {
    const suffix = Number(last);
    if (suffix === 0 || size === 0) return "unsatisfiable";
    return { start: Math.max(0, size - suffix), end: size - 1 };
  }
  const start = Number(first);
  const end = last === "" ? size - 1 : Math.min(Number(last), size - 1);
  if (start >= size || (last !== "" && Number(last) < start)) return "unsatisfiable";
  return { start, end };
}
