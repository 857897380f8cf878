/** Media types: what Accept asks for and what Content-Type says. */

export type PlanOption = "analyze" | "verbose" | "settings" | "buffers" | "wal";

export type MediaType =
  | { readonly kind: "json" }
  | { readonly kind: "csv" }
  | { readonly kind: "geojson" }
  | { readonly kind: "openapi" }
  | { readonly kind: "object"; readonly stripNulls: boolean }
  | { readonly kind: "array"; readonly stripNulls: boolean }
  | {
      readonly kind: "plan";
      readonly format: "text" | "json";
      readonly for: MediaType;
      readonly options: readonly PlanOption[];
    }
  | { readonly kind: "any" }
  /** Lower-case `type/subtype`. */
  | { readonly kind: "other"; readonly name: string };

export const JSON_TYPE: MediaType = { kind: "json" };

const PLAN_OPTIONS: readonly PlanOption[] = ["analyze", "verbose", "settings", "buffers", "wal"];

/** Everything Accept names, best first; without the header anything will do. */
export function parseAccept(header: string | undefined): readonly MediaType[] {
  if (header === undefined || header === "*/*") return [{ kind: "any" }];
  if (header === "application/json") return [JSON_TYPE];
  const ranges = splitOutsideQuotes(header, ",")
    .map((text) => text.trim())
    .filter((text) => text !== "")
    .map((text) => {
      const quality = /;\s*q=([0-9.]+)\s*(?:;|$)/i.exec(text)?.[1];
      return { type: parseMediaType(text), quality: quality === undefined ? 1 : Number.parseFloat(quality) };
    });
  if (ranges.length === 0) return [{ kind: "any" }];
  return ranges.sort((left, right) => right.quality - left.quality).map((range) => range.type);
}

/** Never fails: an unknown type is `other`. Parameters that mean nothing here are ignored. */
export function parseMediaType(text: string): MediaType {
  const [essence = "", ...parameterTexts] = splitOutsideQuotes(text, ";");
  const name = essence.trim().toLowerCase();
  switch (name) {
    case "application/json":
      return JSON_TYPE;
    case "text/csv":
      return { kind: "csv" };
    case "application/geo+json":
      return { kind: "geojson" };
    case "application/openapi+json":
      return { kind: "openapi" };
    case "application/vnd.pgrst.object":
    case "application/vnd.pgrst.object+json":
      return { kind: "object", stripNulls: hasParameter(parameterTexts, "nulls", "stripped") };
    case "application/vnd.pgrst.array":
    case "application/vnd.pgrst.array+json":
      return { kind: "array", stripNulls: hasParameter(parameterTexts, "nulls", "stripped") };
    case "application/vnd.pgrst.plan":
    case "application/vnd.pgrst.plan+text":
    case "application/vnd.pgrst.plan+json": {
      const parameters = new Map(parameterTexts.map(parseParameter));
      const options = (parameters.get("options") ?? "").split("|");
      return {
        kind: "plan",
        format: name.endsWith("+json") ? "json" : "text",
        for: parseMediaType(parameters.get("for") ?? "application/json"),
        options: PLAN_OPTIONS.filter((option) => options.includes(option)),
      };
    }
    case "*/*":
      return { kind: "any" };
    default:
      return { kind: "other", name };
  }
}

function hasParameter(parameterTexts: readonly string[], name: string, value: string): boolean {
  return parameterTexts.some((text) => {
    const [found, foundValue] = parseParameter(text);
    return found === name && foundValue === value;
  });
}

function parseParameter(text: string): readonly [name: string, value: string] {
  const equals = text.indexOf("=");
  if (equals < 0) return [text.trim().toLowerCase(), ""];
  const value = text.slice(equals + 1).trim();
  const bare = value.startsWith('"') && value.endsWith('"') && value.length > 1 ? value.slice(1, -1) : value;
  return [text.slice(0, equals).trim().toLowerCase(), bare];
}

function splitOutsideQuotes(text: string, separator: string): string[] {
  if (!text.includes('"')) return text.split(separator);
  const parts: string[] = [];
  let start = 0;
  let quoted = false;
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index];
    if (character === '"') quoted = !quoted;
    else if (character === separator && !quoted) {
      parts.push(text.slice(start, index));
      start = index + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}

/** `type/subtype` as messages and handler look-ups have it. */
export function essenceOf(type: MediaType): string {
  switch (type.kind) {
    case "json":
      return "application/json";
    case "csv":
      return "text/csv";
    case "geojson":
      return "application/geo+json";
    case "openapi":
      return "application/openapi+json";
    case "object":
      return `application/vnd.pgrst.object+json${type.stripNulls ? ";nulls=stripped" : ""}`;
    case "array":
      return `application/vnd.pgrst.array+json${type.stripNulls ? ";nulls=stripped" : ""}`;
    case "plan": {
      const options = type.options.length === 0 ? "" : `; options=${type.options.join("|")}`;
      return `application/vnd.pgrst.plan+${type.format}; for="${essenceOf(type.for)}"${options}`;
    }
    case "any":
      return "*/*";
    case "other":
      return type.name;
  }
}

const WITHOUT_CHARSET: ReadonlySet<MediaType["kind"]> = new Set(["any", "other"]);

/** The Content-Type header of a response. Text types that clients show directly say that they are UTF-8. */
export function contentTypeOf(type: MediaType): string {
  const essence = type.kind === "any" ? "application/octet-stream" : essenceOf(type);
  const bare = WITHOUT_CHARSET.has(type.kind) && essence !== "text/plain" && essence !== "text/xml";
  return bare ? essence : `${essence}; charset=utf-8`;
}
