/** One entry of a channel's `postgres_changes`: what it asks for, and the number by which the client knows it. */
import { createHash } from "node:crypto";
import type { RequestedBinding } from "../protocol/join-config.ts";
import { describeFilters, type Filter, FilterError, parseFilters } from "./filter.ts";

export type ChangeType = "INSERT" | "UPDATE" | "DELETE";

export interface BindingSpec {
  readonly event: ChangeType | "*";
  /** `*` for all. */
  readonly schema: string;
  readonly table: string;
  readonly filters: readonly Filter[];
  /** Columns wanted besides the primary key; null for all. */
  readonly select: readonly string[] | null;
}

const MAX_SELECTED = 200;

/** @throws {FilterError} */
export function parseBinding(requested: RequestedBinding): BindingSpec {
  const { event, schema, table, filter, select } = requested;
  const hasTable = typeof table === "string" && table !== "";
  const hasSchema = typeof schema === "string" && schema !== "";
  if (!hasTable && !hasSchema) {
    throw new FilterError(
      `No subscription params provided. Please provide at least a \`schema\` or \`table\` to subscribe to: ${JSON.stringify(requested).slice(0, 500)}`,
    );
  }
  const name = typeof event === "string" ? event.toUpperCase() : "*";
  const spec = {
    event: name === "INSERT" || name === "UPDATE" || name === "DELETE" ? name : "*",
    schema: hasSchema ? schema : "public",
    table: hasTable ? table : "*",
    filters: typeof filter === "string" ? parseFilters(filter) : [],
    select: parseSelect(select),
  } as const;
  if (spec.select !== null && (!hasSchema || spec.schema === "*" || spec.table === "*")) {
    throw new FilterError(
      "Column selection is not supported for wildcard subscriptions. Provide an explicit schema and table name.",
    );
  }
  return spec;
}

function parseSelect(select: unknown): readonly string[] | null {
  if (select === undefined || select === null) return null;
  const names: unknown = typeof select === "string" ? select.split(",").map((name) => name.trim()) : select;
  if (!Array.isArray(names) || !names.every((name) => typeof name === "string") || names.length > MAX_SELECTED) {
    throw new FilterError(`Error parsing \`select\` params: ${JSON.stringify(select).slice(0, 500)}`);
  }
  return names.length === 0 ? null : [...new Set(names as string[])].sort();
}

/** As Supabase Realtime shows what could not be subscribed to. */
export function describeBinding({ event, schema, table, filters, select }: BindingSpec): string {
  const columns = select === null ? "nil" : JSON.stringify(select);
  return `[event: ${event}, schema: ${schema}, table: ${table}, filters: ${describeFilters(filters)}, select: ${columns}]`;
}

/** Numbers for the bindings of a channel: the same for the same binding wherever it is asked for, and never twice. */
export function bindingIds(requested: readonly RequestedBinding[]): readonly number[] {
  const taken = new Map<number, string>();
  return requested.map((binding) => {
    const text = JSON.stringify(Object.entries(binding).sort(([one], [other]) => (one < other ? -1 : 1)));
    let id = createHash("sha256").update(text).digest().readUInt32BE(0) & 0x7ff_ffff;
    while (taken.has(id) && taken.get(id) !== text) id = (id + 1) & 0x7ff_ffff;
    taken.set(id, text);
    return id;
  });
}
