/**
 * A setting's value as it is typed, and back: numbers stay text until they are sent, lists are one item a line. What is
 * typed and cannot be read is told at the field, before anything is sent. Pure.
 */
import type { ProjectSettingsQuery } from "./generated/operations.ts";

export type Setting = ProjectSettingsQuery["project"]["settings"][number];

/** Text for fields, a boolean for switches. */
export type Draft = string | boolean;

export function toDraft({ type }: Pick<Setting, "type">, value: unknown): Draft {
  switch (type) {
    case "Boolean":
      return value === true;
    case "[String]":
      return Array.isArray(value) ? value.join("\n") : "";
    case "JSON":
      return JSON.stringify(value ?? {}, null, 2);
    default:
      return value === null || value === undefined ? "" : String(value);
  }
}

export type Parsed = { readonly value: unknown } | { readonly problem: string };

export function fromDraft(setting: Pick<Setting, "type" | "isNullable">, draft: Draft): Parsed {
  if (typeof draft === "boolean") return { value: draft };
  const text = draft.trim();
  switch (setting.type) {
    case "Int":
    case "Float": {
      if (text === "") return setting.isNullable ? { value: null } : { problem: "A number is needed here." };
      return /^-?\d+$/.test(text) ? { value: Number(text) } : { problem: "This must be a whole number." };
    }
    case "[String]":
      return {
        value: draft
          .split("\n")
          .map((line) => line.trim())
          .filter((line) => line !== ""),
      };
    case "JSON":
      try {
        return { value: JSON.parse(draft) };
      } catch (error) {
        return { problem: `This is no JSON: ${(error as Error).message}.` };
      }
    case "String":
      return { value: text === "" && setting.isNullable ? null : text };
    default:
      return { value: text };
  }
}

/** `jwtExpSeconds` → `Jwt exp seconds`: the API's own words. */
export function settingLabel(name: string): string {
  const words = name
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1 $2")
    .toLowerCase()
    .replace(/\bjwt\b/, "JWT")
    .replace(/\burl\b/, "URL")
    .replace(/\buri\b/, "URI")
    .replace(/\bapi\b/, "API")
    .replace(/\botp\b/, "OTP")
    .replace(/\bsmtp\b/, "SMTP")
    .replace(/\bsms\b/, "SMS")
    .replace(/\bcors\b/, "CORS");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** What a value is in words, for "Default: …". */
export function describeValue({ type }: Pick<Setting, "type">, value: unknown): string {
  if (value === null || value === undefined) return "none";
  if (type === "Boolean") return value === true ? "on" : "off";
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Order of keys aside, for JSON is compared as it is sent. */
export function isSameValue(a: unknown, b: unknown): boolean {
  return JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
}
