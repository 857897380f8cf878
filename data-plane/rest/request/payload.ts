/** Request bodies: what they are and which keys they bring, leaving JSON as the bytes it came in. */
import { restError } from "../error.ts";
import { csvToObjects } from "./csv.ts";
import { firstBracket, outlineOfJson } from "./json-scan.ts";
import { essenceOf, parseMediaType } from "./media-type.ts";
import { decodeComponent } from "./shape.ts";

export type Payload =
  | { readonly kind: "none" }
  | JsonPayload
  /** Form fields in order; a repeated name is a repeated item. */
  | { readonly kind: "form"; readonly fields: readonly (readonly [name: string, value: string])[] }
  /** For functions with a single unnamed parameter. */
  | {
      readonly kind: "raw";
      readonly type: "text" | "xml" | "bytea";
      readonly mediaType: string;
      readonly bytes: Buffer;
    }
  | { readonly kind: "unsupported"; readonly mediaType: string };

export interface JsonPayload {
  readonly kind: "json";
  readonly bytes: Buffer;
  readonly shape: "object" | "array";
  /** Keys of the object or of the first element; null when `columns` made looking needless. */
  readonly keys: readonly string[] | null;
  /** True when there is certainly no object in it. */
  readonly empty: boolean;
  /** Made from CSV, so that it cannot stand for a JSON parameter. */
  readonly fromCsv: boolean;
}

const EMPTY_ARRAY: JsonPayload = {
  kind: "json",
  bytes: Buffer.from("[]"),
  shape: "array",
  keys: [],
  empty: true,
  fromCsv: false,
};
const EMPTY_OBJECT: JsonPayload = {
  kind: "json",
  bytes: Buffer.from("{}"),
  shape: "object",
  keys: [],
  empty: false,
  fromCsv: false,
};

export interface PayloadOptions {
  readonly contentType: string | undefined;
  /** `columns` was given: the keys are known and nothing of the body needs to be looked at. */
  readonly hasColumns: boolean;
  /** Functions take bodies that tables do not, an empty one included. */
  readonly forRoutine: boolean;
}

/** A table has at most 1,600 columns and a function 100 parameters: with so many one is unknown, and that is enough. */
const MAX_KEYS = 2_000;
const MAX_FORM_FIELDS = 10_000;

/** Looking over a larger body takes longer than others should wait: it is done in a thread. */
export const LARGE_PAYLOAD_BYTES = 256 * 1024;

/** Whether {@link parsePayload} takes time that grows with the body. */
export function needsScan({ contentType, hasColumns }: PayloadOptions): boolean {
  const type = contentType === undefined ? "application/json" : essenceOf(parseMediaType(contentType));
  if (type === "application/json") return !hasColumns;
  return type === "text/csv" || type === "application/x-www-form-urlencoded";
}

/** @throws {RestError} PGRST102. Time is linear in the body's size. */
export function parsePayload(bytes: Buffer, options: PayloadOptions): Payload {
  const type = options.contentType === undefined ? "application/json" : essenceOf(parseMediaType(options.contentType));
  switch (type) {
    case "application/json":
      return parseJson(bytes, options);
    case "text/csv": {
      const table = csvToObjects(bytes.toString("utf8"));
      if (table === null) throw restError("PGRST102", { message: "All lines must have same number of fields" });
      return {
        kind: "json",
        bytes: Buffer.from(table.json),
        shape: "array",
        keys: table.keys.slice(0, MAX_KEYS),
        empty: table.json === "[]",
        fromCsv: true,
      };
    }
    case "application/x-www-form-urlencoded":
      return options.forRoutine ? { kind: "form", fields: formFields(bytes) } : formAsObject(bytes);
    case "text/plain":
      return { kind: "raw", type: "text", mediaType: type, bytes };
    case "text/xml":
      return { kind: "raw", type: "xml", mediaType: type, bytes };
    case "application/octet-stream":
      return { kind: "raw", type: "bytea", mediaType: type, bytes };
    default:
      return { kind: "unsupported", mediaType: type };
  }
}

function parseJson(bytes: Buffer, options: PayloadOptions): JsonPayload {
  if (bytes.length === 0 && options.forRoutine) return EMPTY_OBJECT;
  if (options.hasColumns) {
    const bracket = firstBracket(bytes);
    if (bracket === "other") throw restError("PGRST102", { message: "Empty or invalid json" });
    return { kind: "json", bytes, shape: bracket, keys: null, empty: false, fromCsv: false };
  }
  const outline = outlineOfJson(bytes);
  if (outline === null) throw restError("PGRST102", { message: "Empty or invalid json" });
  switch (outline.kind) {
    case "object":
      return {
        kind: "json",
        bytes,
        shape: "object",
        keys: outline.keys.slice(0, MAX_KEYS),
        empty: false,
        fromCsv: false,
      };
    case "array":
      // A function takes the first object, or the whole array as its one unnamed parameter.
      if (!outline.uniform && !options.forRoutine) {
        throw restError("PGRST102", { message: "All object keys must match" });
      }
      return {
        kind: "json",
        bytes,
        shape: "array",
        keys: outline.keys.slice(0, MAX_KEYS),
        empty: outline.length === 0,
        fromCsv: false,
      };
    case "scalar":
      return options.forRoutine ? { ...EMPTY_OBJECT, bytes } : EMPTY_ARRAY;
  }
}

function formFields(bytes: Buffer): readonly (readonly [string, string])[] {
  const pairs = bytes
    .toString("utf8")
    .split("&", MAX_FORM_FIELDS + 1)
    .filter((pair) => pair !== "");
  if (pairs.length > MAX_FORM_FIELDS) {
    throw restError("PGRST102", { message: `A form may have at most ${MAX_FORM_FIELDS} fields` });
  }
  return pairs.map((pair) => {
    const equals = pair.indexOf("=");
    if (equals < 0) return [decodeComponent(pair), ""] as const;
    return [decodeComponent(pair.slice(0, equals)), decodeComponent(pair.slice(equals + 1))] as const;
  });
}

function formAsObject(bytes: Buffer): JsonPayload {
  const object: Record<string, string> = Object.assign(Object.create(null), Object.fromEntries(formFields(bytes)));
  const keys = Object.keys(object).slice(0, MAX_KEYS);
  return {
    kind: "json",
    bytes: Buffer.from(JSON.stringify(object)),
    shape: "object",
    keys,
    empty: false,
    fromCsv: false,
  };
}
