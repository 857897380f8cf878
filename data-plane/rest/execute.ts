/** Runs a compiled request: settings, pre-request and the statement in one pipelined transaction. */
import type {
  ParameterValue,
  PipelineOptions,
  ProjectDatabase,
  Statement,
  StatementResult,
} from "../database/database.ts";
import { clientHeaders, type ServiceRequest } from "../service.ts";
import type { CompiledRequest, Query } from "./compiled-request.ts";
import type { RestConfig } from "./config.ts";
import { type RestError, restError } from "./error.ts";
import type { Identity } from "./jwt/identity.ts";
import { ANSWER } from "./query/body-sql.ts";
import {
  checkConstraintsStatement,
  preRequestStatement,
  type Setting,
  settingsStatement,
} from "./query/settings-sql.ts";
import type { Binding } from "./query/sql.ts";
import type { ApiRequest } from "./request/api-request.ts";
import { arrayLiteral, arrayLiteralOfList } from "./request/filter.ts";
import { parseOffset } from "./request/page.ts";
import type { ValueSource } from "./request/query-types.ts";
import type { Isolation, SchemaCache } from "./schema-cache/types.ts";

/** Index of {@link settingsStatement} in every pipeline. */
export const SETTINGS_INDEX = 0;

export interface RequestContext {
  readonly request: ServiceRequest;
  readonly api: ApiRequest;
  readonly identity: Identity;
  readonly cache: SchemaCache;
  readonly config: RestConfig;
  readonly database: ProjectDatabase;
}

export interface Answer {
  readonly result: StatementResult;
  /** Rows the server expects; null when it was not asked. */
  readonly estimate: number | null;
}

/**
 * @param prepare Whether the statement is worth keeping on the connection.
 * @throws {RestError} PGRST103, 115, 116, 124 for a result that may not be: nothing of it is kept then.
 * @throws {DatabaseError} @throws {PoolTimeout} @throws {ConnectionLost}
 */
export async function execute(context: RequestContext, compiled: CompiledRequest, prepare: boolean): Promise<Answer> {
  const { api, config } = context;
  const keep = prepare && config.preparedStatements;
  const { role } = context.identity;
  const rollback = !compiled.readOnly && endsWithRollback(api, config);
  const statements: Statement[] = [...openingStatements(context, compiled)];
  const estimateIndex = compiled.estimate ? statements.push(bind(compiled.estimate, api, keep, role)) - 1 : -1;
  const mainIndex = statements.push(bind(compiled.query, api, keep, role)) - 1;
  if (rollback) statements.push(checkConstraintsStatement(config.preparedStatements));

  let refusal: RestError | null = null;
  const checks = compiled.representation.explain === null && hasChecks(compiled);
  const options: PipelineOptions = {
    ...isolationOption(compiled.isolation ?? roleIsolation(context)),
    ...(rollback || (checks && !compiled.readOnly)
      ? {
          commitIf: (results: readonly StatementResult[]) => {
            refusal = checks ? refusalOf(compiled, results[mainIndex]) : null;
            return refusal === null && !rollback;
          },
        }
      : {}),
    ...(compiled.readOnly && { changesNothing: true }),
    signal: context.request.signal,
  };
  const results = await context.database.pipeline(statements, options);
  const result = results[mainIndex] as StatementResult;
  if (checks && compiled.readOnly) refusal = refusalOf(compiled, result);
  if (refusal !== null) throw refusal;
  return { result, estimate: estimateIndex < 0 ? null : estimatedRows(results[estimateIndex]) };
}

type TransactionSettings = Pick<CompiledRequest, "readOnly" | "searchPath" | "settings">;

/** Settings and the pre-request function: what every statement of a request comes after. */
export function openingStatements(context: RequestContext, transaction: TransactionSettings): readonly Statement[] {
  const { config } = context;
  const settings = settingsStatement(requestSettings(context, transaction), config.preparedStatements);
  return config.preRequest === null
    ? [settings]
    : [settings, preRequestStatement(config.preRequest, config.preparedStatements)];
}

