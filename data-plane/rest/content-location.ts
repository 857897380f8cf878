/**
 * The resource's own address: the same whatever the order of its parameters was. Made from a template that requests of
 * one shape share, as sorting and encoding the whole query for each of them would take longer than planning it.
 */
import type { QueryPair, QueryShape } from "./request/shape.ts";

/** Parameters sorted by name, encoded but for the slot that ends them. */
export type LocationTemplate = readonly { readonly text: string; readonly slot: number | null }[];

export function locationTemplate({ pairs, slots }: QueryShape): LocationTemplate {
  return pairs
    .map((pair) => ({ name: pair.name, ...parameterOf(pair, slots) }))
    .sort((left, right) => (left.name < right.name ? -1 : left.name > right.name ? 1 : 0))
    .map(({ name, fixed, slot }) => ({ text: `${encodeParameter(name)}=${encodeParameter(fixed)}`, slot }));
}

function parameterOf(
  pair: QueryPair,
  slots: readonly string[],
): { readonly fixed: string; readonly slot: number | null } {
  switch (pair.kind) {
    case "whole":
      return { fixed: pair.value, slot: null };
    case "filter":
      if (pair.slot === null) return { fixed: pair.value, slot: null };
      return { fixed: pair.value.slice(0, pair.value.length - (slots[pair.slot] ?? "").length), slot: pair.slot };
    case "offset":
    case "argument":
      return { fixed: "", slot: pair.slot };
  }
}

/** Many clients and proxies take 8 KB of response headers in all; node takes 16 KB. */
const MAX_LOCATION_CHARACTERS = 4096;

/** @param path As it was requested. @returns Null for an address that would be too long for a header. */
export function contentLocation(path: string, template: LocationTemplate, slots: readonly string[]): string | null {
  let location = path;
  let separator = "?";
  for (const { text, slot } of template) {
    const value = slot === null ? "" : (slots[slot] ?? "");
    if (location.length + text.length + value.length >= MAX_LOCATION_CHARACTERS) return null;
    location += separator + text + encodeParameter(value);
    separator = "&";
  }
  return location.length > MAX_LOCATION_CHARACTERS ? null : location;
}

const UNRESERVED = /^[\w.~-]*$/;

/** Everything but unreserved characters (RFC 3986) as `%XX`. */
export function encodeParameter(text: string): string {
  if (UNRESERVED.test(text)) return text;
  return encodeURIComponent(text.toWellFormed()).replace(/[!'()*]/g, percent);
}

function percent(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}
