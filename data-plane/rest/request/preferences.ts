/** The Prefer header (RFC 7240). */
import { restError } from "../error.ts";

export interface Preferences {
  readonly resolution: "merge-duplicates" | "ignore-duplicates" | null;
  readonly missing: "default" | "null" | null;
  readonly return: "minimal" | "headers-only" | "representation" | null;
  readonly count: "exact" | "planned" | "estimated" | null;
  readonly tx: "commit" | "rollback" | null;
  readonly handling: "strict" | "lenient" | null;
  /** A name of pg_timezone_names or an offset; the server judges it. */
  readonly timezone: string | null;
  readonly maxAffected: number | null;
  /** What was sent but is no preference; only matters with handling=strict. */
  readonly invalid: readonly string[];
}

const NONE: Preferences = {
  resolution: null,
  missing: null,
  return: null,
  count: null,
  tx: null,
  handling: null,
  timezone: null,
  maxAffected: null,
  invalid: [],
};

const CHOICES = {
  resolution: ["merge-duplicates", "ignore-duplicates"],
  missing: ["default", "null"],
  return: ["minimal", "headers-only", "representation"],
  count: ["exact", "planned", "estimated"],
  tx: ["commit", "rollback"],
  handling: ["strict", "lenient"],
} as const;

/** @param header The header's value; several headers come joined by commas. The first valid value of a kind counts. */
export function parsePreferences(header: string | undefined): Preferences {
  if (header === undefined || header === "") return NONE;
  const found: Record<string, string | number> = {};
  const invalid: string[] = [];
  for (const part of header.split(",")) {
    const item = part.trim();
    if (item === "") continue;
    const equals = item.indexOf("=");
    const kind = equals < 0 ? "" : item.slice(0, equals);
    const value = item.slice(equals + 1);
    if (Object.hasOwn(CHOICES, kind)) {
      const choices: readonly string[] = CHOICES[kind as keyof typeof CHOICES];
      if (choices.includes(value)) found[kind] ??= value;
      else invalid.push(item);
    } else if (kind === "timezone") {
      found.timezone ??= value;
    } else if (kind === "max-affected" && /^\d{1,15}$/.test(value)) {
      found.maxAffected ??= Number(value);
    } else {
      invalid.push(item);
    }
  }
  return { ...NONE, ...found, invalid };
}

/** @throws {RestError} PGRST122 */
export function checkHandling(preferences: Preferences): void {
  if (preferences.handling !== "strict" || preferences.invalid.length === 0) return;
  throw restError("PGRST122", { details: `Invalid preferences: ${preferences.invalid.join(", ")}` });
}

/** Which preferences had an effect, in the order PostgREST lists them. */
export function appliedPreferences(
  preferences: Preferences,
  effect: {
    readonly resolution: boolean;
    readonly missing: boolean;
    readonly return: boolean;
    readonly count: boolean;
    readonly tx: boolean;
    readonly maxAffected: boolean;
  },
): string | null {
  const applied: string[] = [];
  const add = (name: string, value: string | number | null) => {
    if (value !== null) applied.push(`${name}=${value}`);
  };
  if (effect.resolution) add("resolution", preferences.resolution);
  if (effect.missing) add("missing", preferences.missing);
  if (effect.return) add("return", preferences.return);
  if (effect.count) add("count", preferences.count);
  if (effect.tx) add("tx", preferences.tx);
  add("handling", preferences.handling);
  add("timezone", preferences.timezone);
  if (effect.maxAffected && preferences.handling === "strict") add("max-affected", preferences.maxAffected);
  return applied.length === 0 ? null : applied.join(", ");
}