function requestSettings(
  { request, api, identity, cache, config }: RequestContext,
  { readOnly, searchPath, settings: ofFunction }: TransactionSettings,
): readonly Setting[] {
  const headers = clientHeaders(request);
  // Settings of the role come before it, as the login may set some that the role may not.
  const settings: Setting[] = [...(cache.findRoleSettings(identity.role)?.settings ?? [])];
  settings.push(
    ["search_path", searchPath],
    ...ofFunction,
    ["role", identity.role],
    ["request.jwt.claims", identity.claims],
    ["request.method", request.method],
    ["request.path", request.path],
    ["request.headers", headersJson(headers)],
    ["request.cookies", cookiesJson(headers.cookie)],
  );
  if (readOnly) settings.push(["transaction_read_only", "on"]);
  if (api.preferences.timezone !== null) settings.push(["timezone", api.preferences.timezone]);
  for (const name in config.appSettings) settings.push([`app.settings.${name}`, config.appSettings[name] ?? ""]);
  return settings;
}

function headersJson(headers: Readonly<Record<string, string>>): string {
  if (headers.cookie === undefined) return JSON.stringify(headers);
  const { cookie: _cookie, ...others } = headers;
  return JSON.stringify(others);
}

function cookiesJson(cookie: string | undefined): string {
  if (cookie === undefined) return "{}";
  const cookies: Record<string, string> = Object.create(null);
  for (const part of cookie.split(";")) {
    const equals = part.indexOf("=");
    if (equals > 0) cookies[part.slice(0, equals).trim()] ??= part.slice(equals + 1).trim();
  }
  return JSON.stringify(cookies);
}

function isolationOption(isolation: Isolation | null): PipelineOptions {
  return isolation === null ? {} : { isolation };
}

function roleIsolation({ cache, identity }: RequestContext): Isolation | null {
  return cache.findRoleSettings(identity.role)?.isolation ?? null;
}

/** True when `Prefer: tx` has a say. */
export function allowsTxOverride(config: RestConfig): boolean {
  return config.txEnd.endsWith("-allow-override");
}

function endsWithRollback(api: ApiRequest, config: RestConfig): boolean {
  const asked = allowsTxOverride(config) ? api.preferences.tx : null;
  return (asked ?? (config.txEnd.startsWith("rollback") ? "rollback" : "commit")) === "rollback";
}

function hasChecks(compiled: CompiledRequest): boolean {
  return compiled.singular || compiled.maxAffected !== null || compiled.action === "replace";
}

function refusalOf(compiled: CompiledRequest, result: StatementResult | undefined): RestError | null {
  const rows = Number(result?.rows[0]?.[ANSWER.pageTotal] ?? 0);
  if (compiled.action === "replace" && rows !== 1) return restError("PGRST115");
  if (compiled.singular && rows !== 1) {
    return restError("PGRST116", { details: `The result contains ${rows} rows` });
  }
  if (compiled.maxAffected !== null && rows > compiled.maxAffected) {
    return restError("PGRST124", { details: `The query affects ${rows} rows` });
  }
  return null;
}

function estimatedRows(result: StatementResult | undefined): number {
  const plan = JSON.parse(result?.rows[0]?.[0] ?? "[]") as readonly {
    readonly Plan?: { readonly "Plan Rows"?: number };
  }[];
  return plan[0]?.Plan?.["Plan Rows"] ?? 0;
}

/**
 * Fills a query with the request's values.
 * @throws {ParseFailure} when a value is not of the form its filter needs.
 */
function bind(query: Query, api: ApiRequest, prepare: boolean, planRole: string): Statement {
  const { bindings } = query;
  const values = new Array<ParameterValue>(bindings.length);
  for (let index = 0; index < bindings.length; index += 1) values[index] = parameterOf(bindings[index] as Binding, api);
  return { text: query.text, values, prepare, planRole };
}

function parameterOf(binding: Binding, api: ApiRequest): ParameterValue {
  switch (binding.kind) {
    case "value": {
      const text = textOf(binding.source, api);
      if (binding.decode === "text") return text;
      return binding.decode === "pattern" ? text.replaceAll("*", "%") : arrayLiteralOfList(text);
    }
    case "elements":
      return arrayLiteral(binding.sources.map((source) => textOf(source, api)));
    case "offset":
      return String(parseOffset(textOf(binding.source, api)));
    case "pageOffset":
      return String(api.page.offset);
    case "body":
      return api.payload.kind === "json" || api.payload.kind === "raw" ? api.payload.bytes : null;
  }
}

function textOf(source: ValueSource, api: ApiRequest): string {
  return source.kind === "text" ? source.text : (api.slots[source.index] ?? "");
}
