/** From a statement's answer to the response. */
import type { StatementResult } from "../database/database.ts";
import type { ServiceResponse } from "../service.ts";
import type { CompiledRequest } from "./compiled-request.ts";
import type { RestConfig } from "./config.ts";
import { contentLocation, encodeParameter, type LocationTemplate } from "./content-location.ts";
import { type Header, type RestError, restError } from "./error.ts";
import { type Answer, allowsTxOverride } from "./execute.ts";
import { isFramingHeader, isHeader } from "./header.ts";
import { ANSWER } from "./query/body-sql.ts";
import type { ApiRequest } from "./request/api-request.ts";
import { appliedPreferences } from "./request/preferences.ts";
import { POSTGREST_VERSION } from "./version.ts";

const JSON_CONTENT_TYPE = "application/json; charset=utf-8";

/** What a response is made of before the headers that all have in common. */
export interface Draft {
  readonly status: number;
  readonly statusText?: string | undefined;
  readonly headers: readonly Header[];
  readonly body: string | Buffer | AsyncIterable<Buffer> | null;
}

/** @throws {RestError} PGRST103, PGRST111, PGRST112 */
export function respond(
  api: ApiRequest,
  compiled: CompiledRequest,
  answer: Answer,
  config: RestConfig,
  resource: { readonly path: string; readonly template: LocationTemplate },
): Draft {
  const { result } = answer;
  if (compiled.representation.explain) return explained(compiled, result);
  const pageTotal = Number(textOf(result, ANSWER.pageTotal) ?? 0);
  const total = totalOf(compiled, result, pageTotal, answer.estimate, config);
  const updated = compiled.merges ? Number(textOf(result, ANSWER.updated) ?? 0) : 0;
  const headers: Header[] = [];
  const status = statusOf(api, compiled, { pageTotal, total, updated });
  headers.push(["Content-Range", contentRange(api, compiled, pageTotal, total)]);
  if (compiled.action === "read") {
    const location = contentLocation(resource.path, resource.template, api.slots);
    if (location !== null) headers.push(["Content-Location", location]);
  }
  const location = compiled.location ? textOf(result, ANSWER.location) : null;
  if (compiled.location && location) headers.push(["Location", locationOf(compiled.location, location)]);
  const applied = preferencesApplied(api, compiled, config);
  if (applied !== null) headers.push(["Preference-Applied", applied]);
  for (const { target, alias } of compiled.legacyNames) headers.push(["Warning", legacyWarning(target, alias)]);
  const sendsBody = compiled.hasBody && status !== 204;
  const tellsType = sendsBody || (api.method === "HEAD" && status !== 204);
  if (tellsType) headers.push(["Content-Type", compiled.representation.contentType]);
  const draft = { status, headers, body: sendsBody ? bodyOf(compiled, result) : null };
  return withSqlResponse(draft, textOf(result, ANSWER.headers), textOf(result, ANSWER.status));
}

/** One of the columns beside the body, of the answer's only row. */
function textOf(result: StatementResult, column: number): string | null {
  return result.bytes(0, column)?.toString("utf8") ?? null;
}

function bodyOf({ representation }: CompiledRequest, result: StatementResult): Buffer {
  const body = result.bytes(0, ANSWER.body) ?? Buffer.alloc(0);
  const { form } = representation;
  const binary = form.kind === "value" ? form.binary : form.kind === "aggregate" && form.handler.mediaType.binary;
  // bytea in text format: \x and hexadecimal digits.
  return binary ? Buffer.from(body.toString("latin1", 2), "hex") : body;
}

function explained({ representation }: CompiledRequest, result: StatementResult): Draft {
  const lines = result.rows.map((row) => row[0] ?? "");
  return { status: 200, headers: [["Content-Type", representation.contentType]], body: lines.join("\n") };
}

function totalOf(
  compiled: CompiledRequest,
  result: StatementResult,
  pageTotal: number,
  estimate: number | null,
  config: RestConfig,
): number | null {
  switch (compiled.count) {
    case "none":
      return null;
    case "page":
      return pageTotal;
    case "exact":
      return Number(textOf(result, ANSWER.total) ?? 0);
    case "planned":
      return estimate ?? pageTotal;
    case "estimated": {
      const exact = Number(textOf(result, ANSWER.total) ?? 0);
      return config.maxRows === null || exact > config.maxRows ? Math.max(exact, estimate ?? 0) : exact;
    }
  }
}

function statusOf(
  api: ApiRequest,
  compiled: CompiledRequest,
  rows: { readonly pageTotal: number; readonly total: number | null; readonly updated: number },
): number {
  const wantsRows = api.preferences.return === "representation";
  const inserted = rows.pageTotal - rows.updated;
  switch (compiled.action) {
    case "insert":
      return compiled.merges && inserted <= 0 ? 200 : 201;
    case "replace":
      if (!wantsRows) return 204;
      return inserted > 0 ? 201 : 200;
    case "update":
    case "delete":
      return wantsRows ? 200 : 204;
    case "call":
      if (!compiled.hasBody && api.method !== "HEAD") return 204;
      return pageStatus(api, rows.pageTotal, rows.total);
    case "read":
      return pageStatus(api, rows.pageTotal, rows.total);
  }
}

