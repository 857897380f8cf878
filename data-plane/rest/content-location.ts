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

/** @param path As it was requested. */
export function contentLocation(path: string, template: LocationTemplate, slots: readonly string[]): string {
  let location = path;
  let separator = "?";
  for (const { text, slot } of template) {
    location += separator + text;
    if (slot !== null) location += encodeParameter(slots[slot] ?? "");
    separator = "&";
  }
  return location;
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
