/**
 * Splits a query string into what decides the statement (its shape) and the values that only fill it (its slots).
 * `id=eq.7&select=name` and `id=eq.8&select=name` have one shape and the slots ["7"] and ["8"]: the second request
 * finds the statement compiled for the first. This runs for every request, so it decodes no more than it must.
 */
import { operatorLength } from "./filter.ts";

export type QueryPair =
  /** `select`, `columns`, `on_conflict`, `order`, logic and limits: shape as a whole. */
  | { readonly kind: "whole"; readonly name: string; readonly value: string }
  | { readonly kind: "filter"; readonly name: string; readonly value: string; readonly slot: number | null }
  | { readonly kind: "offset"; readonly name: string; readonly slot: number }
  | { readonly kind: "argument"; readonly name: string; readonly slot: number };

export interface QueryShape {
  /** Equal for two queries exactly when their pairs are equal but for the slots. */
  readonly key: string;
  readonly pairs: readonly QueryPair[];
  readonly slots: readonly string[];
}

const EMPTY: QueryShape = { key: "", pairs: [], slots: [] };
/** Stands for a slot in the key; cannot be part of a query as HTTP carries it. */
const SLOT = "\0";

/**
 * @param query Raw query string without `?`.
 * @param takesArguments True for functions called with GET: what is no filter is then an argument.
 */
export function shapeOfQuery(query: string, takesArguments: boolean): QueryShape {
  if (query === "") return EMPTY;
  let key = "";
  const pairs: QueryPair[] = [];
  const slots: string[] = [];
  for (const pair of query.split("&")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const rawName = equals < 0 ? pair : pair.slice(0, equals);
    const name = decodeComponent(rawName);
    const value = equals < 0 ? "" : decodeComponent(pair.slice(equals + 1));
    key += key === "" ? rawName : `&${rawName}`;
    switch (name.slice(name.lastIndexOf(".") + 1)) {
      case "offset":
        key += `=${SLOT}`;
        pairs.push({ kind: "offset", name, slot: slots.push(value) - 1 });
        break;
      case "limit":
      case "select":
      case "columns":
      case "on_conflict":
      case "order":
      case "and":
      case "or":
        key += pair.slice(rawName.length);
        pairs.push({ kind: "whole", name, value });
        break;
      default: {
        const length = operatorLength(value);
        if (length === 0 && takesArguments) {
          key += `=${SLOT}`;
          pairs.push({ kind: "argument", name, slot: slots.push(value) - 1 });
        } else if (length === 0 || value.startsWith("is.", length - 3)) {
          key += pair.slice(rawName.length);
          pairs.push({ kind: "filter", name, value, slot: null });
        } else {
          key += `=${value.slice(0, length)}${SLOT}`;
          pairs.push({ kind: "filter", name, value, slot: slots.push(value.slice(length)) - 1 });
        }
      }
    }
  }
  return { key, pairs, slots };
}

const lenientDecoder = new TextDecoder();

/** `+` is a blank; a stray `%` stands for itself and invalid UTF-8 becomes U+FFFD, as a query must never fail to decode. */
export function decodeComponent(raw: string): string {
  const text = raw.includes("+") ? raw.replaceAll("+", " ") : raw;
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return decodeLeniently(text);
  }
}

function decodeLeniently(text: string): string {
  return text.replace(/(?:%[0-9A-Fa-f]{2})+/g, (run) =>
    lenientDecoder.decode(Buffer.from(run.replaceAll("%", ""), "hex")),
  );
}