function pageStatus(api: ApiRequest, pageTotal: number, total: number | null): number {
  if (total === null) return 200;
  const { offset } = api.page;
  if (offset > total) {
    throw restError("PGRST103", {
      details: `An offset of ${offset} was requested, but there are only ${total} rows.`,
      headers: [["Content-Range", `*/${total}`]],
    });
  }
  return pageTotal < total ? 206 : 200;
}

function contentRange(api: ApiRequest, compiled: CompiledRequest, pageTotal: number, total: number | null): string {
  const shown = total ?? "*";
  if (pageTotal === 0) return `*/${shown}`;
  switch (compiled.action) {
    case "insert":
    case "replace":
    case "delete":
      return `*/${shown}`;
    case "update":
      return `0-${pageTotal - 1}/${shown}`;
    default:
      return `${api.page.offset}-${api.page.offset + pageTotal - 1}/${shown}`;
  }
}

function preferencesApplied(api: ApiRequest, compiled: CompiledRequest, config: RestConfig): string | null {
  const { action } = compiled;
  const isWrite = action !== "read" && action !== "call";
  return appliedPreferences(api.preferences, {
    resolution: compiled.hasResolution,
    missing: action === "insert" || action === "update",
    return: isWrite,
    count: true,
    tx: allowsTxOverride(config),
    maxAffected: action === "update" || action === "delete" || action === "call",
  });
}

function locationOf({ relation, primaryKey }: NonNullable<CompiledRequest["location"]>, rowText: string): string {
  const row = JSON.parse(rowText) as Readonly<Record<string, string | null>>;
  const filters = primaryKey.map((column) => {
    const value = row[column] ?? null;
    return `${encodeParameter(column)}=${value === null ? "is.null" : `eq.${encodeParameter(value)}`}`;
  });
  return `/${encodeParameter(relation)}?${filters.join("&")}`;
}

function legacyWarning(target: string, alias: string): string {
  return `299 PostgRESTv${POSTGREST_VERSION} "Embedded resource was referenced by relation name even though it has an alias. This is deprecated and will stop working in a future release. Update \`${headerText(target)}\` to \`${headerText(alias)}\` in query string filters, orders or limits."`;
}

function headerText(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}

/** Names may hold what would end a header. */
function visibleText(name: string): string {
  return isHeader("Content-Profile", name) ? name : headerText(name);
}

/** `response.status` and `response.headers` go before the server's own. */
function withSqlResponse(draft: Draft, headersText: string | null, statusText: string | null): Draft {
  if (headersText === null && statusText === null) return draft;
  const own = headersText === null ? [] : parseSqlHeaders(headersText);
  const names = new Set(own.map(([name]) => name.toLowerCase()));
  return {
    status: statusText === null ? draft.status : parseSqlStatus(statusText),
    headers: [...draft.headers.filter(([name]) => !names.has(name.toLowerCase())), ...own],
    body: draft.body,
  };
}

function parseSqlHeaders(text: string): readonly Header[] {
  const headers = parseSingleKeyObjects(text);
  if (headers === null || !headers.every(([name, value]) => isHeader(name, value))) throw restError("PGRST111");
  return headers.filter(([name]) => !isFramingHeader(name));
}

function parseSingleKeyObjects(text: string): readonly Header[] | null {
  try {
    const items: unknown = JSON.parse(text);
    if (!Array.isArray(items)) return null;
    const headers = items.map((item): Header | null => {
      const entries = typeof item === "object" && item !== null && !Array.isArray(item) ? Object.entries(item) : [];
      const [entry] = entries;
      return entries.length === 1 && entry && typeof entry[1] === "string" ? [entry[0], entry[1]] : null;
    });
    return headers.every((header) => header !== null) ? headers : null;
  } catch {
    return null;
  }
}

function parseSqlStatus(text: string): number {
  const status = /^\d{3}$/.test(text) ? Number(text) : 0;
  if (status < 200 || status > 599) throw restError("PGRST112");
  return status;
}

export function errorDraft(error: RestError, verbosity: RestConfig["errorVerbosity"]): Draft {
  const { code, message, details, hint } = error;
  const body = verbosity === "minimal" ? { code, message } : { code, details, hint, message };
  const own = error.headers.filter(([name, value]) => isHeader(name, value) && !isFramingHeader(name));
  return {
    status: error.status,
    statusText: error.statusText?.replace(/[^\x20-\x7e]/g, ""),
    headers: [["Content-Type", JSON_CONTENT_TYPE], ["Proxy-Status", `PostgREST; error=${headerText(code)}`], ...own],
    body: JSON.stringify(body),
  };
}

const VARY: Header = ["Vary", "Accept, Prefer, Range"];

/** Adds what every response has. */
export function complete(
  draft: Draft,
  config: RestConfig,
  request: { readonly method: string; readonly headers: Readonly<Record<string, string>> },
  schema: string | null,
): ServiceResponse {
  const headers: Header[] = [...draft.headers];
  if (!headers.some(([name]) => name.toLowerCase() === "vary")) headers.push(VARY);
  if (schema !== null && config.schemas.length > 1) headers.push(["Content-Profile", visibleText(schema)]);
  const { traceHeader } = config;
  const trace = traceHeader === null ? undefined : request.headers[traceHeader.toLowerCase()];
  if (traceHeader !== null && trace !== undefined) headers.push([traceHeader, trace]);
  return {
    status: draft.status,
    ...(draft.statusText === undefined ? {} : { statusText: draft.statusText }),
    headers,
    body: request.method === "HEAD" ? null : draft.body,
  };
}
