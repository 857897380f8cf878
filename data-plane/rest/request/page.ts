/** Which rows of the result are wanted: limit, offset and the Range header together. */
import { restError } from "../error.ts";
import type { QueryShape } from "./shape.ts";

export interface Page {
  readonly offset: number;
  /** Null: no limit. */
  readonly limit: number | null;
}

export const WHOLE: Page = { offset: 0, limit: null };

/**
 * @param range The Range header where it applies (GET), else undefined. Only `a-b` and `a-` are understood.
 * @throws {RestError} PGRST103
 */
export function parsePage(shape: QueryShape, range: string | undefined): Page {
  let limit: number | null = null;
  let offset = 0;
  for (const pair of shape.pairs) {
    if (pair.kind === "whole" && pair.name === "limit") limit ??= parseLimit(pair.value);
    else if (pair.kind === "offset" && pair.name === "offset") offset = parseOffset(shape.slots[pair.slot] ?? "");
  }
  const bounds = range === undefined ? null : /^(\d{1,15})-(\d{0,15})$/.exec(range.trim());
  if (bounds === null) return limit === null && offset === 0 ? WHOLE : { offset, limit };
  return intersect({ offset, limit }, Number(bounds[1]), bounds[2] === "" ? null : Number(bounds[2]));
}

function intersect(page: Page, first: number, last: number | null): Page {
  const offset = Math.max(page.offset, first);
  const ends = [page.limit === null ? null : page.offset + page.limit - 1, last].filter((end) => end !== null);
  if (ends.length === 0) return { offset, limit: null };
  const end = Math.min(...ends);
  if (page.limit === 0) return { offset, limit: 0 };
  if (end < offset) {
    throw restError("PGRST103", {
      details: "The lower boundary must be lower than or equal to the upper boundary in the Range header.",
    });
  }
  return { offset, limit: end - offset + 1 };
}

/**
 * Null for what is no number: it is then as if it had not been given.
 * @throws {RestError} PGRST103 for a negative one.
 */
export function parseLimit(text: string): number | null {
  const limit = parseInteger(text);
  if (limit !== null && limit < 0) {
    throw restError("PGRST103", { details: "Limit should be greater than or equal to zero." });
  }
  return limit;
}

/** Zero for what is negative or no number. */
export function parseOffset(text: string): number {
  return Math.max(0, parseInteger(text) ?? 0);
}

function parseInteger(text: string): number | null {
  return /^-?\d{1,15}$/.test(text) ? Number(text) : null;
}
